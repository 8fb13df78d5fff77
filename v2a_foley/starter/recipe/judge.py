"""An independent judge of what a sound is: logistic regression on mel statistics.

It shares nothing with the models it judges: no network of theirs trains it, conditions on it
or ranks with it. It learns from the real training recordings and is first tried on real
held-out ones, so that every figure stands beside what real sounds get.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from v2a_foley.level import set_level
from v2a_foley.models.mel import HOP, SAMPLE_RATE, log_mel
from v2a_foley.starter.recipe.data import Recording, window


def describe(wave: np.ndarray) -> torch.Tensor:
    """Statistics of a 16 kHz wave: spectrum, its spread and change, and the envelope's rhythm."""
    mel = log_mel(torch.from_numpy(set_level(wave.astype(np.float32), SAMPLE_RATE))[None])[0]
    energy = mel.exp().sum(1)
    active = mel[energy > energy.max() * 1e-3]
    quantiles = torch.quantile(active, torch.tensor([0.1, 0.5, 0.9]), dim=0)
    change = mel.diff(dim=0).abs().mean(0)
    bands = mel.reshape(len(mel), 8, 8).mean(2)
    rhythm = torch.fft.rfft(bands - bands.mean(0), n=512, dim=0).abs()[1:129]
    rhythm = rhythm.reshape(8, 16, 8).mean(1).clamp_min(1e-3).log()
    share = torch.tensor([len(active) / len(mel)])
    parts = [active.mean(0), active.std(0), *quantiles, change, rhythm.flatten(), share]
    return torch.cat(parts)


class Judge:
    """Ranks classes for a sound."""

    def __init__(self, items: Sequence[Recording], copies: int = 3, seed: int = 11) -> None:
        rng = random.Random(seed)
        self.labels = sorted({item.label for item in items})
        rows, targets = [], []
        for item in items:
            for _ in range(copies):
                rows.append(describe(window(item.audio, item.label, rng)))
                targets.append(self.labels.index(item.label))
        x, y = torch.stack(rows), torch.tensor(targets)
        self.mean, self.std = x.mean(0), x.std(0) + 1e-3
        weight = torch.bincount(y, minlength=len(self.labels)).float().clamp_min(1) ** -0.5
        torch.manual_seed(seed)
        self.model = nn.Linear(x.shape[1], len(self.labels))
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3, weight_decay=0.3)
        x = (x - self.mean) / self.std
        for _ in range(400):
            index = torch.randint(0, len(x), (256,))
            noisy = x[index] + 0.2 * torch.randn(256, x.shape[1])
            loss = nn.functional.cross_entropy(self.model(noisy), y[index], weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def scores(self, wave: np.ndarray) -> torch.Tensor:
        """Scores ``(classes,)`` of a 16 kHz wave, in the order of ``labels``."""
        return self.model((describe(wave) - self.mean) / self.std)

    def first(self, wave: np.ndarray) -> str:
        """The class that a 16 kHz wave is taken for."""
        return self.labels[int(self.scores(wave).argmax())]

    def rank(self, wave: np.ndarray, label: str) -> int:
        """How many classes the judge puts before ``label`` for a 16 kHz wave."""
        scores = self.scores(wave)
        return int((scores > scores[self.labels.index(label)]).sum())


def shares(ranks: Sequence[int]) -> tuple[float, float]:
    """Share of ranks in the top 1 and in the top 5."""
    table = np.asarray(ranks)
    return float((table < 1).mean()), float((table < 5).mean())


assert SAMPLE_RATE // HOP == 100  # the statistics above count in frames of 10 ms
