"""A pairs folder: CLIP embeddings of frames, each beside the CLAP embedding of their sound."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from v2a_foley.errors import InputError
from v2a_foley.pairs.layout import (
    SPLITS,
    Manifest,
    Record,
    Shard,
    count_shards,
    read_fingerprint,
    read_shard,
)

__all__ = ["MUSIC_LIMIT", "SPEECH_LIMIT", "SPLITS", "Pairs", "Record"]

SPEECH_LIMIT = 0.5  # share of a window's zero-shot score; above, speech or music dominates it
MUSIC_LIMIT = 0.5
_LENGTH_SLACK = 0.05  # half precision keeps a unit vector's length to a thousandth


class Pairs:
    """A pairs folder, or a part of it, memory-mapped: only embeddings that are asked for are read.

    Two hundred thousand pairs open in a few seconds; their records are held, their embeddings
    are not. What is handed out is float32, of unit length.
    """

    def __init__(self, folder: Path, manifest: Manifest, shards: list[Shard]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.clip_id, self.pack = manifest.clip_id, manifest.pack
        self.d_clip, self.d_clap = manifest.d_clip, manifest.d_clap
        self.fingerprint = read_fingerprint(folder, manifest)
        self._shards = shards
        counts = [len(shard.records) for shard in shards]
        self._shard = np.repeat(np.arange(len(shards)), counts)
        self._row = np.concatenate([np.arange(count) for count in counts])
        self.records = [record for shard in shards for record in shard.records]

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        split: str | None = None,
        silent: bool = False,
        speech: float = SPEECH_LIMIT,
        music: float = MUSIC_LIMIT,
    ) -> Pairs:
        """Open a pairs folder.

        ``split``: only these pairs. Silent windows are left out unless ``silent``, windows whose
        speech or music score is above a limit too (a limit of 1 keeps all).

        Raises InputError when the folder is missing, damaged, or holds no such pair. Embeddings
        are judged when they are read.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"split '{split}': choose one of {', '.join(SPLITS)}")
        manifest = Manifest.read(folder)
        shards = [read_shard(folder, number, manifest) for number in range(count_shards(folder))]
        if not any(shard.records for shard in shards):
            raise InputError(f"{folder}: holds no pairs: run 'v2a-foley mapper embed' on it again")
        pairs = cls(folder, manifest, shards)
        of_split = [i for i, r in enumerate(pairs.records) if split in (None, r.split)]
        kept = [
            i
            for i in of_split
            if (silent or not pairs.records[i].silent)
            and pairs.records[i].speech <= speech
            and pairs.records[i].music <= music
        ]
        if not kept:
            raise InputError(_nothing_left(pairs, split, len(of_split)))
        pairs._select(kept)
        return pairs

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def counts(self) -> np.ndarray:
        """How many frames each pair has: int64 ``(n,)``."""
        lengths = [np.diff(shard.starts) for shard in self._shards]
        return np.array(
            [lengths[s][r] for s, r in zip(self._shard, self._row, strict=True)], np.int64
        )

    def frames(self, index: int) -> np.ndarray:
        """The embeddings of a pair's frames, in order: ``(f, d_clip)``."""
        shard, row = self._shards[self._shard[index]], self._row[index]
        return _unit(shard.frames[shard.starts[row] : shard.starts[row + 1]], shard.path)

    def audio(self, indices: np.ndarray | slice) -> np.ndarray:
        """The embeddings of some pairs' sounds: ``(n, d_clap)``."""
        shards, rows = self._shard[indices], self._row[indices]
        out = np.empty((len(rows), self.d_clap), np.float32)
        for number in np.unique(shards):
            shard, here = self._shards[number], shards == number
            out[here] = _unit(shard.audio[rows[here]], shard.path)
        return out

    def batch(self, indices: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frames ``(n, f, d_clip)``, which of them are there (bool ``(n, f)``), and sounds.

        Of pairs with more than ``most`` frames, ``most`` are picked evenly; of pairs with fewer
        than the batch's longest, the rest is zero. Sounds are as in :meth:`audio`.
        """
        counts = np.minimum(self.counts[indices], most)
        frames = np.zeros((len(counts), counts.max(initial=0), self.d_clip), np.float32)
        mask = np.arange(frames.shape[1]) < counts[:, None]
        for at, index in enumerate(indices):
            shard, row = self._shards[self._shard[index]], self._row[index]
            first, last = shard.starts[row], shard.starts[row + 1] - 1
            picks = np.linspace(first, last, counts[at]).round().astype(np.int64)
            frames[at, : counts[at]] = shard.frames[picks]
        frames[mask] = _unit(frames[mask], self.folder)
        return frames, mask, self.audio(indices)

    def _select(self, kept: list[int]) -> None:
        self.records = [self.records[i] for i in kept]
        self._shard, self._row = self._shard[kept], self._row[kept]


def _unit(rows: np.ndarray, path: Path) -> np.ndarray:
    """``rows`` as float32 of unit length; the embedders wrote them so, up to rounding."""
    values = rows.astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not (np.abs(lengths - 1) < _LENGTH_SLACK).all():  # NaN fails this too
        raise InputError(
            f"{path}: holds numbers that are no embeddings (NaN, or a wrong length): "
            "copy it again, or embed the sources again"
        )
    return values / lengths


def _nothing_left(pairs: Pairs, split: str | None, of_split: int) -> str:
    what = f"of the split '{split}' " if split else ""
    if not of_split:
        return f"{pairs.folder}: holds no pairs {what}(of {len(pairs)}): embed more sources"
    return (
        f"{pairs.folder}: all {of_split} pairs {what}are silent, or speech or music dominates "
        "them: embed other sources, or raise the limits"
    )
