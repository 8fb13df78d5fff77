"""``run`` on 60 s of 1080p in twelve scenes: time, memory, and a second run."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.clips import measured, twelve_scenes


def main() -> None:
    """Print wall time over clip length, peak memory, and the second run over the first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = twelve_scenes(folder)
        argv = [sys.executable, "-m", "v2a_foley", "run", str(clip), "-o", str(folder / "out.mp4"),
                "--models", "starter", "--device", "cpu", "--overwrite"]  # fmt: skip
        env = {"V2A_FOLEY_CACHE_DIR": str(folder / "cache")}
        first = measured(argv, env)
        second = measured(argv, env)
        start = measured([sys.executable, "-m", "v2a_foley", "--help"])
    print(f"first run: {first.wall:.1f} s, {first.wall / 60:.2f} of the clip's length")
    print(f"peak memory: {first.peak / 2**30:.2f} GiB")
    print(f"second run: {second.wall:.1f} s, {second.wall / first.wall:.2f} of the first")
    print(f"--help: {start.wall:.2f} s")
