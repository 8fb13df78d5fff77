"""Aggregation: from the CLIP embeddings of an item's frames to the one vector that is mapped."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from v2a_foley.mapper.config import FrameSettings


def gather(scenes: Sequence[torch.Tensor], most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack items ``(f_i, d)``: frames ``(n, f, d)`` padded with zeros, and which are none.

    The mask ``(n, f)`` is true where there is a frame. Of more than ``most`` frames that many
    are picked evenly.
    """
    picked = [_evenly(frames, most) for frames in scenes]
    lengths = torch.tensor([len(frames) for frames in picked])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return pad_sequence(picked, batch_first=True), mask


def _evenly(frames: torch.Tensor, most: int) -> torch.Tensor:
    if len(frames) <= most:
        return frames
    return frames[torch.linspace(0, len(frames) - 1, most).round().long()]


class Mean(nn.Module):
    """The frames' mean: the paper's aggregator."""

    def __init__(self, d_clip: int) -> None:
        super().__init__()
        self.width = d_clip

    def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``(n, f, d)`` and ``(n, f)`` to ``(n, d)``, of unit variance."""
        return _scaled((frames * mask[..., None]).sum(1))


class Attention(nn.Module):
    """A mean weighted by how well each frame answers a learned query; it starts as the mean."""

    def __init__(self, d_clip: int) -> None:
        super().__init__()
        self.width = d_clip
        self.query = nn.Linear(d_clip, 1, bias=False)
        nn.init.zeros_(self.query.weight)

    def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As :meth:`Mean.forward`."""
        scores = self.query(frames * self.width**0.5).squeeze(-1)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        return _scaled((frames * weights[..., None]).sum(1))


class KeyFrame(Mean):
    """One frame: the one nearest to the mean of all, so the most typical and never a stray."""

    def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As :meth:`Mean.forward`."""
        mean = super().forward(frames, mask)
        cosines = torch.einsum("nfd,nd->nf", frames, mean).masked_fill(~mask, -torch.inf)
        return _scaled(frames[torch.arange(len(frames)), cosines.argmax(1)])


class Transformer(nn.Module):
    """A small transformer over the frames and a learned token, whose output is the vector.

    It has no positions: the frames are a set, so that a scene of any length means the same to it.
    """

    def __init__(self, d_clip: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.scale = d_clip**0.5
        self.project = nn.Linear(d_clip, width)
        self.token = nn.Parameter(torch.randn(width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``(n, f, d_clip)`` and ``(n, f)`` to ``(n, width)``, of unit variance."""
        tokens = self.token.expand(len(frames), 1, -1)
        joined = torch.cat([tokens, self.project(frames * self.scale)], 1)
        padding = nn.functional.pad(~mask, (1, 0), value=False)
        return self.encoder(joined, src_key_padding_mask=padding)[:, 0]


Aggregator = Mean | Attention | Transformer


def build(settings: FrameSettings, d_clip: int, dropout: float) -> Aggregator:
    """The aggregator that ``settings`` names."""
    if settings.aggregation == "transformer":
        return Transformer(d_clip, settings.width, settings.layers, settings.heads, dropout)
    pooled: dict[str, type[Mean | Attention]] = {
        "mean": Mean,
        "attention": Attention,
        "key_frame": KeyFrame,
    }
    return pooled[settings.aggregation](d_clip)


def _scaled(pooled: torch.Tensor) -> torch.Tensor:
    """Length sqrt(d), as networks expect their input: every dimension of about unit variance."""
    return normalize(pooled, dim=-1) * pooled.shape[-1] ** 0.5
