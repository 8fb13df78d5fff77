"""What the trained mappers share: a network over padded frames, which is also the mapper."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import normalize

from v2a_foley.mapper import aggregation
from v2a_foley.mapper.config import FrameSettings
from v2a_foley.mapper.protocol import Generators

CHUNK = 256  # items mapped at once


class Network(nn.Module):
    """A mapper that is trained: called, it gives the loss of a batch; :meth:`map` maps.

    Frames and targets are unit length at the outside and of length sqrt(d) within.
    """

    kind: str

    def __init__(self, d_clip: int, d_clap: int, frames: FrameSettings, dropout: float) -> None:
        super().__init__()
        self.frames = frames
        self.per_window = frames.per == "window"
        self.scale = d_clap**0.5
        self.aggregate = aggregation.build(frames, d_clip, dropout)

    def forward(
        self, frames: torch.Tensor, mask: torch.Tensor, audio: torch.Tensor
    ) -> torch.Tensor:
        """Loss of a batch: frames ``(n, f, d_clip)``, mask ``(n, f)``, audio ``(n, d_clap)``."""
        raise NotImplementedError

    def embed(
        self, frames: torch.Tensor, mask: torch.Tensor, generators: Generators
    ) -> torch.Tensor:
        """Map a batch: ``(n, d_clap)`` of any length."""
        raise NotImplementedError

    def map(self, scenes: Sequence[torch.Tensor], *, generator: Generators = None) -> torch.Tensor:
        """See :class:`v2a_foley.mapper.protocol.Mapper`."""
        device = next(self.parameters()).device
        made = []
        for at in range(0, len(scenes), CHUNK):
            some = scenes[at : at + CHUNK]
            own = generator[at : at + CHUNK] if isinstance(generator, Sequence) else generator
            frames, mask = aggregation.gather(some, self.frames.most)
            made.append(self.embed(frames.to(device), mask.to(device), own).float().cpu())
        return normalize(torch.cat(made), dim=-1)
