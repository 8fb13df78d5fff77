"""What every mapper is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One generator, drawn from item after item, or one for each item, so that none depends on
another; None is torch's own."""


class Mapper(Protocol):
    """Maps CLIP image embeddings into CLAP's audio space (V2A-Mapper, section 3.2).

    ``per_window``: a scene longer than a window of the generator is mapped once a window, each
    from its own frames; else once for all of it.
    """

    kind: str
    per_window: bool

    def map(self, scenes: Sequence[torch.Tensor], *, generator: Generators = None) -> torch.Tensor:
        """Map each item's frames to one CLAP embedding: ``(n, d_clap)``, L2-normalised.

        ``scenes[i]``: float32 ``(f_i, d_clip)``, the L2-normalised CLIP embeddings of a scene's
        (or a window's) frames in order, at least one; the mapper aggregates them itself.
        ``generator`` seeds mappers that sample; the others ignore it. All is on the CPU.
        """
        ...
