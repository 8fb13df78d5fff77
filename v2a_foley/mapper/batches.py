"""What a training sees: pairs to learn from, pairs held out, and the batches of each step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from v2a_foley.errors import InputError
from v2a_foley.pairs.dataset import MUSIC_LIMIT, SPEECH_LIMIT, Pairs

LEAST = 16  # pairs that a training needs
HELD_OUT = 2048  # held-out pairs that are looked at, evenly picked
ALIKE = 0.9999  # cosine over which all sounds are one

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Frames ``(n, f, d_clip)``, mask ``(n, f)``, audio ``(n, d_clap)``; see :meth:`Pairs.batch`."""


@dataclass(frozen=True, slots=True)
class Material:
    """A pairs folder, and which of its pairs are learned from and which are held out."""

    pairs: Pairs
    learned: np.ndarray
    held_out: np.ndarray

    @classmethod
    def open(
        cls, folder: Path, *, speech: float = SPEECH_LIMIT, music: float = MUSIC_LIMIT
    ) -> Material:
        """Open a folder's splits ``train`` and ``valid``; limits are those of :meth:`Pairs.open`.

        Raises InputError where too few pairs are left, or all of them sound the same.
        """
        pairs = Pairs.open(folder, speech=speech, music=music)
        splits = np.array([record.split for record in pairs.records])
        learned, held_out = (np.flatnonzero(splits == name) for name in ("train", "valid"))
        if len(learned) < LEAST:
            raise InputError(
                f"{folder}: has {len(learned)} pairs to learn from, at least {LEAST} are needed: "
                "embed more sources"
            )
        if len(held_out) > HELD_OUT:
            held_out = held_out[np.linspace(0, len(held_out) - 1, HELD_OUT).round().astype(int)]
        some = pairs.audio(learned[np.linspace(0, len(learned) - 1, LEAST).round().astype(int)])
        if (some @ some[0]).min() > ALIKE:
            raise InputError(
                f"{folder}: all pairs sound the same, there is nothing to learn: embed sources "
                "with different sounds"
            )
        return cls(pairs, learned, held_out)

    @property
    def classes(self) -> int:
        """How many labels the pairs to learn from have; 0 where they have none."""
        return len({self.pairs.records[i].label for i in self.learned} - {""})

    def steps(self, epochs: int, batch_size: int) -> int:
        """The steps of so many epochs."""
        return epochs * max(1, len(self.learned) // batch_size)

    @property
    def digest(self) -> str:
        """A short hash over which pairs are learned from and held out."""
        digest = hashlib.sha256(self.pairs.clip_id.encode() + self.pairs.fingerprint.tobytes())
        for part in (self.learned, self.held_out):
            digest.update(b"/")
            for index in part:
                digest.update(self.pairs.records[index].id.encode() + b"\0")
        return digest.hexdigest()[:12]


class Batches:
    """Shuffled batches, ``size`` pairs a step over all processes; they follow from the seed alone.

    Every epoch sees each pair once, but for a rest smaller than a batch. A training that was
    killed goes on with the pairs it would have seen.
    """

    def __init__(self, material: Material, size: int, most: int, seed: int) -> None:
        self._pairs, self._indices = material.pairs, material.learned
        self._most, self._seed = most, seed
        self.size = min(size, len(self._indices))
        self.per_epoch = len(self._indices) // self.size
        self._order: tuple[int, np.ndarray] = (-1, self._indices)

    def indices(self, step: int) -> np.ndarray:
        """The pairs of a step, counted from 0."""
        epoch, at = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            shuffled = np.random.default_rng([self._seed, epoch]).permutation(self._indices)
            self._order = (epoch, shuffled)
        return self._order[1][at * self.size : (at + 1) * self.size]

    def stream(self, first: int, last: int, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """The batches of the steps ``first`` to ``last``, one process's share; read ahead."""

        def load(step: int) -> Batch:
            return read(self._pairs, self.indices(step)[rank::ranks], self._most)

        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(load, first) if first < last else None
            for step in range(first, last):
                assert ahead is not None
                batch = ahead.result()
                ahead = reader.submit(load, step + 1) if step + 1 < last else None
                yield batch


def read(pairs: Pairs, indices: np.ndarray, most: int) -> Batch:
    """Some pairs as tensors."""
    frames, mask, audio = pairs.batch(indices, most)
    return torch.from_numpy(frames), torch.from_numpy(mask), torch.from_numpy(audio)
