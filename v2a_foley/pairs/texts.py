"""Pairs made of text alone: how something looks and how it sounds, in words.

CLIP and CLAP both embed text beside what they were made for, so a mapper can be learned without
a single video. Between CLIP's texts and CLIP's pictures there is a gap, though; noise on the
visual side makes a mapper that does not mind it (CapDec: Nukrai, Mokady and Globerson,
"Text-Only Training for Image Captioning using Noise-Injected CLIP", Findings of EMNLP 2022).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.errors import InputError
from v2a_foley.pairs.filling import Embedded
from v2a_foley.pairs.layout import Manifest, Record
from v2a_foley.pairs.shards import SHARD, Pair, PairsFolder, check_folder
from v2a_foley.pairs.splits import DEFAULT_SHARES, Shares, Splits
from v2a_foley.pairs.tables import Row, read_phrases
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

_CHUNK = 256  # texts between two reports
_LEAST_LENGTH = 1e-6


@dataclass(frozen=True, slots=True)
class Phrase:
    """How something looks and how it sounds; ``split`` is empty where none is stated."""

    visual: str
    sound: str
    label: str = ""
    split: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How phrases become pairs.

    ``noise``: standard deviation in each dimension of what is added to a unit-length visual
    embedding; None measures it, see :func:`measured_noise`. ``copies``: pairs a phrase, each with
    noise of its own. ``shares``: what is held out where no split is stated.
    """

    noise: float | None = None
    copies: int = 8
    seed: int = 0
    shares: Shares = DEFAULT_SHARES

    def __post_init__(self) -> None:
        if self.noise is not None and not 0 <= self.noise <= 1:
            raise InputError(f"noise {self.noise:g}: must be from 0 to 1")
        if not 1 <= self.copies <= 10_000:
            raise InputError(f"{self.copies} copies: must be 1 or more")


DEFAULTS = TextSettings()


def load_phrases(table: Path | None) -> list[Phrase]:
    """The phrases of a table, or without one of the bank that ships; each pair of texts once.

    A table has columns ``visual`` and ``sound``, and if wanted ``label`` (or ``concept``),
    ``split`` and ``group``. Without a group, phrases of one label are of one.

    Raises InputError naming the file and the row.
    """
    if table is None:
        from v2a_foley.mapper.bridge import phrases

        found = [Phrase(p.visual, p.sound, p.concept, "", p.concept) for p in phrases()]
    else:
        found = [_phrase(row) for row in read_phrases(table)]
    unique: dict[tuple[str, str], Phrase] = {}
    for phrase in found:
        unique.setdefault((phrase.visual, phrase.sound), phrase)
    return list(unique.values())


def _phrase(row: Row) -> Phrase:
    label = row["label"] or row["concept"]
    group = row["group"] or label or row["sound"]
    return Phrase(row["visual"], row["sound"], label, row["split"], group)


def embed_phrases(
    phrases: Sequence[Phrase],
    folder: Path,
    *,
    models: Models,
    settings: TextSettings = DEFAULTS,
    progress: Progress = SILENT,
) -> Embedded:
    """Embed ``phrases`` (see :func:`load_phrases`) into the pairs folder ``folder``.

    A run that was interrupted goes on where it ended, and ends with the same bytes.

    Raises:
        InputError: ``folder`` holds something else, or other pairs.
        MediaError: the folder cannot be written.
    """
    check_folder(folder)
    progress.stage("load", 0.0)
    fingerprint = models.clap.fingerprint()
    progress.stage("load", 1.0)
    told = _Told(progress, 3 * len(phrases))
    visual = told.chunks(models.clip.phrases, [phrase.visual for phrase in phrases])
    alike = told.chunks(models.clip.phrases, [phrase.sound for phrase in phrases])
    sound = told.chunks(models.clap.texts, [phrase.sound for phrase in phrases])
    noise = measured_noise(visual, alike) if settings.noise is None else settings.noise
    manifest = Manifest(
        models.pack.clip_id,
        models.pack.id,
        visual.shape[1],
        sound.shape[1],
        "text",
        _settings(phrases, settings, noise),
    )
    target = PairsFolder.create(folder, manifest, fingerprint)
    before = len(target.records)
    pairs = islice(_pairs(phrases, visual, sound, settings, noise), before, None)
    while shard := list(islice(pairs, SHARD)):
        target.write(shard)
    progress.stage("embed", 1.0)
    return Embedded(folder, target.records, len(target.records) - before)


def measured_noise(visual: np.ndarray, alike: np.ndarray) -> float:
    """The noise that texts alone suggest: how far two texts about one thing lie apart.

    ``visual`` and ``alike`` ``(n, d)`` are CLIP's embeddings of how things look and of how they
    sound, in the same order. Returns the root mean square of their difference in a dimension, to
    three digits; CapDec takes the distance between captions of one picture likewise.
    """
    return round(float(np.sqrt(np.square(visual - alike).mean())), 3)


def noisy(embedding: np.ndarray, noise: float, seed: Sequence[int]) -> np.ndarray:
    """``embedding`` ``(d,)`` with Gaussian noise of its own seed, unit length."""
    made = embedding + np.random.default_rng(seed).normal(0.0, noise, embedding.shape)
    return made / max(float(np.linalg.norm(made)), _LEAST_LENGTH)


def _pairs(
    phrases: Sequence[Phrase],
    visual: np.ndarray,
    sound: np.ndarray,
    settings: TextSettings,
    noise: float,
) -> Iterator[Pair]:
    splits = Splits([(each.group, each.split) for each in phrases], settings.shares, {})
    for number, phrase in enumerate(phrases):
        content = hashlib.sha256(f"{phrase.visual}\0{phrase.sound}".encode()).digest()
        item = int.from_bytes(content[:8], "big")
        for copy in range(settings.copies):
            record = Record(
                id=f"{content.hex()[:16]}#{copy}",
                source=phrase.visual,
                start=0.0,
                end=0.0,
                caption=phrase.sound,
                label=phrase.label,
                split=splits.of(phrase.group, phrase.split),
                group=phrase.group,
                content=content.hex()[:16],
            )
            frame = noisy(visual[number], noise, (settings.seed, item, copy))
            yield Pair(record, frame[None], sound[number])


def _settings(phrases: Sequence[Phrase], settings: TextSettings, noise: float) -> dict[str, object]:
    """What the embeddings depend on: a folder is of one table and one set of these."""
    table = hashlib.sha256(repr([asdict(phrase) for phrase in phrases]).encode()).hexdigest()
    return {
        "phrases": table[:16],
        "noise": noise,
        "copies": settings.copies,
        "seed": settings.seed,
        "valid": settings.shares.valid,
        "test": settings.shares.test,
    }


class _Told:
    """Embeds texts in chunks and tells how far it is."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        progress.stage("embed", 0.0)

    def chunks(
        self, embed: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str]
    ) -> np.ndarray:
        """All embeddings ``(n, d)``."""
        made = []
        for at in range(0, len(texts), _CHUNK):
            made.append(embed(texts[at : at + _CHUNK]))
            self._done += len(made[-1])
            self._progress.stage("embed", min(self._done / self._total, 0.999))
        return np.concatenate(made)
