"""Deliveries for the hand-over's tests: a clip, a cue sheet on its frames, stems with a click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media.made import H264, lavfi, make
from v2a_foley import cuesheet
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.delivery import Delivery, deliver
from v2a_foley.media.audio import RATE, write_wav
from v2a_foley.presets import Tag
from v2a_foley.stems import stem_path

RATES = {"24": 24, "25": 25, "29.97": Fraction(30_000, 1001), "23.976": Fraction(24_000, 1001)}
BOUNDS = ((0, 31), (31, 57), (60, 90))
"""Frames of the scenes; nothing covers frames 57 to 60."""
FRAMES = 96
HANDLE = 0.26  # no whole number of frames at any rate
CLICK = 0.3
"""Seconds after a scene's start at which its stem has its only loud sample."""


class Notes:
    """Keeps what a delivery tells of."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, name: str, share: float) -> None:
        """Nothing to keep."""

    def note(self, message: str) -> None:
        """Keep it."""
        self.lines.append(message)


@dataclass(frozen=True)
class Made:
    """A delivery with what it was made from."""

    rate: Fraction
    sheet: CueSheet
    delivery: Delivery
    notes: list[str]

    @property
    def folder(self) -> Path:
        return self.delivery.output.parent


def clip(path: Path, rate: Fraction | int, *arguments: str, sound: bool = True) -> Path:
    """A test picture of `FRAMES` frames, with a tone."""
    seconds = f"{float(FRAMES / Fraction(rate)):.6f}"
    graphs = [f"testsrc2=s=64x48:r={rate}"] + ["sine=440"] * sound
    ends = ("-frames:v", str(FRAMES), "-t", seconds)
    return make(path, *lavfi(*graphs), *H264, "-c:a", "aac", *ends, *arguments)


def sheet_of(
    video: Path,
    rate: Fraction | int,
    bounds: Sequence[tuple[int, int]] = BOUNDS,
    handle: float = HANDLE,
    channels: int = 1,
) -> CueSheet:
    """A saved cue sheet whose scenes lie on frames, and its stems: a faint noise and a click."""
    times = [[float(frame / Fraction(rate)) for frame in pair] for pair in bounds]
    tags = (Tag("dog <b>", "animals", 0.5),)
    scenes = [
        Scene(f"{number:03}", start, end, "default", number, tags)
        for number, (start, end) in enumerate(times, start=1)
    ]
    length = float(FRAMES / Fraction(rate))
    sheet = CueSheet(video, length, "fingerprint", tuple(scenes))
    sheet = cuesheet.save(sheet, video.parent / "clip.cues.toml")
    for scene in sheet.scenes:
        samples = round((scene.duration + 2 * handle) * RATE)
        rng = np.random.default_rng(scene.seed)
        audio = rng.normal(0, 0.01, (samples, channels)).astype(np.float32)
        audio[round((handle + CLICK) * RATE)] = 0.5
        write_wav(stem_path(sheet, scene), audio.squeeze(), overwrite=True)
    return sheet


def delivered(folder: Path, rate: Fraction | int, name: str = "clip.mov", **given: Any) -> Made:
    """Everything that can be handed over, of a clip that starts at 10:00:00:00."""
    video = folder / name
    if not video.exists():
        clip(video, rate, "-timecode", "10:00:00:00")
    sheet = sheet_of(video, rate)
    notes = Notes()
    usual = {
        "stems": folder / "stems",
        "timelines": [folder / f"cut{suffix}" for suffix in (".otio", ".xml", ".fcpxml", ".edl")],
        "sidecar": folder / "cut.json",
    }
    made = deliver(sheet, folder / "out.mov", progress=notes, **usual | given)
    return Made(Fraction(rate), sheet, made, notes.lines)


def time_reference(path: Path) -> int:
    """Samples since midnight, as ffmpeg's own reader finds them."""
    with av.open(f"file:{path}") as media:
        return int(media.metadata["time_reference"])
