"""Measures a pack: what its sounds are taken for, beside real held-out recordings."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from v2a_foley.mapper.bridge import phrases
from v2a_foley.models.bundle import Models
from v2a_foley.models.generator import Request
from v2a_foley.starter.recipe import data
from v2a_foley.starter.recipe.judge import Judge, shares

T = TypeVar("T")
Ranks = dict[str, list[int]]
SECONDS = 5.0
PER_CLASS = 3


def measure(folder: Path, pack: Path, steps: int = 20, guidance: float = 2.5) -> dict[str, Ranks]:
    """Print and return the judge's ranks by class for real and generated sounds.

    Conditions: held-out pictures through CLIP, bridge and AudioLDM; held-out recordings through
    CLAP's audio tower; class texts. Nothing held out (by package) trained the pack, and the
    judge shares nothing with it.
    """
    recordings = data.recordings(folder)
    training = [item for item in recordings if not item.held_out]
    held = [item for item in recordings if item.held_out]
    count = collections.Counter(item.label for item in training)
    judge = Judge(training)
    models = Models(str(pack))
    rng = random.Random(0)
    held = [item for item in held if count[item.label] >= 4]
    chosen = _some(held, lambda item: item.label, rng)
    results: dict[str, Ranks] = {}
    results["real held-out"] = _ranks(
        judge, [(i.label, data.window(i.audio, i.label, rng)) for i in chosen]
    )
    sounds = [i.audio.astype(np.float32) for i in chosen]
    conditions = models.clap.sounds([_repeated(s) for s in sounds], data.RATE)
    makes = {"from held-out sounds": ([i.label for i in chosen], conditions)}
    makes["from held-out pictures"] = _from_pictures(folder, models, count, rng)
    labels = sorted({item.label for item in chosen})
    rows = [next(p for p in phrases() if p.concept == label) for label in labels]
    texts = models.clap.texts([row.sound for row in rows])
    makes["from text"] = ([label for label in labels for _ in range(2)], texts.repeat(2, axis=0))
    for name, (wanted, table) in makes.items():
        requests = [Request(c[None], SECONDS, seed) for seed, c in enumerate(table)]
        waves = models.generator.generate(
            requests, unconditional=models.bank.empty, steps=steps, guidance=guidance
        )
        results[name] = _ranks(judge, list(zip(wanted, waves, strict=True)))
    report(results, len(judge.labels))
    return results


def report(results: dict[str, Ranks], classes: int) -> None:
    """Print a line for each kind of sound, then its classes."""
    print(f"chance: top 1 {1 / classes:.3f}, top 5 {5 / classes:.3f} of {classes} classes")
    for name, ranks in results.items():
        flat = [rank for own in ranks.values() for rank in own]
        first, fifth = shares(flat)
        medians = [float(np.median(own)) for own in ranks.values()]
        better = [sum(rank < classes / part for rank in medians) for part in (2, 4, 10)]
        print(
            f"{name}: n {len(flat)} of {len(ranks)} classes, top 1 {first:.3f}, "
            f"top 5 {fifth:.3f}, median rank {np.median(flat):.0f}; classes whose median rank is "
            f"in the better half {better[0]}, quarter {better[1]}, tenth {better[2]}"
        )
        for label, own in sorted(ranks.items()):
            print(f"    {label}: {sorted(own)}")


def _ranks(judge: Judge, sounds: list[tuple[str, np.ndarray]]) -> Ranks:
    ranks: Ranks = {}
    for label, wave in sounds:
        ranks.setdefault(label, []).append(judge.rank(wave, label))
    return ranks


def _from_pictures(
    folder: Path, models: Models, count: collections.Counter[str], rng: random.Random
) -> tuple[list[str], np.ndarray]:
    """Held-out pictures of classes that have training sounds, mapped by the bridge."""
    from PIL import Image

    from v2a_foley.starter.recipe.pictures import squared

    rows = [
        row
        for row in data.rows(folder / "images.tsv")
        if row["package"] in data.HELD_OUT_PICTURES and count[row["cls"]] >= 4
    ]
    rows = _some(rows, lambda row: row["cls"], rng)
    images = [np.asarray(squared(Image.open(folder / row["file"]).convert("RGB"))) for row in rows]
    seen = models.clip.images(images)
    mapped = models.map(seen, temperature=0.02, top_k=8, seed=0)
    return [row["cls"] for row in rows], mapped


def _some(items: list[T], label: Callable[[T], str], rng: random.Random) -> list[T]:
    """At most :data:`PER_CLASS` of each class."""
    rng.shuffle(items)
    taken: collections.Counter[str] = collections.Counter()
    chosen = []
    for item in items:
        taken[label(item)] += 1
        if taken[label(item)] <= PER_CLASS:
            chosen.append(item)
    return chosen


def _repeated(wave: np.ndarray) -> np.ndarray:
    return np.tile(wave, max(1, int(np.ceil(data.WINDOW / len(wave)))))[: data.WINDOW]
