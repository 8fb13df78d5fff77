"""Stems: a generated wave cut, levelled and brought to 48 kHz for its scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.level import BLOCK, set_level

LEVEL_DB, PEAK_DB = -23.0, -1.0  # of the active part, so that scenes start equally loud


def stem_path(sheet: CueSheet, scene: Scene) -> Path:
    """Where render leaves a scene's stem and deliver finds it."""
    return sheet.artefacts / "stems" / f"{scene.id}.wav"


def take_path(sheet: CueSheet, scene: Scene, number: int) -> Path:
    """Where render leaves a scene's candidates, numbered from 1, to be heard."""
    return sheet.artefacts / "takes" / scene.id / f"{number}.wav"


def fit(wave: np.ndarray, rate: int, seconds: float) -> np.ndarray:
    """Make a stem of ``seconds`` at 48 kHz, float32 ``(samples,)``, from a generated wave.

    A wave that is longer is cut to its most sounding part, so that a short scene is not given
    the pause between two events. DC is removed; the active part comes to -23 dBFS.
    """
    from v2a_foley.media.audio import RATE, length_of, resample

    length = length_of(seconds)
    wave = wave - wave.mean(dtype=np.float64).astype(np.float32)
    need = int(np.ceil(seconds * rate))
    start = busiest(wave, need, round(BLOCK * rate))
    audio = resample(np.ascontiguousarray(wave[start : start + need], np.float32), rate)
    audio = audio[:length]
    if len(audio) < length:  # rounding of the rates
        audio = np.pad(audio, (0, length - len(audio)))
    return set_level(audio, RATE, LEVEL_DB, PEAK_DB)


def busiest(wave: np.ndarray, need: int, block: int) -> int:
    """Start of the ``need`` samples with the most energy; the earliest of about equal ones."""
    spare = len(wave) - need
    if spare < block:
        return 0
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    starts = np.arange(0, spare + 1, block)
    sums = energy[starts + need] - energy[starts]
    return int(starts[np.argmax(sums >= 0.9 * sums.max())])
