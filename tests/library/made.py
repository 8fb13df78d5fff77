"""Recordings for libraries: real ones, and rain, engines and knocks made of numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import soundfile

from tests.material import FOLDER

RATE = 48_000


def rain(seconds: float, seed: int = 0) -> np.ndarray:
    """Steady noise with little above 4 kHz."""
    noise = np.random.default_rng(seed).normal(0, 1, round(seconds * RATE))
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(len(noise), 1 / RATE) > 4000] *= 0.02
    wave = np.fft.irfft(spectrum, len(noise))
    return (0.1 * wave / wave.std()).astype(np.float32)


def engine(seconds: float) -> np.ndarray:
    """A hum of 41.3 Hz with ten harmonics, which breathes a little."""
    time = np.arange(round(seconds * RATE)) / RATE
    hum = sum(np.sin(2 * np.pi * 41.3 * k * time + k * k) / k for k in range(1, 11))
    return (0.1 * hum * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))).astype(np.float32)


def knocks(*times: float, seconds: float, seed: int = 0) -> np.ndarray:
    """Silence with short knocks that die away, at some times."""
    wave = np.zeros(round(seconds * RATE), np.float32)
    decay = np.exp(-np.arange(RATE // 5) / (0.02 * RATE)).astype(np.float32)
    knock = decay * np.random.default_rng(seed).normal(0, 0.2, len(decay)).astype(np.float32)
    for at in times:
        start = round(at * RATE)
        wave[start : start + len(knock)] += knock[: len(wave) - start]
    return wave


def recording(name: str) -> Path:
    """A real recording, such as ``rooster_1``."""
    return FOLDER / "sounds" / f"{name}.ogg"


def real(name: str) -> np.ndarray:
    """A real recording's wave, mono at 48 kHz."""
    wave, rate = soundfile.read(recording(name), dtype="float32")
    assert rate == RATE
    return wave


def folder_of_sounds(folder: Path) -> Path:
    """Five real recordings in two folders, a licence, and a text that is no sound."""
    for name in ("rooster_1", "thunder_1", "applause_1"):
        put(folder / f"{name}.ogg", name)
    for name in ("glass_1", "door_1"):
        put(folder / "house" / f"{name}.ogg", name)
    (folder / "LICENSE").write_text("SPDX-License-Identifier: CC-BY-SA-3.0\n")
    (folder / "notes.txt").write_text("no sound")
    return folder


def put(path: Path, name: str) -> Path:
    """A real recording under another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(recording(name), path))
