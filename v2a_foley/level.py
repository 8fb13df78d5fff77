"""Level of the part of a sound that is heard, for sounds too short to have a loudness."""

from __future__ import annotations

import numpy as np

BLOCK = 0.02  # seconds
ACTIVE = 1e-3  # blocks within 30 dB of the loudest are active
MOST_GAIN = 100.0  # 40 dB: a quieter wave is noise, not sound


def set_level(
    wave: np.ndarray, rate: int, level_db: float = -20.0, peak_db: float = -0.5
) -> np.ndarray:
    """Bring the active part of ``wave`` (``(samples,)``) to an RMS of ``level_db`` dBFS.

    The gain stays where no peak exceeds ``peak_db``. Silence is returned as it is.
    """
    block = round(BLOCK * rate)
    power = np.square(wave, dtype=np.float64)
    if len(power) >= block:
        power = power[: len(power) // block * block].reshape(-1, block).mean(1)
    loudest = power.max(initial=0.0)
    if loudest <= 0:
        return wave
    rms = float(np.sqrt(power[power >= loudest * ACTIVE].mean()))
    peak = float(np.abs(wave).max())
    gain = min(10 ** (level_db / 20) / rms, 10 ** (peak_db / 20) / peak, MOST_GAIN)
    return (wave * gain).astype(np.float32)
