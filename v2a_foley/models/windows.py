"""Windows: sounds longer than the generator's window are made of several that overlap."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

OVERLAP = 0.25  # share of a window that overlaps the next one


def window_starts(seconds: float, window: float) -> list[float]:
    """Start of each window, in seconds, that ``seconds`` of sound are made of."""
    step = window * (1 - OVERLAP)
    beyond = math.ceil((seconds - window) / step - 1e-6)
    return [index * step for index in range(1 + max(0, beyond))]


def overlapped(
    predicted: torch.Tensor, starts: list[int], length: int, ramp: torch.Tensor
) -> torch.Tensor:
    """Weighted mean of windows ``(n, k, channels, size, bins)`` on a line of ``length`` frames."""
    n, _, channels, size, bins = predicted.shape
    if len(starts) == 1:
        return predicted[:, 0]
    total = predicted.new_zeros(n, channels, length, bins)
    weight = predicted.new_zeros(length, 1)
    for index, start in enumerate(starts):
        total[:, :, start : start + size] += predicted[:, index] * ramp
        weight[start : start + size] += ramp
    return total / weight


def joined(waves: list[np.ndarray], overlap: int) -> np.ndarray:
    """Waves whose ends overlap by ``overlap`` samples, crossfaded into one."""
    whole = waves[0]
    rise = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32))
    for wave in waves[1:]:
        middle = whole[-overlap:] * rise[::-1] + wave[:overlap] * rise
        whole = np.concatenate([whole[:-overlap], middle, wave[overlap:]])
    return whole
