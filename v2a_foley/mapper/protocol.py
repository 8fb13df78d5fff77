"""What every mapper is."""

from __future__ import annotations

from typing import Protocol

import torch


class Mapper(Protocol):
    """Maps CLIP image embeddings into CLAP's audio space (V2A-Mapper, section 3.2)."""

    kind: str

    def map(
        self, visual: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Map ``visual`` (float32 ``(n, d_clip)``) to ``(n, d_clap)``, both L2-normalised.

        ``generator`` seeds mappers that sample; the others ignore it.
        """
        ...
