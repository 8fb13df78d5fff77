"""``python -m tests.benchmarks NAME``: one of the figures in the README."""

from __future__ import annotations

import importlib
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
NAMES = (
    "spot", "run", "render", "deliver", "memory", "foundation", "generation", "embed", "mapper",
    "library", "batch", "timing", "guards", "review", "fuzz", "presets",
)  # fmt: skip

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        raise SystemExit(f"usage: python -m tests.benchmarks {'|'.join(NAMES)}")
    importlib.import_module(f"tests.benchmarks.{sys.argv[1]}").main(*sys.argv[2:])
