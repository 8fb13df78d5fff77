"""Pairs made of numbers: what is heard follows from what is seen, one of two ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from v2a_foley.mapper import config
from v2a_foley.mapper.config import Config
from v2a_foley.pairs.layout import Manifest, Record
from v2a_foley.pairs.shards import Pair, PairsFolder

D_CLIP, D_CLAP = 24, 16
FINGERPRINT = np.eye(8, D_CLAP, dtype=np.float32)
CLIP_ID = "made/clip"


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def write_pairs(
    folder: Path,
    count: int = 240,
    *,
    classes: int = 6,
    d_clip: int = D_CLIP,
    d_clap: int = D_CLAP,
    fingerprint: np.ndarray | None = None,
    clip_id: str = CLIP_ID,
    held_out: float = 0.2,
    seed: int = 0,
    spread: float = 0.3,
    shard: int = 100,
) -> Path:
    """Write a folder of pairs; each class looks one way and sounds in one of two ways."""
    rng = np.random.default_rng(seed)
    looks = unit(rng.normal(size=(classes, d_clip)))
    sounds = unit(rng.normal(size=(classes, 2, d_clap)))
    manifest = Manifest(clip_id, "made-1", d_clip, d_clap, "media", {})
    prints = np.eye(8, d_clap, dtype=np.float32) if fingerprint is None else fingerprint
    target = PairsFolder.create(folder, manifest, prints)
    pairs = []
    for number in range(count):
        own = number % classes
        frames = looks[own] + spread * rng.normal(size=(1 + number % 5, d_clip)) / d_clip**0.5
        way = sounds[own, int(rng.integers(2))]
        audio = way + spread * rng.normal(size=d_clap) / d_clap**0.5
        split = "valid" if rng.random() < held_out else "train"
        name = f"{number:06d}"
        record = Record(name, f"{name}.mp4", 0.0, 5.0, "", f"class {own}", split, name, name)
        pairs.append(Pair(record, unit(frames), unit(audio)))
        if len(pairs) == shard:
            target.write(pairs)
            pairs = []
    target.write(pairs)
    return folder


TINY = {
    "regression": """\
kind = "regression"
[model]
width = 32
blocks = 1
[training]
steps = 60
batch_size = 64
lr = 3e-3
warmup = 5
interval = 20
average = 0.9
""",
    "diffusion": """\
kind = "diffusion"
[model]
layers = 1
heads = 2
head_width = 16
steps = 4
[training]
steps = 60
batch_size = 64
lr = 3e-3
warmup = 5
interval = 20
average = 0.9
""",
}
"""A config of each kind that trains in a second."""


def tiny(kind: str, folder: Path, **training: float) -> Config:
    """The tiny config of a kind, with some training settings replaced."""
    path = folder / f"{kind}.toml"
    path.write_text(TINY[kind])
    return config.with_training(config.load(str(path)), training)
