"""Spotting in one pass against the separate tools: detection, extraction, CLIP encoding."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.clips import Cost, measured, twelve_scenes

ENCODE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from v2a_foley.models.bundle import Models
models = Models("starter", "cpu")
paths = sorted(Path(sys.argv[1]).glob("*.jpg"))
models.clip.images([np.asarray(Image.open(p)) for p in paths])
models.bank
print(len(paths))
"""


def main(rounds: str = "3") -> None:
    """Print the CPU and wall ratio of ``spot`` to the separate tools (best of ``rounds``)."""
    from v2a_foley.media.ffmpeg import ffmpeg_exe

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = twelve_scenes(folder)
        jobs = {
            "scenedetect": [
                sys.executable, "-m", "scenedetect", "-q", "-i", str(clip), "detect-adaptive"
            ],
            "extraction": [
                ffmpeg_exe(), "-nostdin", "-y", "-i", str(clip), "-vf", "fps=2,scale=-2:288",
                str(folder / "f%04d.jpg"),
            ],
            "CLIP": [sys.executable, "-c", ENCODE, str(folder)],
        }  # fmt: skip
        separate = Cost(0, 0, 0)
        for what, argv in jobs.items():
            cost = _best([measured(argv, _fresh(folder, what, i)) for i in range(int(rounds))])
            print(f"{what}: wall {cost.wall:.1f} s, CPU {cost.cpu:.1f} s")
            separate = Cost(separate.wall + cost.wall, separate.cpu + cost.cpu, 0)
        spot = []
        for number in range(int(rounds)):
            sheet = folder / f"{number}.cues.toml"
            argv = [sys.executable, "-m", "v2a_foley", "spot", str(clip), "-o", str(sheet),
                    "--models", "starter", "--device", "cpu"]  # fmt: skip
            spot.append(measured(argv, _fresh(folder, "spot", number)))
        best = _best(spot)
        print(f"spot: wall {best.wall:.1f} s, CPU {best.cpu:.1f} s")
        print(f"ratio: wall {best.wall / separate.wall:.2f}, CPU {best.cpu / separate.cpu:.2f}")


def _best(costs: list[Cost]) -> Cost:
    return min(costs, key=lambda cost: cost.wall)


def _fresh(folder: Path, what: str, number: int) -> dict[str, str]:
    """An empty cache for each run, so that each does its whole work."""
    return {"V2A_FOLEY_CACHE_DIR": str(folder / f"cache-{what}-{number}")}
