"""The regression mapper: a residual MLP to the mean of what sounds there (V2A-Mapper, 3.2)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cosine_similarity, mse_loss

from v2a_foley.mapper.config import FrameSettings, RegressionSettings
from v2a_foley.mapper.network import Network
from v2a_foley.mapper.protocol import Generators


class Block(nn.Module):
    """A residual block; it starts as the identity."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        last = nn.Linear(width, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), last
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, width)`` to the same."""
        return x + self.layers(x)


class Regression(Network):
    """Aggregated frames through residual blocks to the CLAP audio embedding."""

    kind = "regression"

    def __init__(
        self, d_clip: int, d_clap: int, frames: FrameSettings, model: RegressionSettings
    ) -> None:
        super().__init__(d_clip, d_clap, frames, model.dropout)
        self.loss = model.loss
        self.body = nn.Sequential(
            nn.Linear(self.aggregate.width, model.width),
            *(Block(model.width, model.dropout) for _ in range(model.blocks)),
            nn.LayerNorm(model.width),
            nn.Linear(model.width, d_clap),
        )

    def forward(
        self, frames: torch.Tensor, mask: torch.Tensor, audio: torch.Tensor
    ) -> torch.Tensor:
        """See :meth:`Network.forward`."""
        made = self.embed(frames, mask, None).float()
        if self.loss == "cosine":
            return 1 - cosine_similarity(made, audio, dim=-1).mean()
        return mse_loss(made, audio * self.scale)

    def embed(
        self, frames: torch.Tensor, mask: torch.Tensor, generators: Generators
    ) -> torch.Tensor:
        """See :meth:`Network.embed`."""
        return self.body(self.aggregate(frames, mask))
