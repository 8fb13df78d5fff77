"""Pairs for the starter's trained mappers: what looks like a class with what sounds like it."""

from __future__ import annotations

import collections
import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from v2a_foley.mapper.bridge import phrases
from v2a_foley.mapper.config import (
    Config,
    DiffusionSettings,
    FrameSettings,
    RegressionSettings,
    TrainingSettings,
)
from v2a_foley.models.bundle import Models
from v2a_foley.pairs.layout import Manifest, Record
from v2a_foley.pairs.shards import SHARD, Pair, PairsFolder
from v2a_foley.pairs.texts import noisy

PER_LOOK = 10  # sounds that a look is paired with
PER_PHRASE = 4  # noisy copies of a phrase's look
NOISE = 0.03  # of a look by phrase, in each dimension: towards the gap to pictures
ALIKE = 0.6  # teacher's cosine from which on an ImageNet class is taken for one of ours


# Small ones: the pack stays small, and so are its pairs.
CONFIGS = {
    "regression": Config(
        "regression",
        FrameSettings(),
        RegressionSettings(width=256, blocks=2),
        TrainingSettings(steps=3000),
    ),
    "diffusion": Config(
        "diffusion",
        FrameSettings(),
        DiffusionSettings(layers=2, heads=4, head_width=32),
        TrainingSettings(steps=6000),
    ),
}


@dataclass(frozen=True, slots=True)
class Side:
    """One half of a pair: a look's or a sound's embedding ``(d,)``, unit length.

    ``split``: train, valid or test; ``group`` is what a split does not cut through.
    """

    name: str
    label: str
    split: str
    embedding: np.ndarray


def imagenet_looks(
    classes: np.ndarray, names: np.ndarray, concepts: np.ndarray, labels: Sequence[str]
) -> list[Side]:
    """ImageNet's classes as further looks, where one is about what a label names.

    ``classes`` ``(1000, d_clip)``: CLIP embeddings of the classifier's rows; ``names``
    ``(1000, 384)`` and ``concepts`` ``(labels, 384)``: the teacher's of the names.
    """
    cosines = names @ concepts.T
    best = cosines.argmax(1)
    return [
        Side(f"imagenet {row}", labels[best[row]], "train", classes[row])
        for row in range(len(classes))
        if cosines[row, best[row]] > ALIKE
    ]


def pairs(looks: Sequence[Side], sounds: Sequence[Side], seed: int = 0) -> Iterator[Pair]:
    """Each look with sounds of its label and split; those of a label take turns."""
    heard = collections.defaultdict(list)
    for sound in sounds:
        heard[sound.label, sound.split].append(sound)
    for number, look in enumerate(looks):
        rng = random.Random(seed * 100_003 + number)
        own = heard[look.label, look.split]
        for sound in rng.sample(own, min(PER_LOOK, len(own))):
            yield _pair(look, sound, f"{look.name} | {sound.name}")


def phrase_pairs(models: Models, sounds: Sequence[Side], seed: int = 0) -> Iterator[Pair]:
    """The phrase bank's looks, with noise, with its sounds; a class's also with its recordings."""
    heard = collections.defaultdict(list)
    for sound in sounds:
        if sound.split == "train":
            heard[sound.label].append(sound)
    seen = models.bank.seen + models.bank.named
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    for row, phrase in enumerate(phrases()):
        own = heard[phrase.concept]
        rng = random.Random(seed * 100_003 + row)
        said = Side(phrase.sound, phrase.concept, "train", models.bank.heard[row])
        for copy, sound in enumerate(
            [said] * PER_PHRASE + rng.sample(own, min(PER_LOOK, len(own)))
        ):
            look = noisy(seen[row], NOISE, (seed, row, copy))
            side = Side(f"{phrase.visual} {copy}", phrase.concept, "train", look)
            yield _pair(side, sound, f"{side.name} | {sound.name}")


def _pair(look: Side, sound: Side, name: str) -> Pair:
    content = hashlib.sha256(name.encode()).hexdigest()[:16]
    record = Record(
        id=content,
        source=look.name,
        start=0.0,
        end=0.0,
        caption=sound.name,
        label=look.label,
        split=look.split,
        group=look.name,
        content=content,
    )
    return Pair(record, look.embedding[None], sound.embedding)


def write(folder: Path, models: Models, made: Iterator[Pair]) -> int:
    """Write pairs to a folder as ``v2a-foley mapper embed`` would; returns how many."""
    manifest = Manifest(
        models.pack.clip_id,
        models.pack.id,
        models.bank.seen.shape[1],
        models.bank.heard.shape[1],
        "media",
        {"made_by": "the starter's recipe"},
    )
    target = PairsFolder.create(folder, manifest, models.bank.fingerprint)
    while shard := list(islice(made, SHARD)):
        target.write(shard)
    return len(target.records)
