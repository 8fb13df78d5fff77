"""Embeds sounding videos, or pictures with sounds, into a folder of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.errors import InputError, ModelError
from v2a_foley.pairs.layout import Manifest
from v2a_foley.pairs.shards import SHARD, PairsFolder, check_folder
from v2a_foley.pairs.sources import find_sources
from v2a_foley.pairs.splits import DEFAULT_SHARES, Shares
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models
    from v2a_foley.pairs.filling import Embedded


@dataclass(frozen=True, slots=True)
class EmbedSettings:
    """How media are embedded.

    ``fps``: frames a second that CLIP sees. ``window``: seconds of sound that make a pair; None
    is the pack's own window, what its generator makes at once. ``shares``: what is held out where
    no split is stated. ``shard``: pairs after which a shard is closed.
    """

    fps: float = 2.0
    window: float | None = None
    shares: Shares = DEFAULT_SHARES
    shard: int = SHARD

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise InputError(f"{self.fps:g} frames a second: must be above 0")
        if self.window is not None and not 0.5 <= self.window <= 3600:
            raise InputError(f"a window of {self.window:g} s: must be 0.5 s or longer")


def embed(
    source: Path,
    folder: Path,
    *,
    models: Models,
    media: Path | None = None,
    settings: EmbedSettings | None = None,
    progress: Progress = SILENT,
) -> Embedded:
    """Embed a folder of videos or a table of media into the pairs folder ``folder``.

    Each source is decoded once; CLIP embeds its sampled frames, CLAP the sound of each window.
    A run that was interrupted goes on where its last whole shard ends, and ends with the same
    bytes. Sources that fail are left out and listed in ``failed.jsonl``.

    Raises:
        InputError: nothing to embed, a wrong table, or a folder of other pairs.
        ModelError: the pack has no CLAP audio tower.
        MediaError: the folder cannot be written.
    """
    from v2a_foley.pairs.filling import Filling

    settings = settings or EmbedSettings()
    check_folder(folder)
    sources = find_sources(source, media)
    progress.stage("load", 0.0)
    window = settings.window or models.pack.window
    manifest, fingerprint = _manifest(models, settings, window)
    progress.stage("load", 1.0)
    target = PairsFolder.create(folder, manifest, fingerprint)
    filling = Filling(target, models, fps=settings.fps, window=window, shard=settings.shard)
    return filling.run(sources, settings.shares, progress)


def _manifest(
    models: Models, settings: EmbedSettings, window: float
) -> tuple[Manifest, np.ndarray]:
    """What the folder will say of its models; loads all of them, so that none fails later."""
    pack = models.pack
    if not models.clap.has_audio:
        raise ModelError(
            f"model pack '{pack.name}' has no CLAP audio tower, so it cannot embed sounds: use "
            "another pack (--models), or pairs of phrases (--from-text)"
        )
    fingerprint = models.clap.fingerprint()
    d_clip = models.clip.images([np.zeros((32, 32, 3), np.uint8)]).shape[1]
    d_clap = models.clap.sounds([np.zeros(48_000, np.float32)], 48_000).shape[1]
    if d_clap != fingerprint.shape[1]:
        raise ModelError(
            f"model pack '{pack.name}': its CLAP has {fingerprint.shape[1]} dimensions for text "
            f"and {d_clap} for sound: install the pack again"
        )
    how = {
        "fps": settings.fps,
        "window": window,
        "valid": settings.shares.valid,
        "test": settings.shares.test,
        "shard": settings.shard,
    }
    return Manifest(pack.clip_id, pack.id, d_clip, d_clap, "media", how), fingerprint
