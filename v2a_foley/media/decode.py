"""One sequential pass over a video: every frame, small and upright, is handed to each consumer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from v2a_foley.errors import MediaError
from v2a_foley.media.files import named
from v2a_foley.media.length import shortfall_allowed
from v2a_foley.media.picture import THUMBNAIL_SIDE, Frame, Scaler
from v2a_foley.media.probe import MediaInfo, Orientation, open_media

_IMAGE_SIDE = 288
_MAX_BAD_RUN = 100
_PROGRESS_EVERY = 25  # frames
_BROADCAST = ("mpegts", "mpeg")
_JUMP = 1.0  # seconds; time stamps off by less are jitter, or a gap
_SPLICE = 10.0  # seconds; ffmpeg too takes a longer gap in a broadcast stream for a splice


class Consumer(Protocol):
    """What :func:`decode` feeds."""

    def add(self, frame: Frame) -> None:
        """Take the next frame; times rise strictly."""

    def finish(self, duration: float) -> None:
        """Take the video's length in seconds, after the last frame."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a pass saw: frames used, frames skipped as damaged, and the picture's true length.

    ``duration`` is the last frame's end, in seconds after the first frame.
    """

    frames: int
    skipped: int
    duration: float


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
        pictures = _pictures(container, stream, damage)
        for frame in _frames(pictures, stream, info, short_side, damage):
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

    def clear(self) -> None:
        self._run = 0

    def hit(self) -> None:
        self.skipped += 1
        self._run += 1
        if self._run >= _MAX_BAD_RUN:
            raise MediaError(
                f"{named(self.path)}: {_MAX_BAD_RUN} frames in a row cannot be decoded, "
                f"from {self.position:.2f} s on; copy the file again or export it again"
            )


def _require_whole(info: MediaInfo, end: float) -> None:
    if info.container in _BROADCAST:
        return  # these state no length; what is known comes from time stamps that may jump
    if info.duration - end > shortfall_allowed(info.duration):
        raise MediaError(
            f"{named(info.path)}: the picture ends at {end:.2f} s of the {info.duration:.2f} s "
            "the file states: it is truncated or damaged; copy it again or export it again"
        )


def _pictures(
    container: InputContainer, stream: VideoStream, damage: _Damage
) -> Iterator[VideoFrame]:
    """Decoded frames in display order."""
    for packet in _packets(container, stream, damage):
        try:
            pictures = packet.decode()
        except av.error.FFmpegError:  # each decoder has its own code for broken data
            damage.hit()
            continue
        for picture in pictures:
            if picture.is_corrupt:
                damage.hit()
            else:
                damage.clear()
                yield picture


def _packets(
    container: InputContainer, stream: VideoStream, damage: _Damage
) -> Iterator[av.Packet[VideoStream]]:
    """The stream's packets; the last is empty and flushes the decoder."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError):
            return  # IndexError: PyAV's end of file, where damage made up further streams
        except av.error.InvalidDataError:
            damage.hit()
            packets = container.demux(stream)  # an exception ends a generator; read on after it
            continue
        except av.error.FFmpegError as error:
            reason = error.strerror or error
            raise MediaError(f"{named(damage.path)}: reading failed: {reason}") from error
        yield packet


def _frames(
    pictures: Iterator[VideoFrame],
    stream: VideoStream,
    info: MediaInfo,
    short_side: int,
    damage: _Damage,
) -> Iterator[Frame]:
    """Put times on the pictures; each waits for the next one, whose time is its own end."""
    tick = stream.time_base or 1 / info.rate
    clock = _Clock(info)
    small: Scaler | None = None
    held: Frame | None = None
    for picture, stamp, following in _stamped(pictures, round(info.start / tick), tick):
        if small is None:
            turn = Orientation.of(picture)
            small, large = Scaler(info, turn, THUMBNAIL_SIDE), Scaler(info, turn, short_side)
        try:
            thumbnail = small(picture)
        except av.error.FFmpegError:  # damage can change a picture's format to nonsense
            damage.hit()
            continue
        time = clock.place(stamp, following, float((picture.duration or 0) * tick))
        if held is not None:
            held.duration = time - held.time
            yield held
        held = Frame(time, clock.next - time, thumbnail, functools.partial(large, picture))
    if held is not None:
        yield held


def _stamped(
    pictures: Iterator[VideoFrame], first: int, tick: Fraction
) -> Iterator[tuple[VideoFrame, float | None, float | None]]:
    """Each picture with its time stamp and the next one's, in seconds after the video's start."""
    held: VideoFrame | None = None
    stamp: float | None = None
    for picture in pictures:
        following = None if picture.pts is None else float((picture.pts - first) * tick)
        if held is not None:
            yield held, stamp, following
        held, stamp = picture, following
    if held is not None:
        yield held, stamp, None


class _Clock:
    """Turns time stamps, which may be missing, broken or spliced, into strictly rising times."""

    def __init__(self, info: MediaInfo) -> None:
        self.next = 0.0  # where a frame without a stamp goes
        self._usual = float(1 / info.rate)
        # No gap is longer than the video; in broadcast streams a gap is a splice.
        self._latest = 0.0 if info.container in _BROADCAST else info.duration
        self._offset = 0.0
        self._last = -1.0

    def place(self, stamp: float | None, following: float | None, length: float) -> float:
        """The time of a frame ``length`` seconds long (0: unknown), from its stamp and the next."""
        time = self.next if stamp is None else self._believe(stamp, following)
        time = max(time, self._last + 1e-3, 0.0)
        self._last, self.next = time, time + (length or self._usual)
        return time

    def _believe(self, stamp: float, following: float | None) -> float:
        time = stamp + self._offset
        off = abs(time - self.next)
        after = off if following is None else abs(following + self._offset - self.next)
        if off > _JUMP and after < off / 2:
            return self.next  # one broken stamp; the next is back in line
        if time < self.next - _JUMP or time > max(self.next, self._latest) + _SPLICE:
            self._offset += self.next - time
            return self.next
        return time
