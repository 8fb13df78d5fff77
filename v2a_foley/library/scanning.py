"""What a folder of sounds holds: its files, and the licences stated beside them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from v2a_foley.errors import InputError
from v2a_foley.media.files import named

SOUNDS = (
    ".wav", ".wave", ".bwf", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif",
    ".aiff", ".aifc", ".caf", ".au", ".snd", ".m4a", ".aac", ".wma", ".wv",
)  # fmt: skip
_LICENCES = re.compile(r"(licen[cs]e|copying|copyright)s?(\.(txt|md|rst))?", re.IGNORECASE)
_SPDX = re.compile(r"SPDX-License-Identifier:\s*(.+)")
_LONGEST = 100  # characters of a licence's name
_HEAD = 4096  # bytes of a licence's file that are read


@dataclass(slots=True)
class Scan:
    """The sound files below a folder, relative to it with slashes, and what cannot be read.

    ``hidden``: folders that cannot be read, as paths of files begin; ``failed``: why.
    """

    paths: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def scan(folder: Path) -> Scan:
    """Look for sound files in ``folder`` and below; what begins with a dot is left out.

    Links to folders are not followed.
    """
    found = Scan()

    def unreadable(error: OSError) -> None:
        where = Path(str(error.filename))
        found.hidden.append("" if where == folder else where.relative_to(folder).as_posix() + "/")
        found.failed.append((where, f"cannot be read ({error.strerror}); change its mode"))

    for where, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            path = Path(where, name)
            if name.startswith(".") or path.suffix.lower() not in SOUNDS:
                continue
            try:
                str(path).encode()
            except UnicodeEncodeError:
                found.failed.append((path, "the name is not valid UTF-8; rename the file"))
            else:
                found.paths.append(path.relative_to(folder).as_posix())
    return found


def resolved(folder: Path) -> Path:
    """A folder's full name.

    Raises InputError when it is none, or has a name that cannot be kept.
    """
    if not folder.is_dir():
        what = "is a file; name its folder" if folder.exists() else "no such folder; check its name"
        raise InputError(f"{named(folder)}: {what}")
    path = folder.resolve()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"{named(path)}: the name is not valid UTF-8; rename the folder") from None
    return path


class Licences:
    """The licences of a folder's files, as they are stated beside them.

    ``stated`` holds for all files. Without it, a file ``rain.wav`` has the one that
    ``rain.wav.license`` states (as of the REUSE specification), else the nearest file named like
    ``LICENSE`` in its folder or one above.
    """

    def __init__(self, folder: Path, stated: str) -> None:
        self._folder, self._stated = folder, stated
        self._of_folder = cache(self._nearest)

    def of(self, path: str) -> str:
        """The licence of a file, empty where none is stated."""
        if self._stated:
            return self._stated
        file = self._folder / path
        return _read(file.with_name(file.name + ".license")) or self._of_folder(file.parent)

    def _nearest(self, folder: Path) -> str:
        for name in sorted(_names(folder)):
            if _LICENCES.fullmatch(name) and (found := _read(folder / name)):
                return found
        return "" if folder == self._folder else self._of_folder(folder.parent)


def _names(folder: Path) -> list[str]:
    try:
        return [each.name for each in folder.iterdir()]
    except OSError:  # gone since it was scanned
        return []


def _read(path: Path) -> str:
    """The SPDX identifier in a licence's file, else its first line; empty where there is none."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            text = file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""
    spdx = _SPDX.search(text)
    lines = [spdx.group(1)] if spdx else text.splitlines()
    words = (
        " ".join("".join(c if c.isprintable() else " " for c in line).split()) for line in lines
    )
    return next((line for line in words if line), "")[:_LONGEST]
