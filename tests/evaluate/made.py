"""Small untrained mapper files for the starter pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from v2a_foley.mapper import checkpoint, kinds
from v2a_foley.mapper.checkpoint import Header
from v2a_foley.mapper.config import (
    Config,
    DiffusionSettings,
    FrameSettings,
    RegressionSettings,
    TrainingSettings,
    header,
)
from v2a_foley.models.bundle import Models

SETTINGS = {
    "regression": RegressionSettings(width=32, blocks=1),
    "diffusion": DiffusionSettings(layers=1, heads=2, head_width=8, steps=2, samples=1),
}


def mapper_file(
    path: Path,
    models: Models,
    kind: str = "regression",
    *,
    clip_id: str | None = None,
    fingerprint: np.ndarray | None = None,
    d_clip: int = 512,
    scale: float = 1.0,
) -> Path:
    """Write a mapper with random weights; ``scale`` multiplies them."""
    torch.manual_seed(0)
    config = Config(kind, FrameSettings(), SETTINGS[kind], TrainingSettings())
    network = kinds.build(d_clip, 512, config.frames, config.model)
    tensors = {key: value * scale for key, value in network.state_dict().items()}
    own = Header(kind, header(config, d_clip, 512), clip_id or models.pack.clip_id)
    prints = models.bank.fingerprint if fingerprint is None else fingerprint
    checkpoint.save(path, own, tensors, prints)
    return path
