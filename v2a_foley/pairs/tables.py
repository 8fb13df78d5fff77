"""Tables of media: CSV or TSV with a header, and VGGSound's CSV, which has none."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from v2a_foley.errors import InputError
from v2a_foley.media.files import named
from v2a_foley.pairs.layout import SPLITS
from v2a_foley.pairs.sources import Source, Stretch, short

_SPLIT_WORDS = {each: each for each in SPLITS} | {"": "", "val": "valid", "validation": "valid"}
_VGGSOUND_SECONDS = 10.0
Row = dict[str, str]
Made = TypeVar("Made")


def read_table(path: Path, media: Path) -> list[Source]:
    """The sources a table lists, one for each file; rows of one file are its stretches.

    A header names the columns: ``video``, or ``image`` and ``sound``; and if wanted ``start``,
    ``end`` (seconds), ``caption``, ``label``, ``split`` and ``group``. Paths are relative to
    ``media``. Without a group, rows that share a file are of one.

    VGGSound's CSV (YouTube id, start in seconds, label, split; no header) is known by its rows;
    its clips are expected as ``ID_SSSSSS.mp4``, the start with six digits, and its groups are
    the YouTube ids.

    Raises InputError naming the file and the row.
    """
    numbers, rows = _read(path)
    if _is_vggsound(rows[0]):
        parts = _parsed(path, numbers, rows, lambda row: _vggsound(row, media))
    else:
        parts = _with_header(path, numbers, rows, media)
    placed = [replace(each, origin=f"{path.name}, row {row}") for row, each in parts]
    return _merged(placed, media)


def _with_header(
    path: Path, numbers: Sequence[int], rows: Sequence[Sequence[str]], media: Path
) -> Iterator[tuple[int, Source]]:
    first = [cell.strip().lower() for cell in rows[0]]
    if "video" not in first and not {"image", "sound"} <= set(first):
        raise InputError(
            f"{named(path)}: its header has neither a column 'video' nor columns 'image' and "
            f"'sound' (it has: {', '.join(first)}); name the columns in the first row"
        )

    def parse(row: Sequence[str]) -> Source:
        if len(row) != len(first):
            raise ValueError(f"has {len(row)} fields, the header {len(first)}")
        return _source(dict(zip(first, (cell.strip() for cell in row), strict=True)), media)

    if len(rows) == 1:
        raise InputError(f"{named(path)}: holds a header and no rows; add some")
    return _parsed(path, numbers[1:], rows[1:], parse)


def read_phrases(path: Path) -> list[Row]:
    """The rows of a table of phrases: ``visual``, ``sound``, and empty where not stated
    ``concept``, ``label``, ``split`` and ``group``.

    Raises InputError naming the file and the row.
    """
    numbers, rows = _read(path)
    header = [cell.strip().lower() for cell in rows[0]]
    for column in ("visual", "sound"):
        if column not in header:
            raise InputError(
                f"{named(path)}: its header has no column '{column}' (it has: "
                f"{', '.join(header)}); name the columns in the first row"
            )

    def parse(row: Sequence[str]) -> Row:
        if len(row) != len(header):
            raise ValueError(f"has {len(row)} fields, the header {len(header)}")
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        if not (cells["visual"] and cells["sound"]):
            raise ValueError("has an empty phrase")
        blank = dict.fromkeys(("concept", "label", "split", "group"), "")
        return blank | cells | {"split": _split(cells.get("split", ""))}

    found = [row for _, row in _parsed(path, numbers[1:], rows[1:], parse)]
    if not found:
        raise InputError(f"{named(path)}: holds a header and no rows; add some")
    return found


def _read(path: Path) -> tuple[list[int], list[list[str]]]:
    """Line numbers and cells of the rows that are not blank."""
    tabs = path.suffix.lower() in (".tsv", ".tab")
    dialect: dict[str, Any] = (
        {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    )
    numbers, rows = [], []
    with _reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, **dialect)
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    numbers.append(reader.line_num)
                    rows.append(row)
        except csv.Error as error:
            raise InputError(f"{named(path)}, row {reader.line_num}: {error}; mend it") from None
    if not rows:
        raise InputError(f"{named(path)}: is empty; name a folder of videos or a CSV or TSV file")
    return numbers, rows


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{named(path)}: no such file or folder; check its name") from None
    except OSError as error:
        raise InputError(f"{named(path)}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{named(path)}: is no CSV or TSV in UTF-8; name a folder of videos or a table"
        ) from None


def _parsed(
    path: Path,
    numbers: Sequence[int],
    rows: Sequence[Sequence[str]],
    parse: Callable[[Sequence[str]], Made],
) -> Iterator[tuple[int, Made]]:
    for number, row in zip(numbers, rows, strict=True):
        try:
            yield number, parse(row)
        except ValueError as error:
            raise InputError(f"{named(path)}, row {number}: {error}; mend it") from None


def _source(row: Row, media: Path) -> Source:
    video, image, sound = (row.get(key, "") for key in ("video", "image", "sound"))
    if bool(video) == bool(image or sound) or bool(image) != bool(sound):
        raise ValueError("must name a video, or an image and a sound")
    names = (video,) if video else (image, sound)
    start, end = _seconds(row.get("start", "")), _seconds(row.get("end", ""))
    if end is not None and end <= (start or 0.0):
        raise ValueError(f"ends at {end:g} s, before it starts")
    known = {key: row.get(key, "") for key in ("caption", "label", "group")}
    stretch = Stretch(start or 0.0, end, split=_split(row.get("split", "")), **known)
    return _of_files([media / name for name in names], stretch)


def _of_files(files: Sequence[Path], stretch: Stretch) -> Source:
    return Source(" + ".join(map(str, files)), tuple(files), (stretch,))


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"'{text}' is no time in seconds")
    return value


def _split(text: str) -> str:
    try:
        return _SPLIT_WORDS[text.lower()]
    except KeyError:
        raise ValueError(f"split '{text}' is none of {', '.join(SPLITS)}") from None


def _is_vggsound(row: Sequence[str]) -> bool:
    return len(row) == 4 and row[1].strip().isdigit() and row[3].strip() in SPLITS


def _vggsound(row: Sequence[str], media: Path) -> Source:
    if not _is_vggsound(row):
        raise ValueError("is none of VGGSound's (YouTube id, start in seconds, label, split)")
    video, start, label, split = (cell.strip() for cell in row)
    stretch = Stretch(0.0, _VGGSOUND_SECONDS, label, label, split, video)
    return _of_files([media / f"{video}_{int(start):06d}.mp4"], stretch)


def _merged(sources: Sequence[Source], media: Path) -> list[Source]:
    """One source for all rows of a file, and a group for those that state none."""
    groups = _connected(sources, media)
    merged: dict[str, Source] = {}
    for source in sources:
        (stretch,) = source.stretches
        group = stretch.group or groups[short(source.files[0], media)]
        before = merged.get(source.name)
        stretches = (*(before.stretches if before else ()), replace(stretch, group=group))
        merged[source.name] = replace(before or source, stretches=stretches)
    return list(merged.values())


def _connected(sources: Sequence[Source], media: Path) -> dict[str, str]:
    """A group for each file: files that come in one row, or in rows with a common file, are one.

    A picture that is paired with many sounds, each with other pictures, must not be in two splits.
    """
    above: dict[str, str] = {}

    def root(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for source in sources:
        first, *others = (root(short(file, media)) for file in source.files)
        for other in others:
            above[max(first, other)] = min(first, other)
    return {name: root(name) for name in list(above)}
