"""The recordings and pictures that train the starter pack, split by package."""

from __future__ import annotations

import csv
import importlib.util
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from v2a_foley.level import set_level
from v2a_foley.models.recordings import arrange

RATE = 16_000
WINDOW = 81_920  # samples: 5.12 s
# Neighbours from one package sound and look alike, so what is reported as held out is
# held out by whole packages.
HELD_OUT_SOUNDS = frozenset(
    {"scratch", "minetest-data", "flare-game", "unknown-horizons", "pekka-kana-2-data"}
)
HELD_OUT_PICTURES = frozenset({"gcompris-qt-data", "scratch"})
CONTINUOUS = (
    "rain",
    "wind",
    "water",
    "wave",
    "sea",
    "river",
    "engine",
    "fire",
    "crowd",
    "hum",
    "ambien",
    "stream",
    "motor",
    "fan",
    "traffic",
    "machine",
    "siren",
    "alarm",
    "burn",
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One labelled recording; ``audio`` is float16 mono at 16 kHz.

    ``synthesised``: a program made it.
    """

    file: str
    label: str
    caption: str
    licence: str
    package: str
    path: str
    held_out: bool
    audio: np.ndarray
    synthesised: bool = False


def installed(package: str) -> Path:
    """Folder of an installed package (teachers' and judges' weights are package data)."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{package} is not installed: see the recipe's first lines")
    return Path(next(iter(found.submodule_search_locations)))


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a tab-separated manifest."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def recordings(folder: Path, kinds: tuple[str, ...] = ("foley",)) -> list[Recording]:
    """Read, resample and level the recordings of ``folder/sounds.tsv``."""
    import soundfile
    import soxr

    found = []
    for row in rows(folder / "sounds.tsv"):
        if row["kind"] not in kinds:
            continue
        audio, rate = soundfile.read(folder / row["file"], dtype="float32", always_2d=True)
        audio = soxr.resample(audio.mean(1), rate, RATE)
        if len(audio) < 800 or np.abs(audio).max() < 1e-3:
            continue
        found.append(
            Recording(
                row["file"],
                row["cls"],
                row["caption"],
                row["licence"],
                row["package"],
                row["path"],
                row["package"] in HELD_OUT_SOUNDS,
                set_level(audio, RATE).astype(np.float16),
            )
        )
    return found


def window(audio: np.ndarray, label: str, rng: random.Random, length: int = WINDOW) -> np.ndarray:
    """A training window of ``length`` samples: long clips are cut, short ones are repeated.

    Continuous sounds are looped with crossfades, single events are repeated with random gaps.
    """
    return arrange([audio], length, RATE, loops=continuous(label), rng=rng)


def continuous(label: str) -> bool:
    """Whether sounds of a class go on, where others are single events."""
    return any(word in label for word in CONTINUOUS)


class Windows:
    """Endless class-balanced windows of the training recordings, float32 ``(batch, samples)``."""

    def __init__(self, items: list[Recording], seed: int = 0) -> None:
        self.items = items
        self.rng = random.Random(seed)
        counts: dict[str, int] = {}
        for item in items:
            counts[item.label] = counts.get(item.label, 0) + 1
        self.weights = [counts[item.label] ** -0.6 for item in items]

    def batch(self, size: int) -> tuple[np.ndarray, list[int]]:
        """A batch of windows and the indices of their recordings."""
        picks = self.rng.choices(range(len(self.items)), self.weights, k=size)
        waves = [window(self.items[i].audio, self.items[i].label, self.rng) for i in picks]
        gains = [self.rng.uniform(0.5, 1.0) for _ in picks]
        return np.stack([w * g for w, g in zip(waves, gains, strict=True)]), picks

    def __iter__(self) -> Iterator[tuple[np.ndarray, list[int]]]:
        while True:
            yield self.batch(16)
