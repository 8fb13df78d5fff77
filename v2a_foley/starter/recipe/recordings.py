"""Chooses and writes the recordings that the pack's generation may start from."""

from __future__ import annotations

import collections
import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2a_foley.starter.recipe.data import RATE, Recording, continuous

# Share-alike is among them: the product names the licence of each recording it used.
FREE = ("CC", "MIT", "BSD", "Expat", "public", "Artistic", "MPL", "free-art")
SHARE = 0.7  # of a class, those nearest to its mean: what is left out is often mislabelled
MOST = 9  # of one class
LONGEST, SHORTEST = 3.5, 0.12  # seconds
COLUMNS = ("file", "label", "caption", "loops", "made", "licence", "package", "path")
COMPRESSION = 0.95  # libsndfile's scale for Opus, about 2.5 kB a second


def choose(items: Sequence[Recording], embeddings: np.ndarray) -> list[int]:
    """Indices of the recordings that may ship and speak for their class.

    ``embeddings`` ``(n, d_clap)`` of ``items``: those near the mean of their class's recordings
    (all of them, whatever their licence) are kept, the nearest first.
    """
    groups = collections.defaultdict(list)
    for index, item in enumerate(items):
        groups[item.label].append(index)
    chosen = []
    for label in sorted(groups):
        own = groups[label]
        mean = embeddings[own].mean(0)
        free = [
            i
            for i in own
            if items[i].licence.startswith(FREE) and len(items[i].audio) >= SHORTEST * RATE
        ]
        free.sort(key=lambda i: -float(embeddings[i] @ mean))
        chosen += free[: min(MOST, max(3, round(SHARE * len(free))))]
    return chosen


def write(folder: Path, items: Sequence[Recording], embeddings: np.ndarray) -> None:
    """Write what :class:`v2a_foley.models.recordings.Recordings` reads."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{index:04d}.ogg" for index in range(len(items))]
    with zipfile.ZipFile(folder / "sounds.zip", "w", zipfile.ZIP_STORED) as bundle:
        for name, item in zip(names, items, strict=True):
            bundle.writestr(zipfile.ZipInfo(name), encoded(item.audio))
    with (folder / "recordings.tsv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
        out.writerow(COLUMNS)
        for name, item in zip(names, items, strict=True):
            loops = "yes" if continuous(item.label) else "no"
            made = "synthesised" if item.synthesised else "recorded"
            row = (name, item.label, item.caption, loops, made, item.licence)
            out.writerow((*row, item.package, item.path))
    save_file({"audio": embeddings.astype(np.float16)}, folder / "embeddings.safetensors")


def encoded(audio: np.ndarray) -> bytes:
    """At most 3.5 s of a 16 kHz wave as Ogg Opus, faded where it was cut."""
    import soundfile

    wave = audio[: round(LONGEST * RATE)].astype(np.float32)
    if len(wave) < len(audio):
        fade = RATE // 20
        wave[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    sink = io.BytesIO()
    soundfile.write(sink, wave, RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
    return sink.getvalue()
