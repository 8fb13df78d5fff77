"""Peak memory of ``spot``: two hours against ten minutes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.clips import long_clip, measured


def main() -> None:
    """Print both peaks and their ratio."""
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for minutes in (10, 120):
            clip = long_clip(folder, minutes)
            argv = [sys.executable, "-m", "v2a_foley", "spot", str(clip), "-o",
                    str(folder / f"{minutes}.cues.toml"), "--models", "starter",
                    "--device", "cpu"]  # fmt: skip
            cost = measured(argv, {"V2A_FOLEY_CACHE_DIR": str(folder / f"cache-{minutes}")})
            peaks.append(cost.peak)
            print(f"{minutes} min: peak {cost.peak / 2**20:.0f} MiB, wall {cost.wall:.0f} s")
    print(f"ratio: {peaks[1] / peaks[0]:.2f}")
