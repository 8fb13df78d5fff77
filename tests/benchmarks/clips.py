"""The clips that are measured with, and how a child process is measured."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.media.clips import shots
from tests.media.made import lavfi, make


def twelve_scenes(folder: Path) -> Path:
    """60 s of 1080p in twelve shots, with light film grain."""
    return shots(folder / "twelve.mp4", [5.0] * 12, after="scale=1920:1080,noise=alls=4:allf=t")


def long_clip(folder: Path, minutes: int) -> Path:
    """A low-resolution video with a hard cut every 20 s."""
    graph = (
        f"testsrc2=s=160x120:r=10:d={minutes * 60},"
        "negate=enable='lt(mod(t,40),20)',hue=h='floor(t/20)*77'"
    )
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    return make(folder / f"{minutes}min.mp4", *lavfi(graph), *codec)


@dataclass(frozen=True)
class Cost:
    """Wall seconds, CPU seconds and peak memory (bytes) of a child process."""

    wall: float
    cpu: float
    peak: int


def measured(argv: list[str], env: dict[str, str] | None = None) -> Cost:
    """Run ``argv`` and measure it; its own wait, so that the peak is this child's alone."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | (env or {})
    )
    assert child.stderr is not None
    message = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{argv} failed: {message.decode()[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, _bytes(usage))


def _bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
