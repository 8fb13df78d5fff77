"""What is handed over beside the finished video, and where each stem lies in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.errors import InputError
from v2a_foley.export.timecode import Clock
from v2a_foley.media.audio import Sound, length_of
from v2a_foley.media.files import named

TRACK = "track.wav"  # the whole programme, among the delivered stems
NEARLY = Fraction(1, 100)  # of a frame that may be missing at a handle's end: 0.4 ms
TIMELINES = {
    ".otio": "OpenTimelineIO",
    ".xml": "Final Cut Pro 7 XML, for Premiere Pro and Resolve",
    ".fcpxml": "Final Cut Pro",
    ".edl": "CMX 3600",
}


@dataclass(frozen=True, slots=True)
class HandOver:
    """The files to write beside the finished video.

    ``stems`` is a folder; ``handles``: whether stems keep what they have beyond their scene.
    ``timelines`` place the stems, each in the format of its suffix. ``sidecar`` is a JSON file.
    """

    stems: Path | None = None
    handles: bool = False
    timelines: Sequence[Path] = ()
    sidecar: Path | None = None

    def stem_files(self, scenes: Iterable[Scene]) -> list[Path]:
        """A file for each scene; none where no stems are wanted."""
        return [] if self.stems is None else [self.stems / f"{scene.id}.wav" for scene in scenes]

    @property
    def others(self) -> list[Path]:
        """The files beside the scenes' stems, the whole track first."""
        track = [] if self.stems is None else [self.stems / TRACK]
        return [*track, *self.timelines, *([] if self.sidecar is None else [self.sidecar])]

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            InputError: a timeline or handles without stems, or an unknown suffix.
        """
        for path in self.timelines:
            if path.suffix.lower() not in TIMELINES:
                known = ", ".join(TIMELINES)
                raise InputError(f"{named(path)}: no timeline has this suffix; use {known}")
            if self.stems is None:
                raise InputError(
                    f"{named(path)}: a timeline places stems; say with --stems where they go"
                )
        if self.handles and self.stems is None:
            raise InputError("--handles: only stems have handles; say with --stems where they go")


def check_names(paths: Iterable[Path]) -> None:
    """Refuse two outputs of one name.

    Raises:
        InputError: naming the file that would be written twice.
    """
    seen: set[str] = set()
    for path in paths:
        # names that differ only by case are one file on some systems
        name = os.path.normcase(path.resolve()).lower()
        if name in seen:
            raise InputError(
                f"{named(path)}: would be written twice; give each output its own name"
            )
        seen.add(name)


@dataclass(frozen=True, slots=True)
class Cut:
    """A delivered stem: its file, and the frames of the video that it covers.

    ``start`` and ``frames`` are the scene's, ``head`` and ``tail`` the handle before and after
    it. All are whole frames, so that a timeline can place the file exactly.
    """

    scene: Scene
    path: Path
    start: int
    frames: int
    head: int = 0
    tail: int = 0
    channels: int = 1

    @property
    def first(self) -> int:
        """The frame with which the file begins."""
        return self.start - self.head

    @property
    def last(self) -> int:
        """The frame before which the file ends."""
        return self.start + self.frames + self.tail

    def audio(self, stem: Sound, handle: float, clock: Clock) -> Sound:
        """Cut from a rendered stem, which begins ``handle`` seconds before the scene.

        What the stem does not reach is silent.
        """
        origin = length_of(self.scene.start) - length_of(handle)
        first, last = (clock.sample(frame) - origin for frame in (self.first, self.last))
        piece = stem[max(first, 0) : max(last, 0)]
        lead = min(max(-first, 0), last - first)
        rest = last - first - lead - len(piece)
        return np.pad(piece, ((lead, rest), *((0, 0),) * (stem.ndim - 1)))


def cuts(
    sheet: CueSheet,
    scenes: Sequence[Scene],
    files: Sequence[Path],
    handles: Sequence[float],
    clock: Clock,
) -> Iterator[Cut]:
    """Where the stems of ``scenes`` lie, each with whole frames of its handle in seconds.

    No file begins before timecode 00:00:00:00, which a broadcast WAV cannot state.
    """
    for scene, path, handle in zip(scenes, files, handles, strict=True):
        start, end = clock.frame(scene.start), clock.frame(min(scene.end, sheet.duration))
        whole = int(Fraction(handle) * clock.rate + NEARLY)
        head = min(whole, clock.start + start)
        yield Cut(scene, path, start, max(1, end - start), head, whole)
