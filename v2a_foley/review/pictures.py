"""The picture for the page: a small silent copy of the video, and a strip of it for each scene."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from PIL import Image as Pictures

from v2a_foley import cache
from v2a_foley.media.decode import decode
from v2a_foley.media.picture import Frame, Image
from v2a_foley.media.probe import MediaInfo

SIDE = 180  # pixels of the copy's short side
RATE = 30.0  # pictures a second, at most
STRIP_SIDE = 90  # pixels of a strip's height
STRIP_SHAPE = 14.0  # about how many times as wide as high it is
QUALITY = 72  # of its JPEG
_TICKS = 90_000


class Copy:
    """Consumer that encodes what it sees as a small H.264 video in memory."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._next = 0.0
        self._out = av.open(self._buffer, "w", format="mp4")
        self._stream = self._out.add_stream("libx264", rate=25)
        self._stream.options = {"crf": "32", "preset": "veryfast", "g": "50", "threads": "1"}
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._sized = False

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        if frame.time < self._next - 1e-3:
            return
        self._next = frame.time + 1 / RATE
        odd = [side % 2 for side in frame.image.shape[:2]]  # H.264 wants even sides
        image = np.pad(frame.image, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        if not self._sized:
            self._stream.height, self._stream.width = image.shape[:2]
            self._sized = True
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        picture.pts, picture.time_base = round(frame.time * _TICKS), Fraction(1, _TICKS)
        self._out.mux(self._stream.encode(picture))

    def finish(self, duration: float) -> None:
        """Take the video's length."""
        self._out.mux(self._stream.encode(None))
        self._out.close()

    @property
    def data(self) -> bytes:
        """The whole MP4, after :meth:`finish`."""
        return self._buffer.getvalue()


def small_copy(
    info: MediaInfo, fingerprint: str, progress: Callable[[float, float], None] | None = None
) -> bytes:
    """A video as a small silent MP4; decoded once for each content, then kept in the cache.

    Raises:
        MediaError: it cannot be decoded.
    """
    name = cache.key("review copy", 1, fingerprint, SIDE, RATE)
    kept = cache.get(name)
    if kept is not None:
        return kept[0]["mp4"].tobytes()
    copy = Copy()
    decode(info, [copy], short_side=SIDE, progress=progress)
    cache.put(name, {"mp4": np.frombuffer(copy.data, np.uint8)}, {})
    return copy.data


@dataclass(frozen=True, slots=True)
class Strip:
    """Pictures side by side as one JPEG, and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


def strips(video: bytes, spans: Sequence[tuple[float, float]]) -> list[Strip]:
    """For each span of seconds the pictures in it, at even distances.

    ``video`` is what :func:`small_copy` made; it is read once, whatever the spans.
    """
    with av.open(io.BytesIO(video)) as container:
        width, height = container.streams.video[0].width, container.streams.video[0].height
        count = max(4, min(16, round(STRIP_SHAPE * height / width)))
        wanted = sorted(
            (start + (end - start) * (place + 0.5) / count, number, place)
            for number, (start, end) in enumerate(spans)
            for place in range(count)
        )
        size = max(1, round(STRIP_SIDE * width / height)), STRIP_SIDE
        cells: list[list[Image]] = [[np.zeros((*size[::-1], 3), np.uint8)] * count for _ in spans]
        last: av.VideoFrame | None = None
        for frame in container.decode(video=0):
            time = float(frame.time or 0.0)
            while wanted and wanted[0][0] < time:
                _, number, place = wanted.pop(0)
                cells[number][place] = _small(last or frame, size)
            last = frame
        for _, number, place in wanted if last is not None else ():
            cells[number][place] = _small(last, size)
    return [Strip(_jpeg(np.concatenate(row, axis=1)), count * size[0], size[1]) for row in cells]


def _small(frame: av.VideoFrame, size: tuple[int, int]) -> Image:
    return np.asarray(frame.to_image().resize(size), np.uint8)


def _jpeg(image: Image) -> bytes:
    buffer = io.BytesIO()
    Pictures.fromarray(image).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
