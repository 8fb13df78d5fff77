"""What a folder or a table offers to be embedded: files, their stretches, and what is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from v2a_foley.errors import InputError
from v2a_foley.media.files import named

VIDEOS = (
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".flv", ".wmv", ".ogv", ".mxf", ".3gp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a source and what is known of it; ``end`` None is the source's end, in seconds.

    ``split`` is empty where none is stated.
    """

    start: float = 0.0
    end: float | None = None
    caption: str = ""
    label: str = ""
    split: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that is decoded in one pass: a video, or a picture and a sound.

    ``name`` is the path as it was given, ``files`` the video, or the picture and the sound;
    ``origin`` says where it was listed, for messages.
    """

    name: str
    files: tuple[Path, ...]
    stretches: tuple[Stretch, ...]
    origin: str = ""


def find_sources(source: Path, media: Path | None = None) -> list[Source]:
    """The sources that a folder of videos (with its subfolders) or a table lists, sorted by name.

    ``media`` is the folder that a table's paths are relative to; the table's own if not given.

    Raises InputError when there is nothing there, or the table is wrong.
    """
    from v2a_foley.pairs.tables import read_table

    if media is not None and not media.is_dir():
        raise InputError(f"{named(media)}: is no folder; name the one that the media are in")
    if source.is_dir():
        return _in_folder(source)
    found = read_table(source, media or source.parent)
    if not any(file.exists() for each in found for file in each.files):
        raise InputError(
            f"{named(source)}: none of the files it lists is there (the first is "
            f"{named(found[0].files[0])}): name the folder they are in with --media"
        )
    return sorted(found, key=lambda each: each.name)


def _in_folder(folder: Path) -> list[Source]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEOS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not paths:
        raise InputError(f"{named(folder)}: holds no videos; name another folder, or a table")
    return [Source(str(path), (path,), (Stretch(group=short(path, folder)),)) for path in paths]


def short(path: Path, folder: Path) -> str:
    """A file's name within ``folder``: the same wherever the folder lies, so splits are too."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
