"""A timeline: the untouched picture, its own sound, and the stems in their places."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from v2a_foley.export.stems import Cut
from v2a_foley.export.timecode import Clock
from v2a_foley.media.files import atomic
from v2a_foley.media.probe import MediaInfo


@dataclass(frozen=True, slots=True)
class Timeline:
    """What every format is written from. ``frames`` is the picture's length.

    ``muted``: whether the video's own sound is not heard, as in the mode ``replace``.
    """

    picture: MediaInfo
    clock: Clock
    frames: int
    cuts: tuple[Cut, ...]
    muted: bool

    @property
    def name(self) -> str:
        """The timeline's name, after the video."""
        return printable(f"{self.picture.path.stem} foley")

    @property
    def lanes(self) -> list[list[Cut]]:
        """The stems on as few tracks as they need; only shortest scenes overlap."""
        lanes: list[list[Cut]] = []
        for cut in self.cuts:
            for lane in lanes:
                if lane[-1].start + lane[-1].frames <= cut.start:
                    lane.append(cut)
                    break
            else:
                lanes.append([cut])
        return lanes


def write_timeline(timeline: Timeline, path: Path, *, overwrite: bool = False) -> Sequence[str]:
    """Write a timeline in the format of the suffix; what that cannot hold, in words.

    Raises:
        InputError: ``path`` must not be written, or the format cannot count so many frames.
        MediaError: the disk is full.
    """
    from v2a_foley.export import edl, fcpxml, otio

    writer = {
        ".otio": otio.dumps,
        ".xml": otio.dumps_xml,
        ".fcpxml": fcpxml.dumps,
        ".edl": edl.dumps,
    }
    text, lost = writer[path.suffix.lower()](timeline, path)
    with atomic(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return lost


def printable(text: str) -> str:
    """A name for people: characters that XML or a line of text cannot hold become ``_``."""
    return "".join(letter if letter.isprintable() else "_" for letter in text)


def title(cut: Cut) -> str:
    """What a scene's marker says: its id and what it shows."""
    tags = ", ".join(tag.concept for tag in cut.scene.tags[:3])
    return printable(f"{cut.scene.id} {tags}".strip())


def comment(cut: Cut) -> str:
    """What a scene's marker adds: how it was made."""
    return printable(f"preset {cut.scene.preset}, seed {cut.scene.seed}")


def url(path: Path) -> str:
    """A file's address, as Premiere Pro, Resolve and Final Cut find it."""
    return _absolute(path).as_uri()


def relative(path: Path, folder: Path) -> str:
    """A file's address from a folder, unless the two share no more than the root."""
    target, here = _absolute(path), _absolute(folder)
    if target.parts[:2] != here.parts[:2]:
        return url(path)
    return quote(os.fsencode(Path(os.path.relpath(target, here)).as_posix()))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - a symlink must keep its own name
