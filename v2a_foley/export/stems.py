"""Stems as they are handed over: cut to whole frames, with the timecode of their place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import numpy as np

from v2a_foley import cache
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.export.bwf import DEPTH, ORIGINATOR, Broadcast, write_broadcast
from v2a_foley.export.timecode import Clock
from v2a_foley.media.audio import RATE, Sound, length_of
from v2a_foley.media.meter import measure

NEARLY = Fraction(1, 100)  # of a frame that may be missing at a handle's end: 0.4 ms


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


def cut_stem(
    sheet: CueSheet,
    scene: Scene,
    path: Path,
    stem: Sound,
    handle: float,
    kept: float,
    clock: Clock,
) -> tuple[Cut, Sound]:
    """Cut a scene's stem, which begins ``handle`` seconds before it, to whole frames.

    ``path`` is the file it will be. Of the ``kept`` seconds of handle whole frames are; none
    before timecode 00:00:00:00, which a broadcast WAV cannot state. What the stem does not reach
    is silent.
    """
    start, end = clock.frame(scene.start), clock.frame(min(scene.end, sheet.duration))
    whole = int(Fraction(kept) * clock.rate + NEARLY)
    channels = 1 if stem.ndim == 1 else stem.shape[1]
    head = min(whole, clock.start + start)
    cut = Cut(scene, path, start, max(1, end - start), head, whole, channels)
    origin = length_of(scene.start) - length_of(handle)
    first, last = (clock.sample(frame) - origin for frame in (cut.first, cut.last))
    piece = stem[max(first, 0) : max(last, 0)]
    lead = min(max(-first, 0), last - first)
    rest = last - first - lead - len(piece)
    return cut, np.pad(piece, ((lead, rest), *((0, 0),) * (stem.ndim - 1)))


def write_stem(
    sheet: CueSheet, cut: Cut, audio: Sound, clock: Clock, *, overwrite: bool = False
) -> None:
    """Write a scene's stem as broadcast WAV.

    Raises:
        InputError: the file must not be written.
        MediaError: the sound holds NaN or infinity, or the disk is full.
    """
    scene = cut.scene
    tags = ", ".join(tag.concept for tag in scene.tags[:3])
    words = f"scene {scene.id} of {sheet.video.name}: {tags or scene.preset}"
    if cut.head or cut.tail:
        bounds = clock.timecode(cut.start), clock.timecode(cut.start + cut.frames)
        words += f"; scene from {bounds[0]} to {bounds[1]}"
    _write(sheet, cut.path, audio, words, scene.id, clock.since_midnight(cut.first), overwrite)


def write_track(
    sheet: CueSheet, path: Path, audio: Sound, clock: Clock, *, overwrite: bool = False
) -> None:
    """Write the whole programme as broadcast WAV; it begins with the picture."""
    words = f"foley of {sheet.video.name}"
    _write(sheet, path, audio, words, "", clock.since_midnight(0), overwrite)


def _write(
    sheet: CueSheet, path: Path, audio: Sound, words: str, name: str, at: int, overwrite: bool
) -> None:
    mode = {1: "mono", 2: "stereo"}[1 if audio.ndim == 1 else audio.shape[1]]
    coding = f"A=PCM,F={RATE},W={DEPTH},M={mode},T={ORIGINATOR} {version(ORIGINATOR)}"
    about = Broadcast(
        description=words,
        reference=cache.key(sheet.fingerprint, sheet.seed, name, words)[:32],
        time_reference=at,
        made=datetime.now().astimezone(),
        history=f"{coding}; model pack {sheet.pack}",
        loudness=measure([audio if audio.ndim == 2 else audio[:, np.newaxis]]),
    )
    write_broadcast(path, audio, about, overwrite=overwrite)
