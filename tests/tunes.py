"""Made music: tunes with chords and, if asked, drums, played by four instruments."""

from __future__ import annotations

import numpy as np

RATE = 16_000
INSTRUMENTS = ("pluck", "organ", "strings", "bells")
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)


def tune(instrument: str, seed: int, *, drums: bool = False, seconds: float = 5.0) -> np.ndarray:
    """A tune of one of :data:`INSTRUMENTS`, float32 ``(samples,)`` at 16 kHz, peak 0.5."""
    rng = np.random.default_rng(seed)
    wave = np.zeros(round((seconds + 3) * RATE))
    beat, base = rng.uniform(0.25, 0.6), rng.choice([110.0, 146.8, 220.0, 261.6])
    time = 0.0
    while time < seconds:
        chord = (0, 2, 4) if rng.random() < 0.4 else ()
        for step in (rng.integers(8), *chord):
            length = beat * rng.choice([0.5, 1, 1, 2])
            _add(wave, time, _note(base * 2 ** (SCALE[step] / 12), length, instrument))
        if drums:
            _add(wave, time, _drum(rng, 0.15, 25.0, low=True))
            _add(wave, time + beat / 2, _drum(rng, 0.06, 60.0, low=False))
        time += beat
    wave = wave[: round(seconds * RATE)]
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def _note(pitch: float, length: float, instrument: str) -> np.ndarray:
    held = instrument in ("organ", "strings")
    t = np.arange(round((length if held else 2.5) * RATE)) / RATE
    phase = 2 * np.pi * pitch * t
    if instrument == "pluck":
        return sum(np.sin(k * phase) / k * np.exp(-t * (2 + k)) for k in range(1, 8))
    if instrument == "bells":
        return sum(np.sin(k * phase) * np.exp(-t * (1 + k)) for k in (1, 2.76, 5.4, 8.9))
    swell = np.minimum(1, np.minimum(t, length - t) / (0.03 if instrument == "organ" else 0.1))
    if instrument == "organ":
        return swell * sum(np.sin(k * phase) / k for k in (1, 2, 3, 4, 6))
    phase = phase - 0.006 * pitch / 5.5 * np.cos(2 * np.pi * 5.5 * t)  # vibrato
    return swell * sum(np.sin(k * phase) / k for k in range(1, 12))


def _drum(rng: np.random.Generator, length: float, decay: float, *, low: bool) -> np.ndarray:
    t = np.arange(round(length * RATE)) / RATE
    struck = 2 * np.sin(2 * np.pi * 60 * t * (1 + np.exp(-t * 40))) if low else None
    return (rng.normal(0, 0.6, len(t)) if struck is None else struck) * np.exp(-t * decay)


def _add(wave: np.ndarray, time: float, part: np.ndarray) -> None:
    begin = round(time * RATE)
    wave[begin : begin + len(part)] += part[: max(0, len(wave) - begin)]
