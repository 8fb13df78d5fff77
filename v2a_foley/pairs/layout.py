"""The files of a pairs folder.

``pairs.json`` says which models made it, ``clap.safetensors`` identifies the CLAP, and each shard
is a file of embeddings with a file of records, one line a pair.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from v2a_foley.errors import InputError

FORMAT = 1
MANIFEST = "pairs.json"
CLAP = "clap.safetensors"
SPLITS = ("train", "valid", "test")
KINDS = ("media", "text")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one pair, besides its embeddings.

    ``id`` is unique in its folder. ``source`` is the file, or the phrase, it was made from;
    ``start`` and ``end`` are seconds in it. ``split`` is train, valid or test, and cuts through no
    ``group``. ``content`` is a hash: pairs of the same media have the same. ``silent`` windows
    have no sound; ``speech`` and ``music`` (0 to 1) say how far either dominates it.
    """

    id: str
    source: str
    start: float
    end: float
    caption: str
    label: str
    split: str
    group: str
    content: str
    silent: bool = False
    speech: float = 0.0
    music: float = 0.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """``pairs.json``: the models that made the embeddings, their sizes, and how it was done.

    ``kind`` is ``media`` or ``text``.
    """

    clip_id: str
    pack: str
    d_clip: int
    d_clap: int
    kind: str
    settings: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it in one step."""
        from v2a_foley.media.files import atomic

        text = json.dumps({"format": FORMAT} | asdict(self), indent=1, sort_keys=True)
        with atomic(path, overwrite=True) as part:
            part.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``folder/pairs.json``.

        Raises InputError when the folder is not one of pairs, or of a later version.
        """
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version = values.pop("format")
            if version != FORMAT:
                raise InputError(
                    f"{path}: has format {version}, this version reads {FORMAT}: install the "
                    "v2a-foley that made it, or embed the sources again"
                )
            made = cls(**values)
            if made.kind not in KINDS or min(int(made.d_clip), int(made.d_clap)) < 1:
                raise ValueError("a value is out of range")
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{folder}: is not a folder of pairs (it has no {MANIFEST}): make one with "
                "'v2a-foley mapper embed'"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: damaged ({error}): embed the sources again") from None
        return made


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard as it is on disk, its embeddings mapped: half precision, read when they are used.

    ``frames`` ``(F, d_clip)`` holds the frames of all pairs, those of pair ``i`` from
    ``starts[i]`` to ``starts[i + 1]``; ``audio`` is ``(k, d_clap)``.
    """

    path: Path
    frames: np.ndarray
    starts: np.ndarray
    audio: np.ndarray
    records: list[Record]


def shard_paths(folder: Path, number: int) -> tuple[Path, Path]:
    """The files of a shard: embeddings, records."""
    return folder / f"shard-{number:05d}.safetensors", folder / f"shard-{number:05d}.jsonl"


def count_shards(folder: Path) -> int:
    """How many shards stand complete. The records are written last: without them it is none.

    Raises InputError when a shard is missing between others.
    """
    found = len(list(folder.glob("shard-[0-9]*.jsonl")))
    for number in range(found):
        for path in shard_paths(folder, number):
            if not path.is_file():
                raise InputError(
                    f"{path}: is missing: copy the folder again, or embed the sources again"
                )
    return found


def read_shard(folder: Path, number: int, manifest: Manifest) -> Shard:
    """Map one shard and read its records.

    Raises InputError when it is damaged or does not fit the manifest.
    """
    path, lines = shard_paths(folder, number)
    records = read_records(lines)
    arrays = _mapped(path)
    try:
        shard = Shard(path, arrays["frames"], arrays["starts"].copy(), arrays["audio"], records)
        count, starts = len(records), shard.starts
        fits = (
            shard.frames.shape == (starts[-1], manifest.d_clip)
            and shard.audio.shape == (count, manifest.d_clap)
            and starts.shape == (count + 1,)
            and starts[0] == 0
            and (np.diff(starts) > 0).all()
        )
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path}: is no shard of pairs (it lacks {error})") from None
    if not fits:
        raise InputError(
            f"{path}: does not fit {lines.name} or {MANIFEST} (frames {shard.frames.shape}, sounds "
            f"{shard.audio.shape}, {count} records; CLIP has {manifest.d_clip} dimensions, CLAP "
            f"{manifest.d_clap}): embed the sources again"
        )
    return shard


def read_records(path: Path) -> list[Record]:
    """The records of one shard.

    Raises InputError naming the line that is damaged.
    """
    known: dict[str, str] = {}  # sources, labels and groups come many times: each is held once
    found = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    found.append(_record(json.loads(line), known))
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise InputError(
                        f"{path}, line {number}: is no record of a pair ({error}): "
                        "embed the sources again"
                    ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}): embed the sources again") from None
    return found


_NAMES = tuple(each.name for each in fields(Record))


def _record(values: dict[str, Any], known: dict[str, str]) -> Record:
    for name in ("source", "caption", "label", "split", "group"):
        values[name] = known.setdefault(values[name], values[name])
    record = Record(*(values[name] for name in _NAMES))
    if record.split not in SPLITS:
        raise ValueError(f"split '{record.split}'")
    if not np.isfinite(record.speech + record.music + record.end - record.start):
        raise ValueError("a number is not finite")
    return record


def read_fingerprint(folder: Path, manifest: Manifest) -> np.ndarray:
    """The fingerprint ``(8, d_clap)`` of the CLAP that made the folder.

    Raises InputError when it is missing or damaged.
    """
    path = folder / CLAP
    fingerprint = _mapped(path).get("fingerprint")
    if (
        fingerprint is None
        or fingerprint.ndim != 2
        or fingerprint.shape[1] != manifest.d_clap
        or not np.isfinite(fingerprint).all()
    ):
        raise InputError(f"{path}: damaged: embed the sources again")
    return fingerprint.copy()


def _mapped(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, mapped into memory, not read."""
    from safetensors import SafetensorError, safe_open

    try:
        # Its torch side maps what the numpy side reads at once.
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key).numpy() for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(
            f"{path}: is missing: copy the folder again, or embed the sources again"
        ) from None
    except (OSError, SafetensorError, TypeError) as error:
        raise InputError(
            f"{path}: damaged or no shard ({error}): copy it again, or embed the sources again"
        ) from None
