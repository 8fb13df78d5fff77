"""The kinds of trained mappers by name."""

from __future__ import annotations

from v2a_foley.mapper.config import DiffusionSettings, FrameSettings, ModelSettings
from v2a_foley.mapper.network import Network


def build(d_clip: int, d_clap: int, frames: FrameSettings, model: ModelSettings) -> Network:
    """An untrained mapper from ``d_clip`` to ``d_clap`` dimensions; ``model`` says which kind."""
    if isinstance(model, DiffusionSettings):
        from v2a_foley.mapper.diffusion import Diffusion

        return Diffusion(d_clip, d_clap, frames, model)
    from v2a_foley.mapper.regression import Regression

    return Regression(d_clip, d_clap, frames, model)
