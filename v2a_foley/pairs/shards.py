"""Writes a pairs folder shard by shard; a shard stands complete under its name or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.files import atomic
from v2a_foley.pairs.layout import (
    CLAP,
    MANIFEST,
    Manifest,
    Record,
    count_shards,
    read_fingerprint,
    read_records,
    shard_paths,
)

SHARD = 512  # pairs after which a shard is closed


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair: ``frames`` ``(f, d_clip)`` and ``audio`` ``(d_clap,)``, both of unit length."""

    record: Record
    frames: np.ndarray
    audio: np.ndarray


class PairsFolder:
    """A pairs folder that is being written.

    ``records`` are those of the shards that stand already, of a run that was interrupted.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._next = count_shards(folder)
        self.records = [
            record
            for number in range(self._next)
            for record in read_records(shard_paths(folder, number)[1])
        ]

    @classmethod
    def create(cls, folder: Path, manifest: Manifest, fingerprint: np.ndarray) -> Self:
        """Begin a folder, or go on with one that the same models and settings began.

        ``fingerprint`` ``(8, d_clap)`` is that of the CLAP in use.

        Raises InputError when ``folder`` holds something else, or was made in another way.
        """
        from safetensors.numpy import save_file

        check_folder(folder)
        if (folder / MANIFEST).exists():
            _require_same(folder, manifest, fingerprint)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic(folder / CLAP, overwrite=True) as part:
                save_file({"fingerprint": np.ascontiguousarray(fingerprint, np.float32)}, part)
            manifest.write(folder / MANIFEST)
        for left in folder.glob(".*.part*"):  # of a run that was killed
            left.unlink()
        return cls(folder, manifest)

    def write(self, pairs: Iterable[Pair]) -> None:
        """Write the next shard; nothing where there are no pairs.

        Raises MediaError when an embedding is not finite, or the disk is full.
        """
        from safetensors.numpy import save_file

        pairs = list(pairs)
        if not pairs:
            return
        arrays = self._arrays(pairs)
        tensors, lines = shard_paths(self.folder, self._next)
        # The records make a shard count, so they come last.
        with atomic(tensors, overwrite=True) as part:
            save_file(arrays, part)
        with (
            atomic(lines, overwrite=True) as part,
            part.open("w", encoding="utf-8", newline="\n") as file,
        ):
            for pair in pairs:
                file.write(json.dumps(asdict(pair.record)) + "\n")
        self.records += [pair.record for pair in pairs]
        self._next += 1

    def _arrays(self, pairs: list[Pair]) -> dict[str, np.ndarray]:
        for pair in pairs:
            if not (np.isfinite(pair.frames).all() and np.isfinite(pair.audio).all()):
                raise MediaError(
                    f"{pair.record.source}: its embedding is not finite (NaN): check the model "
                    "pack with 'v2a-foley models check'"
                )
        counts = [len(pair.frames) for pair in pairs]
        return {
            "frames": np.concatenate([pair.frames for pair in pairs]).astype(np.float16),
            "starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            "audio": np.stack([pair.audio for pair in pairs]).astype(np.float16),
        }


def check_folder(folder: Path) -> None:
    """Refuse a folder to write pairs into that holds other things.

    Raises InputError.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder for the pairs")
    others = [each for each in folder.iterdir() if each.name != CLAP and each.name[0] != "."]
    if others and not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder}: is not empty and is not a folder of pairs; choose a new folder"
        )


def _require_same(folder: Path, manifest: Manifest, fingerprint: np.ndarray) -> None:
    from v2a_foley.models.clap import AGREEMENT, agreement

    old, new = asdict(Manifest.read(folder)), asdict(manifest)
    old |= old.pop("settings")
    new |= new.pop("settings")
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            raise InputError(
                f"{folder}: was made with {key} {old.get(key)!r}, now it is {new.get(key)!r}: "
                "choose a new folder, or the settings of before"
            )
    if not agreement(read_fingerprint(folder, manifest), fingerprint) > AGREEMENT:
        raise InputError(f"{folder}: was made with another CLAP: choose a new folder")
