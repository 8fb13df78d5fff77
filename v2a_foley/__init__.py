"""Puts sound on video: ``spot`` finds scenes, ``render`` makes stems, ``deliver`` finishes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from v2a_foley.cuesheet import CueSheet, Scene
    from v2a_foley.delivery import Delivery, deliver
    from v2a_foley.errors import FoleyError
    from v2a_foley.models.bundle import Models
    from v2a_foley.pipeline import Result, foley
    from v2a_foley.presets import Preset
    from v2a_foley.rendering import RenderedScene, render
    from v2a_foley.spotting import SpotSettings, spot

_HOMES = {
    "CueSheet": "cuesheet", "Scene": "cuesheet", "Delivery": "delivery", "deliver": "delivery",
    "FoleyError": "errors", "Result": "pipeline", "foley": "pipeline", "Models": "models.bundle",
    "Preset": "presets", "RenderedScene": "rendering", "render": "rendering",
    "SpotSettings": "spotting", "spot": "spotting",
}  # fmt: skip

__all__ = [
    "CueSheet", "Delivery", "FoleyError", "Models", "Preset", "RenderedScene", "Result", "Scene",
    "SpotSettings", "deliver", "foley", "render", "spot",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that ``import v2a_foley`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'v2a_foley' has no attribute '{name}'")
    return getattr(importlib.import_module(f"v2a_foley.{_HOMES[name]}"), name)
