"""One sequential pass over a video: every frame, small and upright, is handed to each consumer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from v2a_foley.errors import MediaError
from v2a_foley.media.probe import MediaInfo, Orientation, named, open_media

Image = NDArray[np.uint8]

THUMBNAIL_SIDE = 72
_IMAGE_SIDE = 288
_MAX_BAD_RUN = 100
_PROGRESS_EVERY = 25  # frames
_JUMP_BACK = 1.0  # seconds; less is jitter, more is a spliced recording
_PQ, _HLG = 16, 18  # AVColorTransferCharacteristic: SMPTE 2084, ARIB STD-B67
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BT2020_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


class Frame:
    """One frame of the video, upright, at ``time`` seconds after the video's first frame.

    ``thumbnail`` is uint8 RGB ``(h, w, 3)``, its short side 72 px; ``image`` is the same at the
    pass's size, made when it is first asked for: until then the frame keeps the decoded picture,
    so a consumer holds on to few frames whose ``image`` it has not read.
    """

    __slots__ = ("_image", "_luma", "_render", "duration", "thumbnail", "time")

    def __init__(
        self, time: float, duration: float, thumbnail: Image, render: Callable[[], Image]
    ) -> None:
        self.time = time
        self.duration = duration
        self.thumbnail = thumbnail
        self._render: Callable[[], Image] | None = render
        self._image: Image | None = None
        self._luma: NDArray[np.float32] | None = None

    @property
    def image(self) -> Image:
        """The picture, uint8 RGB ``(H, W, 3)``."""
        if self._render is not None:
            self._image, self._render = self._render(), None
        assert self._image is not None
        return self._image

    @property
    def luma(self) -> NDArray[np.float32]:
        """The thumbnail's luma (BT.601 weights), float32 ``(h, w)`` in 0..255."""
        if self._luma is None:
            self._luma = self.thumbnail.astype(np.float32) @ _LUMA
        return self._luma


class Consumer(Protocol):
    """What :func:`decode` feeds."""

    def add(self, frame: Frame) -> None:
        """Take the next frame; times rise strictly."""

    def finish(self, duration: float) -> None:
        """Take the video's length in seconds, after the last frame."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a pass saw. ``end`` is the last frame's end, in seconds after the first frame."""

    frames: int
    skipped: int
    end: float


def decode(
    info: MediaInfo,
    consumers: Sequence[Consumer],
    *,
    short_side: int = _IMAGE_SIDE,
    progress: Callable[[float, float], None] | None = None,
) -> Decoded:
    """Decode the whole picture once and hand each frame to every consumer, in their order.

    ``short_side`` bounds the images' shorter side in pixels; small videos are not enlarged.
    ``progress`` is called with (seconds done, seconds in all) every few frames. Memory does not
    grow with the video's length. Frames that cannot be decoded are skipped and counted.

    Raises:
        MediaError: no frame, or 100 in a row that cannot be decoded, or a picture that ends
            well before the length the file states.
    """
    damage = _Damage(info)
    frames, end = 0, 0.0
    with open_media(info.path) as container:
        stream = container.streams[info.stream]
        assert isinstance(stream, VideoStream)
        stream.thread_type = "AUTO"
        for frame in _frames(_pictures(container, stream, damage), stream, info, short_side):
            for consumer in consumers:
                consumer.add(frame)
            frames, end = frames + 1, frame.time + frame.duration
            damage.position = end
            if progress is not None and frames % _PROGRESS_EVERY == 0:
                progress(min(end, info.duration), info.duration)
    if frames == 0:
        raise MediaError(f"{named(info.path)}: no frame can be decoded from it; export it again")
    _require_whole(info, end)
    for consumer in consumers:
        consumer.finish(end)
    if progress is not None:
        progress(end, end)
    return Decoded(frames, damage.skipped, end)


class _Damage:
    """Counts what cannot be decoded, and gives up after a run of it."""

    def __init__(self, info: MediaInfo) -> None:
        self.skipped = 0
        self.position = 0.0
        self._run = 0
        self.path = info.path
        self._info = info

    def clear(self) -> None:
        self._run = 0

    def hit(self) -> None:
        self.skipped += 1
        self._run += 1
        if self._run >= _MAX_BAD_RUN:
            _require_whole(self._info, self.position)
            raise MediaError(
                f"{named(self.path)}: {_MAX_BAD_RUN} frames in a row cannot be decoded, "
                f"from {self.position:.2f} s on; copy the file again or export it again"
            )


