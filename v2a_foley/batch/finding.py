"""Which files a batch is about, and what each output is called below the output folder."""

from __future__ import annotations

import fnmatch
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from v2a_foley.batch.sidecars import Stated
from v2a_foley.errors import InputError
from v2a_foley.media.files import NAME_MAX, named

SUFFIXES = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".gif", ".ivf", ".m2ts", ".m2v", ".m4v",
    ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".rm", ".ts", ".vob",
    ".webm", ".wmv",
})  # fmt: skip
"""Names in folders that are taken for videos where no pattern says which are."""

OTHER_CONTAINER = ".mkv"  # for inputs whose own cannot be written
TEMPLATE = "{stem}.foley{ext}"
FIELDS = ("stem", "ext", "preset", "seed")
_FIELD = re.compile(r"{(\w*)}")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Which names in folders are wanted: ``*`` and ``?`` as in a shell, for name or path."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def wanted(self, below: str) -> bool:
        """Whether a file is; ``below`` is its path in the folder, with slashes."""
        path = PurePosixPath(below)
        if _any(self.exclude, path):
            return False
        if self.include:
            return _any(self.include, path)
        own = path.stem.endswith(".foley")  # what `run` made beside its input
        return path.suffix.lower() in SUFFIXES and not own


@dataclass(frozen=True, slots=True)
class Found:
    """A file, the folder it was found through, where its output goes, and names beside it."""

    video: Path
    root: Path
    below: PurePosixPath
    beside: frozenset[str]


def find(
    inputs: Sequence[Path], listed: Sequence[Path], output: Path, patterns: Patterns
) -> list[Found]:
    """All files of the inputs, in the order of their names; a file named twice counts once.

    Folders are searched with all below them, hidden names and the output folder left out; links
    to folders are not followed. The output tree mirrors what is below an input folder, and the
    relative paths of ``listed``; a file that is an input itself has its output on top.

    Raises:
        InputError: an input is not there, or nothing was found.
    """
    found: dict[Path, Found] = {}
    for each in inputs:
        if each.is_dir():
            for one in _walk(each, output, patterns):
                found.setdefault(one.video.absolute(), one)
        elif os.path.lexists(each):
            found.setdefault(each.absolute(), _single(each, PurePosixPath()))
        else:
            raise InputError(f"{named(each)}: no such file or folder; check its name")
    for each in listed:
        up = each.is_absolute() or ".." in each.parts
        below = PurePosixPath() if up else PurePosixPath(each.parent.as_posix())
        found.setdefault(each.absolute(), _single(each, below))
    if not found:
        names = ", ".join(named(each) for each in inputs) or "the list"
        raise InputError(f"{names}: no videos found; see --include for names that are wanted")
    return list(found.values())


def read_list(path: Path) -> list[Path]:
    """The files that a list names, one a line; ``-`` is stdin. Lines with # are remarks.

    Raises:
        InputError: the list cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{named(path)}: cannot be read as a list ({error.strerror}); name a text file"
        ) from None
    lines = [os.fsdecode(line.strip(b"\r")) for line in data.split(b"\n")]
    return [Path(line) for line in lines if line.strip() and not line.startswith("#")]


def output_key(found: Found, template: str, stated: Stated) -> str:
    """The output's path below the output folder, with slashes.

    Raises:
        InputError: the name cannot be that of a video file.
    """
    from v2a_foley.media.containers import CONTAINERS

    video = found.video
    values = {
        "stem": video.stem,
        "ext": video.suffix if video.suffix.lower() in CONTAINERS else OTHER_CONTAINER,
        "preset": Path(stated.preset or "auto").stem,
        "seed": str(stated.seed or 0),
    }
    name = _FIELD.sub(lambda field: values.get(field[1], field[0]), template)
    if Path(name).suffix.lower() not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise InputError(f"{named(Path(name))}: names no container; end --name with one of {known}")
    if len(os.fsencode(name)) > NAME_MAX:
        raise InputError(
            f"{named(Path(name))}: is a name of more than {NAME_MAX} bytes; shorten --name"
        )
    return (found.below / name).as_posix()


def check_template(template: str) -> None:
    """Refuse a template with unknown fields, or one that names a folder or a hidden file.

    Raises:
        InputError: saying what is allowed.
    """
    unknown = [field for field in _FIELD.findall(template) if field not in FIELDS]
    if unknown or "{" in _FIELD.sub("", template):
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise InputError(f'--name "{template}": has an unknown field; known are {known}')
    if any(sign in template for sign in '/\\:\0"<>|?*\n') or template.startswith("."):
        raise InputError(
            f"--name {template!r}: must be the name of one file, neither hidden nor in a folder"
        )


def check_collisions(keys: Sequence[tuple[str, Path]]) -> None:
    """Refuse two inputs with one output, also where names differ only by case or composition.

    Raises:
        InputError: naming both inputs.
    """
    taken: dict[str, Path] = {}
    for key, video in keys:
        same = unicodedata.normalize("NFC", key).casefold()
        other = taken.setdefault(same, video)
        if other is not video:
            raise InputError(
                f"{named(other)} and {named(video)} would both become {named(Path(key))}: give a "
                "folder that holds both, or another --name"
            )


def _walk(root: Path, output: Path, patterns: Patterns) -> Iterator[Found]:
    own = output.resolve()
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name for name in folders if name[0] != "." and (here / name).resolve() != own
        )
        beside = frozenset(files)
        below = PurePosixPath(here.relative_to(root).as_posix())
        for name in sorted(files):
            if name[0] != "." and patterns.wanted((below / name).as_posix()):
                yield Found(here / name, root, below, beside)


def _single(video: Path, below: PurePosixPath) -> Found:
    from v2a_foley.batch.sidecars import CLIP_FILE, CUE_SHEET

    names = (video.stem + CLIP_FILE, video.stem + CUE_SHEET)
    beside = frozenset(name for name in names if os.access(video.with_name(name), os.F_OK))
    return Found(video, video.parent, below, beside)


def _any(patterns: Sequence[str], path: PurePosixPath) -> bool:
    return any(
        fnmatch.fnmatchcase(path.name, pattern) or fnmatch.fnmatchcase(path.as_posix(), pattern)
        for pattern in patterns
    )
