"""A pack's own recordings: real sounds that generation may start from."""

from __future__ import annotations

import csv
import io
import random
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from v2a_foley.errors import ModelError
from v2a_foley.models.packs import Pack, require_intact

LEAST_COSINE = 0.6  # to the condition; a recording further away is of something else
NEAR = 0.04  # recordings this much further than the nearest one count as equally near
MOST = 6  # of them, from which the seed chooses
GAPS = (0.1, 0.8)  # seconds between two events


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording and where it comes from.

    ``loops``: it goes on as it is (rain, an engine), where others are events with pauses.
    ``made``: "recorded", or "synthesised" where a program made it.
    """

    file: str
    label: str
    caption: str
    loops: bool
    made: str
    licence: str
    package: str
    path: str

    @property
    def credit(self) -> dict[str, str]:
        """What must be said of it beside a sound that started from it."""
        names = ("label", "caption", "made", "licence", "package", "path")
        return {name: getattr(self, name) for name in names}


class Recordings:
    """The recordings of a pack: ``recordings.tsv``, their sounds in ``sounds.zip`` (Ogg Opus),

    and ``embeddings.safetensors`` with ``audio`` ``(n, d_clap)``. Raises ModelError where one of
    them is missing or does not fit the others.
    """

    def __init__(self, pack: Pack) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if pack.recordings is None:
            raise ModelError(f"model pack '{pack.name}' has no recordings to start from")
        self._folder = folder = pack.recordings
        require_intact(pack, folder.relative_to(pack.folder).as_posix() + "/")
        try:
            self.items = tuple(_read(folder / "recordings.tsv"))
            table = load_file(folder / "embeddings.safetensors")["audio"].astype(np.float32)
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise ModelError(f"{folder}: damaged recordings ({error}): install it again") from None
        if len(table) != len(self.items):
            raise ModelError(
                f"{folder}: {len(self.items)} recordings, {len(table)} embeddings: install it again"
            )
        self.embeddings = table / np.linalg.norm(table, axis=1, keepdims=True).clip(1e-9)

    @cached_property
    def prototypes(self) -> np.ndarray:
        """Mean embedding of each label's recordings, unit length: ``(labels, d_clap)``."""
        labels = np.array([item.label for item in self.items])
        means = np.stack([self.embeddings[labels == each].mean(0) for each in np.unique(labels)])
        return means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-9)

    def choose(self, condition: np.ndarray, seed: int) -> tuple[Recording, ...]:
        """Recordings nearest to a condition ``(d_clap,)``, the one to begin with first.

        All of one label. Which of about equally near ones come, and their order, is the seed's
        choice. Empty where nothing is near.
        """
        cosines = self.embeddings @ (condition / max(float(np.linalg.norm(condition)), 1e-9))
        best = int(cosines.argmax())
        if cosines[best] < LEAST_COSINE:
            return ()
        label = self.items[best].label
        order = [int(i) for i in np.argsort(-cosines) if self.items[i].label == label]
        return tuple(self.items[i] for i in equally_near(order, cosines, seed))

    def sound(self, item: Recording, rate: int) -> np.ndarray:
        """A recording's wave, float32 ``(samples,)`` mono at ``rate`` Hz."""
        import soundfile
        import soxr

        archive = self._folder / "sounds.zip"
        try:
            with zipfile.ZipFile(archive) as bundle:
                wave, own = soundfile.read(io.BytesIO(bundle.read(item.file)), dtype="float32")
        except (OSError, KeyError, zipfile.BadZipFile, soundfile.LibsndfileError) as error:
            raise ModelError(f"{archive}: {item.file}: {error}: install the pack again") from None
        return soxr.resample(wave, own, rate) if own != rate else wave

    def start(
        self, chosen: Sequence[Recording], seconds: float, rate: int, seed: int
    ) -> np.ndarray:
        """``seconds`` of sound at ``rate`` Hz made of the chosen recordings, ``(samples,)``."""
        waves = [self.sound(item, rate) for item in chosen]
        rng = random.Random(seed)  # noqa: S311
        return arrange(waves, round(seconds * rate), rate, loops=chosen[0].loops, rng=rng)


def equally_near(order: Sequence[int], cosines: np.ndarray, seed: int) -> list[int]:
    """Those of some sounds, given nearest first, that are about as near as the first.

    At most :data:`MOST`, in an order that the seed chooses.
    """
    near = [i for i in order[:MOST] if cosines[i] > cosines[order[0]] - NEAR]
    random.Random(seed).shuffle(near)  # noqa: S311
    return near


def _read(path: Path) -> list[Recording]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Recording(**{**row, "loops": row["loops"] == "yes"}) for row in rows]  # type: ignore[arg-type]


def arrange(
    waves: Sequence[np.ndarray],
    length: int,
    rate: int,
    *,
    loops: bool,
    rng: random.Random,
    least: float = 0.0,
) -> np.ndarray:
    """Fill ``length`` samples with ``waves``: a long one is cut, short ones are repeated.

    What loops is repeated with crossfades; events follow one another with random pauses, each
    time another of the waves and another level. None begins at the end with less than ``least``
    (0 to 1) of it to be heard.
    """
    if len(waves[0]) >= length:
        begin = rng.randrange(len(waves[0]) - length + 1)
        return waves[0][begin : begin + length].astype(np.float32)
    out = np.zeros(length, np.float32)
    at = 0 if loops or len(waves[0]) > length // 2 else rng.randrange(0, rate // 4)
    wave = waves[0]
    while at < length:
        if at and length - at < least * len(wave):
            break
        take = wave.astype(np.float32) * rng.uniform(0.7, 1.0)
        fade = min(len(take) // 3, rate // 5) if loops else 0
        if fade and at:
            ramp = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
            take[:fade] *= ramp
            n = min(fade, length - at)
            out[at : at + n] *= ramp[::-1][:n]
        n = min(len(take), length - at)
        out[at : at + n] += take[:n]
        pause = -fade if loops else int(rng.uniform(*GAPS) * rate)
        at += max(len(take) + pause, rate // 40)
        if not loops:
            wave = rng.choice(waves)
    return out
