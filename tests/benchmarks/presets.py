"""How often a picture calls for the preset of what it shows, by the starter pack's eyes.

``python -m tests.benchmarks presets pictures.tsv``: a table with the columns ``file`` (relative to
it) and ``cls``, a concept of the phrase bank. The due preset is the one that the concept itself
calls for.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from v2a_foley import presets
from v2a_foley.mapper.bridge import phrases
from v2a_foley.models.bundle import Models
from v2a_foley.presets import Tag
from v2a_foley.spotting import tag

BATCH = 16


def main(table: str) -> None:
    """Print, for each preset, how many pictures that are due to it get it, and what others get."""
    groups = {phrase.concept: phrase.group for phrase in phrases()}
    with Path(table).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["cls"] in groups]
    known = presets.load_all()
    due = [presets.match([Tag(row["cls"], groups[row["cls"]], 1.0)], known).name for row in rows]
    models = Models("starter", "cpu")
    got: dict[str, Counter[str]] = defaultdict(Counter)
    for first in range(0, len(rows), BATCH):
        images = [_picture(Path(table).parent / row["file"]) for row in rows[first : first + BATCH]]
        for name, seen in zip(due[first:], models.clip.images(images), strict=False):
            got[name][presets.match(tag(seen, models), known).name] += 1
    for name, found in sorted(got.items()):
        others = ", ".join(f"{each} {n}" for each, n in found.most_common() if each != name)
        print(f"{name:18}{found[name]:4} of {found.total():4}   {others}")
    right = sum(found[name] for name, found in got.items())
    print(f"{'all':18}{right:4} of {len(rows):4}")


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
