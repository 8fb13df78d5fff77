"""A cue sheet as render leaves it: takes, stems, what spot saw and what all was made of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.media.made import H264, lavfi, make
from v2a_foley import cuesheet, frames, provenance
from v2a_foley.cuesheet import CueSheet, Scene, resolve
from v2a_foley.frames import Frames
from v2a_foley.media.audio import RATE, write_wav
from v2a_foley.presets import Tag
from v2a_foley.spotting import fingerprint
from v2a_foley.stems import stem_path, take_path

HANDLE = 0.1
HOSTILE = "<script>alert(1)<%script> \"&'{{7*7}}.mp4".replace("%", "\N{FRACTION SLASH}")
LENGTHS = (1.2, 2.0, 0.8)
PICTURES = ("testsrc2=s=320x180:r=25:d={}", "mandelbrot=s=320x180:r=25,trim=duration={}",
            "smptebars=s=320x180:r=25:d={}")  # fmt: skip


def video(path: Path) -> Path:
    """Three shots with a tone."""
    shots = [each.format(length) for each, length in zip(PICTURES, LENGTHS, strict=True)]
    shapes = "".join(f"[{i}:v]setsar=1,format=yuv420p[v{i}];" for i in range(3))
    graph = f"{shapes}[v0][v1][v2]concat=n=3:v=1[v]"
    sound = f"sine=440:d={sum(LENGTHS)}"
    maps = ("-filter_complex", graph, "-map", "[v]", "-map", "3:a", "-c:a", "aac")
    return make(path, *lavfi(*shots, sound), *maps, *H264)


def spotted(folder: Path, clip: Path, *, concept: str = "dog", **changes: Any) -> CueSheet:
    """A sheet of three scenes as spot writes it."""
    ends = np.cumsum(LENGTHS).round(3)
    scenes = tuple(
        Scene(
            f"{number:03d}", float(end - length), float(end), preset, 10 * number,
            (Tag(concept, "animals", 0.62), Tag("street traffic", "city", 0.2)),
        )
        for number, end, length, preset in zip(
            (1, 2, 3), ends, LENGTHS, ("animals", "city", "default"), strict=True
        )
    )  # fmt: skip
    total = float(ends[-1])
    sheet = CueSheet(clip, total, fingerprint(clip), scenes, **changes)
    saved = cuesheet.save(sheet, folder / "clip.cues.toml")
    times = np.arange(0.04, total, 0.04, np.float32)
    motion = np.abs(np.sin(3 * times)).astype(np.float32)
    unit = np.eye(4, dtype=np.float32)
    frames.save(Frames(np.arange(4.0), unit, times, motion, "tiny"), saved.artefacts)
    return saved


def rendered(sheet: CueSheet) -> CueSheet:
    """Give a sheet its takes and stems: three for a scene, the second in use, the third bad."""
    records = []
    for scene in sheet.scenes:
        for number in (1, 2, 3):
            write_wav(take_path(sheet, scene, number), beeps(scene.duration, number))
        write_wav(stem_path(sheet, scene), beeps(scene.duration, 2))
        records.append(record(sheet, scene))
    provenance.save(sheet.artefacts, records)
    return sheet


def beeps(seconds: float, number: int) -> np.ndarray:
    """A tone for each candidate, on and off, scene and handles long: ``(samples,)``."""
    time = np.arange(round((seconds + 2 * HANDLE) * RATE)) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 300 * number * time) * (time % 0.5 < 0.25)
    return tone.astype(np.float32)


def record(sheet: CueSheet, scene: Scene) -> dict[str, Any]:
    """What render tells of a scene."""
    credit = {
        "label": "dog bark", "caption": "a dog barks", "made": "recorded", "licence": "CC0-1.0",
        "package": "barks", "path": "bark.ogg",
    }  # fmt: skip
    candidates = [
        {
            "number": number, "seed": scene.seed + number - 1, "similarity": 0.1 * number + 0.2,
            "speech": 0.02, "music": 0.31 if number == 3 else 0.01,
            "fault": "music" if number == 3 else "", "offset": 0.042, "sources": [credit],
        }
        for number in (1, 2, 3)
    ]  # fmt: skip
    return {
        "scene": scene.id, "seed": scene.seed + 1, "similarity": 0.4, "pick": 2, "handle": HANDLE,
        "generation": asdict(resolve(sheet, scene).generation), "timing": {"sync": "free"},
        "sources": [credit, credit],
        "notes": ["rejected: 3 (music)"], "changed": [f"seed 1 -> {scene.seed}"],
        "candidates": candidates, "inputs": {"seed": scene.seed, "pick": None},
    }  # fmt: skip
