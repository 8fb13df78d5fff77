"""An independent judge of what a sound is: a logistic regression on what its ears tell.

It shares nothing with the models it judges: no network of theirs trains it, conditions on it
or ranks with it. It learns from the real training recordings and is first tried on real
held-out ones, so that every figure stands beside what real sounds get.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from v2a_foley.starter.recipe.data import Recording, window
from v2a_foley.starter.recipe.ears import statistics

Describe = Callable[[np.ndarray], torch.Tensor]


def examples(
    items: Sequence[Recording], describe: Describe = statistics, copies: int = 3, seed: int = 11
) -> torch.Tensor:
    """What ``describe`` tells of some windows of each recording, ``(n, copies, d)``."""
    rng = random.Random(seed)
    rows = [
        [describe(window(item.audio, item.label, rng)) for _ in range(copies)] for item in items
    ]
    return torch.stack([torch.stack(row) for row in rows])


class Judge:
    """Ranks classes for a sound.

    ``labels`` ``(n,)`` and ``rows`` ``(n, copies, d)`` are of the recordings it learns from, as
    :func:`examples` makes them with the same ``describe``.
    """

    def __init__(
        self,
        labels: Sequence[str],
        rows: torch.Tensor,
        describe: Describe = statistics,
        seed: int = 11,
    ) -> None:
        self.describe = describe
        self.labels = sorted(set(labels))
        y = torch.tensor([self.labels.index(label) for label in labels])
        y = y.repeat_interleave(rows.shape[1])
        x = rows.flatten(0, 1)
        self.mean, self.std = x.mean(0), x.std(0) + 1e-3
        weight = torch.bincount(y, minlength=len(self.labels)).float().clamp_min(1) ** -0.5
        torch.manual_seed(seed)
        self.model = nn.Linear(x.shape[1], len(self.labels))
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3, weight_decay=1.0)
        x = (x - self.mean) / self.std
        for step in range(400):
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 400)
            index = torch.randint(0, len(x), (256,))
            noisy = x[index] + 0.8 * torch.randn(256, x.shape[1])
            loss = nn.functional.cross_entropy(self.model(noisy), y[index], weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def standard(self, waves: Sequence[np.ndarray]) -> torch.Tensor:
        """What the ears tell of 16 kHz waves, standardised: ``(n, d)``."""
        rows = torch.stack([self.describe(wave) for wave in waves])
        return (rows - self.mean) / self.std

    @torch.no_grad()
    def scores(self, wave: np.ndarray) -> torch.Tensor:
        """Scores ``(classes,)`` of a 16 kHz wave, in the order of ``labels``."""
        scores: torch.Tensor = self.model(self.standard([wave])[0])
        return scores

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
