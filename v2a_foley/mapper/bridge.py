"""The bridge mapper: no training, a bank of phrases joins the two spaces."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from v2a_foley.mapper.protocol import Generators

if TYPE_CHECKING:
    from v2a_foley.models.clap import Clap
    from v2a_foley.models.clip import Clip


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sound concept: what it is called, its group, how it looks and how it sounds."""

    concept: str
    group: str
    visual: str
    sound: str


@cache
def phrases() -> tuple[Phrase, ...]:
    """The phrase bank that ships with the package."""
    bank = resources.files("v2a_foley.mapper") / "phrases.tsv"
    with bank.open(encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return tuple(Phrase(r["concept"], r["group"], r["visual"], r["sound"]) for r in rows)


class Bridge:
    """Softmax attention from an image over visual phrases to the phrases' sounds.

    Keys are CLIP text embeddings of the visual phrases, values CLAP text embeddings of the
    sound phrases. ``temperature`` divides the cosines (lower: fewer phrases count);
    ``top_k`` phrases are kept.
    """

    kind = "bridge"
    per_window = True

    def __init__(
        self, keys: torch.Tensor, values: torch.Tensor, temperature: float = 0.02, top_k: int = 8
    ) -> None:
        self.keys, self.values = normalize(keys, dim=-1), normalize(values, dim=-1)
        self.temperature = temperature
        self.top_k = min(top_k, len(keys))

    def weights(self, visual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention over the best phrases: weights and indices, both ``(n, top_k)``."""
        cosines = normalize(visual.float(), dim=-1) @ self.keys.T
        best = cosines.topk(self.top_k, dim=-1)
        return (best.values / self.temperature).softmax(-1), best.indices

    def map(self, scenes: Sequence[torch.Tensor], *, generator: Generators = None) -> torch.Tensor:
        """See :class:`v2a_foley.mapper.protocol.Mapper`; the frames' mean is what is mapped."""
        weights, indices = self.weights(torch.stack([frames.mean(0) for frames in scenes]))
        return normalize((weights.unsqueeze(-1) * self.values[indices]).sum(1), dim=-1)


def bank(clip: Clip, clap: Clap) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys ``(k, d_clip)`` and values ``(k, d_clap)`` of the phrase bank for a CLIP and a CLAP."""
    rows = phrases()
    keys = torch.from_numpy(clip.phrases([row.visual for row in rows]))
    values = torch.from_numpy(clap.texts([row.sound for row in rows]))
    return keys, values
