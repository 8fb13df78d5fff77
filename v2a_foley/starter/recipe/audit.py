"""Looks at generated sounds as a set: how near to real ones they are, and whether any is a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from v2a_foley.evaluate.distances import frechet
from v2a_foley.models.mel import log_mel
from v2a_foley.starter.recipe.judge import Judge

COMPONENTS = 32  # of the judge's statistics: fewer than the sounds in a set
COPY = 0.9  # correlation of two spectrograms from which on one is called a copy of the other


def frechet_ratio(judge: Judge, made: list[np.ndarray], real: list[np.ndarray]) -> float:
    """Distance of ``made`` to one half of ``real``, over that between the halves of ``real``.

    Of the judge's statistics, standardised, in the principal directions of the real sounds.
    Both halves and ``made`` are of one size: the estimate is biased by it.
    """
    size = min(len(made), len(real) // 2)
    rows = [judge.standard(waves) for waves in (made, real)]
    centre = rows[1].mean(0)
    basis = torch.linalg.svd(rows[1] - centre, full_matrices=False).Vh[:COMPONENTS].T
    own, truth = [((row - centre) @ basis).numpy() for row in rows]
    halves = truth[0 : 2 * size : 2], truth[1 : 2 * size : 2]
    apart = [frechet(own[:size], half) for half in halves]
    return float(np.mean(apart) / frechet(*halves))


def shapes(waves: Sequence[np.ndarray]) -> torch.Tensor:
    """Coarse spectrograms ``(n, 16, 128)`` of 5.12 s, zero mean and unit length."""
    rows = []
    for wave in waves:
        mel = log_mel(torch.from_numpy(np.resize(wave.astype(np.float32), 81_920))[None])
        coarse = torch.nn.functional.avg_pool2d(mel, 4)[0].T
        coarse = coarse - coarse.mean()
        rows.append(coarse / coarse.norm().clamp_min(1e-6))
    return torch.stack(rows)


def nearest(waves: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> np.ndarray:
    """For each wave the highest correlation of its spectrogram with one of ``known``, ``(n,)``.

    Over all shifts in time, so that a copy that begins elsewhere is found.
    """
    transformed = torch.fft.rfft(shapes(known), dim=2)
    best = []
    for shape in torch.fft.rfft(shapes(waves), dim=2):
        match = torch.fft.irfft((transformed.conj() * shape).sum(1), n=128, dim=1)
        best.append(float(match.max()))
    return np.array(best)
