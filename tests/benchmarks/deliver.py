"""``deliver``: what the strip, the mix and the finished file cost a minute of sound."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.clips import measured
from tests.media.made import H264, lavfi, make, noise
from v2a_foley import cuesheet
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.media.audio import write_wav
from v2a_foley.media.probe import probe
from v2a_foley.stems import stem_path

LENGTH, HANDLE = 5.0, 0.125  # seconds of a scene and of its handle
STRIP = {
    "gain_db": -3.0, "fade_in": 0.5, "fade_out": 0.5, "high_pass": 80.0, "low_pass": 12000.0,
    "pan": 0.3, "width": 0.7,
}  # fmt: skip


def main(minutes: str = "10") -> None:
    """Print wall and CPU seconds a minute of sound, and the peak memory, of some deliveries."""
    cases: dict[str, tuple[dict[str, object], list[str]]] = {
        "replace, no strip, .mkv": ({}, ["mkv"]),
        "replace, every strip in full, .mkv": (STRIP, ["mkv"]),
        "mix, .mkv": ({}, ["mkv", "--mode", "mix"]),
        "duck, .mkv": ({}, ["mkv", "--mode", "duck"]),
        "replace, .mp4": ({}, ["mp4"]),
        "replace, .mp4, limited to -9 LUFS": ({}, ["mp4", "--loudness=-9"]),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sheet = made_sheet(folder, float(minutes) * 60)
        for words, (mix, (suffix, *flags)) in cases.items():
            cuesheet.save(replace(sheet, defaults={"mix": mix}), folder / "long.cues.toml")
            argv = [sys.executable, "-m", "v2a_foley", "deliver", str(folder / "long.cues.toml"),
                    "-o", str(folder / f"out.{suffix}"), "--overwrite", *flags]  # fmt: skip
            cost = measured(argv, {})
            wall, cpu = cost.wall / float(minutes), cost.cpu / float(minutes)
            shares = f"{wall:.2f} s a minute, {cpu:.2f} s of CPU"
            print(f"{words}: {shares}, peak {cost.peak / 2**20:.0f} MiB", flush=True)


def made_sheet(folder: Path, seconds: float) -> CueSheet:
    """A long clip with sound, and a stem of noise for every five seconds."""
    sources = lavfi(f"testsrc2=s=320x180:r=25:d={seconds}", f"anoisesrc=d={seconds}:a=0.05")
    video = make(folder / "long.mp4", *sources, *H264, "-c:a", "aac")
    scenes = tuple(
        Scene(f"{number + 1:04d}", number * LENGTH, (number + 1) * LENGTH, "default", number)
        for number in range(round(seconds / LENGTH))
    )
    sheet = CueSheet(video, probe(video).duration, "made", scenes)
    sheet = cuesheet.save(sheet, folder / "long.cues.toml")
    for number, scene in enumerate(scenes):
        write_wav(stem_path(sheet, scene), noise(LENGTH + 2 * HANDLE, seed=number)[:, 0])
    return sheet
