"""The diffusion mapper: training at full size, memory of the pairs, mapping against rendering."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FRAMES = 2
SHARD = 5000
CHILD = """
import json, sys, time
from pathlib import Path
import psutil
from v2a_foley.mapper import config
from v2a_foley.mapper.batches import Batches, Material
from v2a_foley.mapper.training import train

class Clock:
    def __init__(self): self.ticks = []
    def stage(self, name, share): self.ticks.append(time.perf_counter())
    def note(self, message): pass

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
begun = time.perf_counter()
material = Material.open(folder)
opened = time.perf_counter() - begun
clock, process = Clock(), psutil.Process()
wanted = config.with_training(config.load("diffusion"), {"steps": steps + 1})
train(material, folder.with_suffix(".safetensors"), wanted, device="cpu", progress=clock)
trained = process.memory_info()
seconds = (clock.ticks[steps] - clock.ticks[0]) / steps
batches = Batches(material, 448, wanted.frames.most, 0)
begun = time.perf_counter()
for _ in batches.stream(0, batches.per_epoch): pass
read = time.perf_counter() - begun
now = process.memory_info()
print(json.dumps({
    "opened": opened, "step": seconds, "read": read / batches.per_epoch,
    "own": now.rss - now.shared, "trained": trained.rss, "mapped": now.shared,
}))
"""


def main(steps: str = "3") -> None:
    """Print steps a second at batch 448, memory by the number of pairs, and mapping's share."""
    own = []
    with tempfile.TemporaryDirectory() as name:
        for count in (20_000, 200_000):
            folder = write(Path(name) / str(count), count)
            argv = [sys.executable, "-c", CHILD, str(folder), steps]
            done = subprocess.run(argv, check=True, capture_output=True, text=True)
            made = json.loads(done.stdout)
            own.append(made["own"])
            print(
                f"{count} pairs: opened in {made['opened']:.1f} s; {1 / made['step']:.3f} steps/s "
                f"of 448 at full size; reading a batch is {made['read'] / made['step']:.4f} of a "
                f"step; {made['trained'] / 2**20:.0f} MiB after training; after reading every "
                f"pair {made['own'] / 2**20:.0f} MiB of its own and "
                f"{made['mapped'] / 2**20:.0f} MiB mapped"
            )
    print(f"own memory, ten times the pairs: {own[1] / own[0]:.3f}")
    mapping()


def write(folder: Path, count: int) -> Path:
    """Random pairs, none held out."""
    from v2a_foley.pairs.layout import Manifest, Record
    from v2a_foley.pairs.shards import Pair, PairsFolder

    rng = np.random.default_rng(0)
    manifest = Manifest("made", "made-1", 512, 512, "media", {})
    target = PairsFolder.create(folder, manifest, np.eye(8, 512, dtype=np.float32))
    for first in range(0, count, SHARD):
        rows = rng.standard_normal((SHARD, FRAMES + 1, 512), np.float32)
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
        names = [f"{first + at:06d}" for at in range(SHARD)]
        records = [Record(n, f"{n}.mp4", 0.0, 10.0, "", "", "train", n, n) for n in names]
        target.write(
            Pair(r, own[:FRAMES], own[FRAMES]) for r, own in zip(records, rows, strict=True)
        )
    return folder


def mapping() -> None:
    """Print what mapping a scene of 5 s costs, as a share of rendering it with the starter."""
    import torch

    from v2a_foley.mapper import config, kinds
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.generator import Request

    models = Models("starter", "cpu")
    condition, empty = models.bank.heard[:1], models.bank.empty
    requests = [Request(condition, 5.0, seed) for seed in (0, 1)]  # the candidates of a scene
    rendering = best(lambda: models.generator.generate(requests, unconditional=empty), 3)
    print(f"rendering a scene of 5 s: {rendering:.2f} s")
    scene = torch.nn.functional.normalize(torch.randn(10, 512), dim=-1)
    for name in config.names():
        wanted = config.load(name)
        network = kinds.build(512, 512, wanted.frames, wanted.model).eval()
        with torch.inference_mode():
            seconds = best(lambda network=network: network.map([scene]), 10)
        print(f"mapping it with {name}: {seconds * 1000:.1f} ms, {seconds / rendering:.4f} of it")


def best(work: object, rounds: int) -> float:
    """The least seconds that ``work`` takes."""
    times = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        work()  # type: ignore[operator]
        times.append(time.perf_counter() - begun)
    return min(times[1:])
