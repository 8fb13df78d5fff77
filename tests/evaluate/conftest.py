from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from v2a_foley.mapper.bridge import phrases
from v2a_foley.models.bundle import Models
from v2a_foley.pairs.layout import Manifest, Record
from v2a_foley.pairs.shards import Pair, PairsFolder

CONCEPTS = ("dog", "cat", "horse", "thunder", "helicopter", "rain", "violin", "campfire")


def unit(points: np.ndarray) -> np.ndarray:
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


def noisy(point: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """A unit vector that noise of this length was added to."""
    return unit(point + length * unit(rng.normal(size=point.shape)))


def manifest(models: Models, **changes: object) -> Manifest:
    values = {
        "clip_id": models.pack.clip_id, "pack": models.pack.id, "d_clip": 512, "d_clap": 512,
        "kind": "media", "settings": {},
    }  # fmt: skip
    return Manifest(**(values | changes))  # type: ignore[arg-type]


def make_pairs(
    folder: Path,
    models: Models,
    *,
    concepts: tuple[str, ...] = CONCEPTS,
    train: int = 6,
    test: int = 3,
    noise: float = 0.3,
    labels: bool = True,
    fingerprint: np.ndarray | None = None,
    **changes: object,
) -> Path:
    """Pairs made of the phrase bank: three noisy frames of how a concept looks, a noisy sound."""
    rng = np.random.default_rng(0)
    rows = [row.concept for row in phrases()]
    made = []
    for concept in concepts:
        at = rows.index(concept)
        for number in range(train + test):
            record = Record(
                id=f"{concept}-{number}",
                source=f"{concept}/{number}.mp4",
                start=0.0,
                end=5.0,
                caption="",
                label=concept if labels else "",
                split="train" if number < train else "test",
                group=f"{concept}-{number}",
                content=f"{concept}-{number}",
            )
            frames = np.stack([noisy(models.bank.seen[at], noise, rng) for _ in range(3)])
            made.append(Pair(record, frames, noisy(models.bank.heard[at], noise, rng)))
    own = models.bank.fingerprint if fingerprint is None else fingerprint
    PairsFolder.create(folder, manifest(models, **changes), own).write(made)
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory, starter: Models) -> Path:
    """Eight classes with six training and three held-out pairs each."""
    return make_pairs(tmp_path_factory.mktemp("pairs") / "pairs", starter)
