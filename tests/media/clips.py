"""Media for the input half's tests: shots with known cuts, turned pictures, frames by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from tests.media.made import H264, lavfi, make
from v2a_foley.media.picture import Frame, Image

# Pictures that differ as two shots do, each with motion of its own.
SHOTS = (
    "testsrc=s=160x120:r={rate}:d={length}",
    "mandelbrot=s=160x120:r={rate},trim=duration={length}",
    "smptebars=s=160x120:r={rate}:d={length}",
    "testsrc2=s=160x120:r={rate}:d={length},negate",
)
TURNS = (0, 90, 180, 270)


def shots(path: Path, lengths: Sequence[float], *, rate: str = "25", after: str = "null") -> Path:
    """One shot for each length in seconds, hard cuts between; ``after`` filters the whole."""
    graphs = [
        SHOTS[number % len(SHOTS)].format(rate=rate, length=length)
        for number, length in enumerate(lengths)
    ]
    joined = "".join(f"[{number}:v]" for number in range(len(graphs)))
    graph = f"{joined}concat=n={len(graphs)},format=yuv420p,{after}"
    return make(path, *lavfi(*graphs), "-filter_complex", graph, *H264, "-fps_mode", "vfr")


def turned(path: Path, clockwise: int, codec: str = "libx264") -> Path:
    """A clip whose stored picture is shown turned: red in its upper left corner as stored."""
    corner = "color=black:s=96x64:r=10:d=0.5,drawbox=w=40:h=24:c=red:t=fill"
    upright = make(path.with_name(f"upright_{path.name}"), *lavfi(corner), *H264)
    with av.open(str(upright)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(-clockwise)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


def truncated(source: Path, path: Path, share: float) -> Path:
    """The first ``share`` of a file's bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damaged(source: Path, path: Path, start: float, end: float, share: float = 1.0) -> Path:
    """A file with ``share`` of its bytes between two points (as shares of its size) made random."""
    data = np.frombuffer(source.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(0)
    where = np.arange(int(len(data) * start), int(len(data) * end))
    where = where[rng.random(len(where)) < share]
    data[where] = rng.integers(0, 256, len(where), np.uint8)
    path.write_bytes(data.tobytes())
    return path


def frame_of(image: Image, time: float, duration: float) -> Frame:
    """A frame whose thumbnail and image are both ``image``."""
    return Frame(time, duration, image, lambda: image)


class Recorder:
    """Consumer that keeps what it is given, images included."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.durations: list[float] = []
        self.images: list[Image] = []
        self.duration: float | None = None

    def add(self, frame: Frame) -> None:
        assert self.duration is None
        self.times.append(frame.time)
        self.durations.append(frame.duration)
        self.images.append(frame.image)

    def finish(self, duration: float) -> None:
        self.duration = duration
