"""Fuzzing at length: each target in a process of its own, so that a crash is seen and counted."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

BATCH = 100  # inputs a process


def main(seconds: str = "60", only: str = "", seed: str = "0") -> None:
    """Spend about ``seconds`` on each target (or ``only`` one); print what came of it."""
    from tests.fuzzing import TARGETS

    for name in TARGETS:
        if only in ("", name):
            _campaign(name, float(seconds), int(seed))


def _campaign(name: str, seconds: float, seed: int) -> None:
    counts: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        code = f"from tests.benchmarks.fuzz import batch; batch({name!r}, {seed})"
        command = [sys.executable, "-X", "faulthandler", "-c", code]
        try:
            child = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            counts["hung"] += 1
            print(f"{name}: batch {seed} hung", flush=True)
        else:
            counts.update(child.stdout.split())
            if child.returncode:
                counts["crashed"] += 1
                print(f"{name}: batch {seed}: {child.stderr.strip()[-1500:]}", flush=True)
        seed += 1
    tried = counts["read"] + counts["refused"]
    print(
        f"{name}: {tried} inputs, {counts['read']} read, {counts['refused']} refused, "
        f"{counts['crashed']} crashes, {counts['hung']} hung", flush=True,
    )  # fmt: skip


def batch(name: str, seed: int) -> None:
    """Try :data:`BATCH` inputs of one target; an unexpected error ends the process."""
    from tests.fuzzing import TARGETS, attempt, mutated

    target, rng = TARGETS[name], random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "seeds").mkdir()
        seeds = target.seeds(folder / "seeds")
        for _ in range(BATCH):
            data = mutated(rng.choice(seeds), rng)
            try:
                outcome = attempt(target, data, folder)
            except BaseException:
                Path(tempfile.gettempdir(), f"fuzz-{name}-{seed}.bin").write_bytes(data)
                raise
            print(outcome, flush=True)