def _require_whole(info: MediaInfo, end: float) -> None:
    """A shortfall of a second, or of 5 % (30 s at most), is a container's vague idea of length."""
    missing = info.duration - end
    if missing > max(1.0, min(0.05 * info.duration, 30.0)):
        raise MediaError(
            f"{named(info.path)}: the picture ends at {end:.2f} s of the {info.duration:.2f} s "
            "the file states: it is truncated or damaged; copy it again or export it again"
        )


def _pictures(
    container: InputContainer, stream: VideoStream, damage: _Damage
) -> Iterator[VideoFrame]:
    """Decoded frames in display order; demuxing ends with the packet that flushes the decoder."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            pictures = packet.decode()
        except StopIteration:
            return
        except av.error.InvalidDataError:
            damage.hit()
            packets = container.demux(stream)  # an exception ends a generator; read on after it
            continue
        except av.error.FFmpegError as error:
            reason = error.strerror or error
            raise MediaError(f"{named(damage.path)}: reading failed: {reason}") from error
        for picture in pictures:
            if picture.is_corrupt:
                damage.hit()
            else:
                damage.clear()
                yield picture


def _frames(
    pictures: Iterator[VideoFrame], stream: VideoStream, info: MediaInfo, short_side: int
) -> Iterator[Frame]:
    """Put times on the pictures; each waits for the next one, whose time is its own end."""
    tick = stream.time_base or 1 / info.rate
    first = round(info.start / tick)
    usual = float(1 / info.rate)
    small: _Scaler | None = None
    held: Frame | None = None
    for picture in pictures:
        if small is None:
            turn = Orientation.of(picture)
            small = _Scaler(info, turn, THUMBNAIL_SIDE)
            large = _Scaler(info, turn, short_side)
        length = float(picture.duration * tick) if picture.duration else usual
        at = None if picture.pts is None else float((picture.pts - first) * tick)
        time = _after(held, at)
        if held is not None:
            held.duration = time - held.time
            yield held
        held = Frame(time, length, small(picture), functools.partial(large, picture))
    if held is not None:
        yield held


def _after(last: Frame | None, at: float | None) -> float:
    """The frame's time: as stamped, but after the last frame, and next to it without a stamp."""
    if last is None:
        return max(at or 0.0, 0.0)
    if at is None or at < last.time - _JUMP_BACK:
        return last.time + last.duration
    return max(at, last.time + 1e-3)


class _Scaler:
    """Makes small upright RGB pictures of one size, whatever the stream does in between."""

    def __init__(self, info: MediaInfo, turn: Orientation, short_side: int) -> None:
        width, height = (info.height, info.width) if turn.transpose else (info.width, info.height)
        # The second bound keeps banners of extreme aspect from becoming huge.
        scale = min(1.0, short_side / min(width, height), 4 * short_side / max(width, height))
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        self._turn = turn
        self._reformatter = VideoReformatter()

    def __call__(self, picture: VideoFrame) -> Image:
        # Area averaging: a detector fed with aliased thumbnails takes grain for change.
        scaled = self._reformatter.reformat(
            picture, *self._size, format="rgb24", interpolation=Interpolation.AREA
        )
        image = np.asarray(scaled.to_ndarray(), dtype=np.uint8)
        if (curve := _linear_light(int(picture.color_trc))) is not None:
            image = _tone_map(image, curve)
        return _upright(image, self._turn)


def _upright(image: Image, turn: Orientation) -> Image:
    if turn.transpose:
        image = image.transpose(1, 0, 2)
    if turn.mirror_x:
        image = image[:, ::-1]
    if turn.mirror_y:
        image = image[::-1]
    return np.ascontiguousarray(image)


@functools.lru_cache(maxsize=4)
def _linear_light(transfer: int) -> NDArray[np.float32] | None:
    """Light for each 8-bit code of an HDR curve, 1.0 = the 203 cd/m2 of graphics white; else None.

    The curves are those of ITU-R BT.2100, HLG as shown on a 1000 cd/m2 screen.
    """
    code = np.arange(256) / 255.0
    if transfer == _PQ:
        root = code ** (32 / 2523)
        light = 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
            16384 / 2610
        )
    elif transfer == _HLG:
        scene = np.where(
            code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
        light = 1000 * scene**1.2
    else:
        return None
    return (light / 203).astype(np.float32)


def _tone_map(image: Image, curve: NDArray[np.float32]) -> Image:
    """An HDR picture as a plain screen shows it: what the image encoder was trained on."""
    light = np.maximum(curve[image] @ _BT2020_TO_709.T, 0)
    knee = 0.75  # linear up to here, highlights rolled off into the rest
    rolled = knee + (1 - knee) * (1 - np.exp((knee - light) / (1 - knee)))
    shown = np.where(light > knee, rolled, light) ** (1 / 2.2)
    return np.rint(shown * 255).astype(np.uint8)
