"""What a render costs outside the models, and how it grows with scenes and with length.

Nothing is cached; the models are loaded before. "Models" are the generator, CLAP, CLIP and the
mapper; the rest is conditions, guards, fitting, WAV files, cache and records.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.media.clips import shots


def main(scenes: str = "12", seconds: str = "5") -> None:
    """Print the share outside the models for ``scenes`` of ``seconds``, then how time grows."""
    from v2a_foley.models.bundle import Models

    os.environ["V2A_FOLEY_CACHE_DIR"] = tempfile.mkdtemp(prefix="v2a-foley-benchmark-")
    models = Models("starter", "cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _render(models, folder, 1, 2.0)  # loads what is loaded once
        whole, inside = _render(models, folder, int(scenes), float(seconds))
        print(
            f"{scenes} scenes of {seconds} s: {whole:.2f} s, outside the models "
            f"{whole - inside:.2f} s, {(whole - inside) / whole:.1%}", flush=True,
        )  # fmt: skip
        base = None
        for count in (1, 2, 4, 8, 16):
            each = _render(models, folder, count, 5.0)[0] / count
            base = base or each
            print(
                f"{count} scenes of 5 s: {each:.2f} s each, {each / base:.2f} of one alone",
                flush=True,
            )
        base = None
        for length in (5.0, 10.0, 20.0, 40.0):
            each = _render(models, folder, 1, length)[0] / length
            base = base or each
            print(
                f"a scene of {length:.0f} s: {each:.2f} s a second, {each / base:.2f} of 5 s",
                flush=True,
            )


def _render(models: Any, folder: Path, scenes: int, length: float) -> tuple[float, float]:
    """Wall seconds of one render, and those of them in the models."""
    from v2a_foley.rendering import render
    from v2a_foley.spotting import spot

    path = folder / f"{scenes}x{length:.0f}.cues.toml"
    clip = shots(path.with_suffix(".mp4"), [length] * scenes)
    sheet = spot(clip, path, models=models, seed=time.time_ns() % 10**9)
    if len(sheet.scenes) != scenes:  # a cut that was not seen: equal parts instead
        first = sheet.scenes[0]
        cuts = [
            replace(first, id=f"{n:03d}", start=n * length, end=(n + 1) * length, seed=n)
            for n in range(scenes)
        ]
        sheet = replace(sheet, scenes=tuple(cuts), duration=scenes * length)
    with _watched(models) as spent:
        begun = time.perf_counter()
        render(sheet, models=models)
        return time.perf_counter() - begun, sum(spent)


@contextmanager
def _watched(models: Any) -> Iterator[list[float]]:
    """Collect the wall time of the calls that are the models' own."""
    spent: list[float] = []
    owners = [(models.generator, "generate"), (models.clap, "sounds"), (models.clap, "texts")]
    owners += [(models.clip, "images"), (models, "map")]

    def timed(call: Any) -> Any:
        def run(*arguments: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                spent.append(time.perf_counter() - begun)

        return run

    for owner, name in owners:
        setattr(owner, name, timed(getattr(owner, name)))
    try:
        yield spent
    finally:
        for owner, name in owners:
            delattr(owner, name)
