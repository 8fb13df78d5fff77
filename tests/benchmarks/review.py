"""Size of a review page, and how long it takes to write: ``python -m tests.benchmarks review``.

Twenty scenes of six seconds with three candidates each, of a film.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.material import material
from tests.media.made import make
from tests.review import made
from v2a_foley import cuesheet
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.media.probe import probe
from v2a_foley.presets import Tag
from v2a_foley.review.page import write
from v2a_foley.spotting import fingerprint

SCENES, REPEATS = 20, 22


def main(*_: str) -> None:
    """Write a page twice: the second time the picture has been decoded before."""
    with tempfile.TemporaryDirectory() as folder:
        sheet = _sheet(Path(folder))
        assert sheet.path is not None
        output = sheet.path.with_name("page.html")
        print(f"{SCENES} scenes, {sheet.duration:.0f} s, 3 candidates a scene")
        for name in ("first", "again"):
            begun = time.perf_counter()
            write(sheet.path, output, overwrite=True)
            seconds = time.perf_counter() - begun
            print(f"{name}: {seconds:.1f} s, {output.stat().st_size / 1e6:.1f} MB")


def _sheet(folder: Path) -> CueSheet:
    source = str(material("clips")[0])
    clip = make(folder / "clip.mp4", "-stream_loop", str(REPEATS), "-i", source, "-c", "copy")
    length = probe(clip).duration / SCENES
    scenes = tuple(
        Scene(
            f"{number:03d}", (number - 1) * length, number * length, "animals", number,
            (Tag("rabbit", "animals", 0.5),),
        )
        for number in range(1, SCENES + 1)
    )  # fmt: skip
    sheet = CueSheet(clip, SCENES * length, fingerprint(clip), scenes)
    return made.rendered(cuesheet.save(sheet, folder / "clip.cues.toml"))
