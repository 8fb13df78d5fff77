"""Clips in which something happens at known times: flashes, jolts of a box, bounces of a ball."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.media.made import H264, lavfi, make

KINDS = ("flashes", "jolts", "bounces")
GRAIN = "noise=alls=10:allf=t"


def clip(
    path: Path,
    kind: str,
    times: Sequence[float],
    seconds: float,
    *,
    rate: str = "25",
    after: str = GRAIN,
) -> Path:
    """A silent clip of one of :data:`KINDS` with an event at each of ``times`` (seconds)."""
    room = f"gradients=s=320x240:r={rate}:d={seconds}:c0=0x304050:c1=0x607080:speed=0.00001:seed=1"
    thing = f"color=white:s=40x40:r={rate}:d={seconds}"
    graph = {"flashes": _flashes, "jolts": _jolts, "bounces": _bounces}[kind](times, seconds)
    return make(path, *lavfi(room, thing), "-filter_complex", f"{graph},{after}", *H264)


def _flashes(times: Sequence[float], seconds: float) -> str:
    """The picture is lit for a moment."""
    lit = "+".join(f"between(t,{time:.4f},{time + 0.1:.4f})" for time in times)
    return f"[1:v]scale=320:240[light];[0:v][light]overlay=enable='{lit}'"


def _jolts(times: Sequence[float], seconds: float) -> str:
    """A box that is pushed to and fro, for 0.2 s each time."""
    moved = "+".join(
        f"{-120 if number % 2 else 120}*clip((t-{time:.4f})/0.2,0,1)"
        for number, time in enumerate(times)
    )
    return f"[0:v][1:v]overlay=x='40+{moved}':y=100"


def _bounces(times: Sequence[float], seconds: float) -> str:
    """A ball that is thrown from the floor again and again, the higher the longer it flies."""
    height = "0"
    for start, end in pairwise([times[0] - 0.8, *times, seconds + 0.5]):
        shape = f"{min(150, 150 * (end - start) ** 2):.1f}*4*(t-{start:.4f})*({end:.4f}-t)"
        shape += f"/{(end - start) ** 2:.5f}"
        height = f"if(between(t,{start:.4f},{end:.4f}),{shape},{height})"
    return f"[0:v][1:v]overlay=x=140:y='200-max(0,{height})'"
