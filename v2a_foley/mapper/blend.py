"""The blend: the bridge's estimate joined with that of a mapper that was trained on pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from v2a_foley.mapper.protocol import Generators, Mapper

SHARE = 0.4  # of the trained mapper


class Blend:
    """The bridge knows every word, pairs have taught which looks go with which real sounds.

    The weighted mean of both embeddings, unit length (see :class:`Mapper`).
    """

    kind = "blend"

    def __init__(self, bridge: Mapper, trained: Mapper, share: float = SHARE) -> None:
        self.bridge, self.trained, self.share = bridge, trained, share
        self.per_window = trained.per_window

    def map(self, scenes: Sequence[torch.Tensor], *, generator: Generators = None) -> torch.Tensor:
        """See :class:`v2a_foley.mapper.protocol.Mapper`."""
        named = self.bridge.map(scenes, generator=generator)
        taught = self.trained.map(scenes, generator=generator)
        return normalize((1 - self.share) * named + self.share * taught, dim=-1)
