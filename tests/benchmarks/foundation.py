"""The foundation pack's released formats at full size, with random weights."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from tests.models.foundation import FULL, write_audioldm, write_clip


def main(steps: str = "5") -> None:
    """Print size, load times, time per step of 10.24 s, decoding time and peak memory."""
    import numpy as np

    from v2a_foley.models import pull
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.generator import Request

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_audioldm(folder / "generator", FULL, bins=True)
        write_clip(folder / "clip", full=True)
        pull.finish(folder, {pull.AUDIOLDM: "0" * 40})
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"pack: {size / 2**30:.2f} GiB")
        models = Models(str(folder), "cpu")
        for part in ("clip", "clap", "generator"):
            begun = time.perf_counter()
            getattr(models, part)
            print(f"load {part}: {time.perf_counter() - begun:.1f} s")
        image = np.zeros((288, 512, 3), np.uint8)
        begun = time.perf_counter()
        models.clip.images([image] * 16)
        print(f"CLIP: {(time.perf_counter() - begun) / 16 * 1000:.0f} ms a frame")
        empty = models.clap.texts([""])[0]
        condition = models.clap.texts(["a dog barking"])
        times = []
        for count in (1, 1 + int(steps)):
            begun = time.perf_counter()
            wave = models.generator.generate(
                [Request(condition, 10.24, 0)], unconditional=empty, steps=count
            )[0]
            times.append(time.perf_counter() - begun)
        step = (times[1] - times[0]) / int(steps)
        print(f"a guided step of 10.24 s: {step:.2f} s; decoding: {times[0] - step:.1f} s")
        print(f"wave: {len(wave) / models.generator.sample_rate:.2f} s, {wave.dtype}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory: {peak:.2f} GiB")
