"""A sound library of 10,000 files: adding real recordings, opening the index, searching it.

The starter's own recordings are added as a user's are. The rest are links to them, written by the
same code with embeddings near theirs, so that 10,000 need not be embedded.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

Made = TypeVar("Made")


def main(files: str = "10000", rounds: str = "50") -> None:
    """Print the time of each step; of searches the median and the slowest of ``rounds``."""
    from v2a_foley.library.adding import add, refresh
    from v2a_foley.library.searching import open_library
    from v2a_foley.library.space import index_folder
    from v2a_foley.models.bundle import Models

    models = Models("starter", "cpu")
    conditions = models.bank.heard[: int(rounds)]
    models.clap.sounds([np.zeros(48_000, np.float32)], 48_000)  # loads it
    with tempfile.TemporaryDirectory() as name:
        os.environ["V2A_FOLEY_DATA_DIR"] = name
        real = Path(name) / "real"
        with zipfile.ZipFile(models.pack.folder / "recordings" / "sounds.zip") as archive:
            archive.extractall(real)
        done, spent = _timed(lambda: add([real], models=models))
        print(
            f"add: {done.added} recordings in {spent:.1f} s, {1e3 * spent / done.added:.0f} ms each"
        )
        place = index_folder(models.pack)
        _fill(place, real, Path(name) / "links", int(files))
        library, spent = _timed(lambda: open_library(models))
        size = sum(path.stat().st_size for path in place.iterdir()) / 2**20
        print(f"open: {len(library.pieces)} pieces, index {size:.0f} MiB: {1e3 * spent:.0f} ms")
        _report("search", [_timed(lambda c=c: library.search(c, 10))[1] for c in conditions])
        _report("choose", [_timed(lambda c=c: library.choose(c, 1))[1] for c in conditions])
        takes = [_timed(lambda c=c: library.take(c, 8.0, 48_000, 1))[1] for c in conditions]
        _report("take of 8 s", takes)
        done, spent = _timed(lambda: refresh([], models=models))
        print(f"refresh of {done.unchanged} unchanged files: {spent:.2f} s")


def _fill(place: Path, real: Path, folder: Path, files: int) -> None:
    """Link to the recordings and write rows for the links until the index has ``files``."""
    from v2a_foley.library.index import Index
    from v2a_foley.library.records import Entry, File

    folder.mkdir()
    rng = np.random.default_rng(0)
    with Index(place) as index:
        known = [(each.path, index.embeddings[each.row].copy()) for each in index.pieces()]
        other = index.put_folder(folder, "links", "")
        batch = []
        for number in range(files - len(known)):
            path, near = known[number % len(known)]
            link = folder / f"{number:05d}.ogg"
            os.link(path, link)
            row = near + rng.normal(0, 0.02, len(near))
            row = (row / np.linalg.norm(row)).astype(np.float32)
            status = link.stat()
            file = File(
                link.name, status.st_size, status.st_mtime_ns, f"{number}", 5.0, "", ""
            )  # fmt: skip
            batch.append(Entry(file, [(0.0, 5.0)], [row]))
        index.write(other, batch)


def _timed(work: Callable[[], Made]) -> tuple[Made, float]:
    """What ``work`` gives, and the seconds it took."""
    begun = time.perf_counter()
    made = work()
    return made, time.perf_counter() - begun


def _report(name: str, times: list[float]) -> None:
    middle, slowest = 1e3 * statistics.median(times), 1e3 * max(times)
    print(f"{name}: median {middle:.1f} ms, slowest {slowest:.1f} ms")
