"""What a video file holds: its picture, its rate, its sound tracks; read with PyAV, no ffprobe."""

from __future__ import annotations

import itertools
import stat
import statistics
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from v2a_foley.errors import InputError
from v2a_foley.media.ffmpeg import FORMATS
from v2a_foley.media.files import named
from v2a_foley.media.length import picture_length

_COMMON = {"video": "MP4 or MKV", "sound": "WAV or FLAC"}
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"<SmoothStreaming", b"v=0", b"[playlist]", b"RTSP")
_HDR_TRANSFERS = (16, 18)  # AVColorTransferCharacteristic: SMPTE 2084 (PQ), ARIB STD-B67 (HLG)
_HEAD_PACKETS = 250
# What no video for editing exceeds, and what a file made to exhaust a machine does.
MOST_PIXELS = 100_000_000  # 12K is 80 million
MOST_RATE = 1000  # frames a second
MOST_SECONDS = 12 * 3600
MOST_STREAMS = 256
_MAX_REORDER = 16  # packets of an H.264/HEVC stream come at most this far out of order


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One sound track; ``stream`` is its index in the file, as in ffmpeg's ``-map 0:N``."""

    stream: int
    codec: str
    channels: int
    layout: str
    sample_rate: int
    language: str | None
    title: str | None
    default: bool


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is known of a video file before it is decoded.

    ``stream`` is the picture's index in the file. ``duration`` is the picture's own length in
    seconds, not the container's, which may follow a longer sound track; ``start`` is the PTS of
    the first picture in seconds. ``width`` and ``height`` are those on the screen: pixel aspect
    and rotation applied. ``rotation`` is clockwise, in degrees, one of 0, 90, 180, 270.
    """

    path: Path
    container: str
    stream: int
    duration: float
    start: float
    width: int
    height: int
    rotation: int
    codec: str
    pixel_format: str
    bit_depth: int
    hdr: bool
    rate: Fraction
    vfr: bool
    audio: tuple[AudioTrack, ...]
    subtitles: int
    chapters: int


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture is turned for display: first transposed, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read the frame's display matrix; rotations off the right angle are not applied."""
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        # x' = a x + c y, y' = b x + d y, as 16.16 fixed point in rows of three.
        a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
        if abs(b) > abs(a):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    @property
    def rotation(self) -> int:
        """The clockwise turn in degrees; a mirror image counts as its unmirrored turn."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0


@dataclass(frozen=True, slots=True)
class _Head:
    """The first decoded frame, and the gaps in seconds between the first packets in PTS order."""

    frame: VideoFrame
    gaps: list[float]


def probe(path: Path) -> MediaInfo:
    """Read what ``path`` holds; decodes one frame.

    Raises:
        InputError: the file is missing, unreadable, damaged at its start, no video, a playlist
            that refers to other files, or larger than :data:`MOST_PIXELS`,
            :data:`MOST_RATE`, :data:`MOST_SECONDS` or :data:`MOST_STREAMS` allow.
    """
    path = Path(path)
    with open_media(path) as container:
        _check_streams(container, path)
        stream = _picture(container, path)
        _check_size(stream, path)
        head = _read_head(container, stream, path)
        tick = stream.time_base or Fraction(1, 1000)
        start = float((head.frame.pts or 0) * tick)
        rate = stream.average_rate or stream.guessed_rate or _rate_of(head.gaps)
        with open_media(path) as again:
            duration = picture_length(again, again.streams[stream.index], start)
        if duration <= 0:
            raise InputError(f"{named(path)}: the video is 0 s long; export it again")
        _check_length(duration, rate, path)
        turn = Orientation.of(head.frame)
        width, height = _displayed(head.frame, stream.sample_aspect_ratio, turn)
        return MediaInfo(
            path=path,
            container=container.format.name,
            stream=stream.index,
            duration=duration,
            start=start,
            width=width,
            height=height,
            rotation=turn.rotation,
            codec=stream.codec_context.codec.canonical_name,
            pixel_format=head.frame.format.name,
            bit_depth=max(component.bits for component in head.frame.format.components),
            hdr=int(head.frame.color_trc) in _HDR_TRANSFERS,
            rate=rate,
            vfr=_is_vfr(head.gaps, rate, tick),
            audio=_audio(container),
            subtitles=len(container.streams.subtitles),
            chapters=len(container.chapters()),
        )


def open_media(path: Path, *, kind: str = "video") -> InputContainer:
    """Open ``path`` for reading as one local file: no protocol but ``file``, no playlist.

    ``kind`` (video or sound) is what an error says that it should be.

    Raises:
        InputError: see :func:`probe`.
    """
    _require_file(path, kind)
    options = {
        "protocol_whitelist": "file", "format_whitelist": FORMATS,
        "max_streams": str(4 * MOST_STREAMS),
    }  # fmt: skip
    try:
        # The prefix keeps names like `http:x.mp4` and `-y.mp4` file names. Broken tags in old
        # files are common and no reason to refuse them.
        return av.open(f"file:{path}", options=options, metadata_errors="replace")
    except av.error.PermissionError:
        raise InputError(
            f"{named(path)}: no permission to read it; change that, or copy it as its owner"
        ) from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{named(path)}: {_why_not(path, error, kind)}") from None


def _require_file(path: Path, kind: str) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"{named(path)}: no such file; check its name and folder") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{named(path)}: cannot be read ({reason}); check its name and folder"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{named(path)}: is a folder; name a {kind} file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{named(path)}: is not a regular file; copy the {kind} to a file first")
    if status.st_size == 0:
        raise InputError(f"{named(path)}: is empty (0 bytes); copy or export it again")


def _why_not(path: Path, error: Exception, kind: str) -> str:
    with path.open("rb") as file:
        head = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(_PLAYLISTS) or b"<MPD" in head:
        return "is a playlist that refers to other files; name the video file itself"
    if b"ftyp" in head[:12] and isinstance(error, av.error.InvalidDataError):
        return (
            "is an unfinished or truncated MP4/MOV (its index, the moov atom, is missing); "
            "copy it again, or export it again"
        )
    return f"is not a {kind} file that can be read here; convert it to {_COMMON[kind]} first"


def _check_streams(container: InputContainer, path: Path) -> None:
    count = len(container.streams)
    if count > MOST_STREAMS:
        raise InputError(
            f"{named(path)}: has {count} streams, {MOST_STREAMS} at most are read; export it "
            "with those that are needed"
        )


def _check_size(stream: VideoStream, path: Path) -> None:
    """Judged by the header: a frame of such a size is never decoded."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{named(path)}: its picture is {width}x{height}, more than {MOST_PIXELS // 10**6} "
            "million pixels; scale it down first"
        )
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}


def _check_length(duration: float, rate: Fraction, path: Path) -> None:
    if duration > MOST_SECONDS:
        raise InputError(
            f"{named(path)}: is {duration / 3600:.1f} hours long by its time stamps, "
            f"{MOST_SECONDS // 3600} at most can be worked on; cut it into parts"
        )
    if rate > MOST_RATE:
        raise InputError(
            f"{named(path)}: states {float(rate):.0f} frames a second, {MOST_RATE} at most are "
            "read; export it at a usual rate"
        )


def _picture(container: InputContainer, path: Path) -> VideoStream:
    """The first moving picture; cover art and chapter thumbnails are none."""
    stills = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [s for s in container.streams.video if not s.disposition & stills]
    if not moving:
        what = "only sound" if container.streams.audio else "no picture"
        raise InputError(f"{named(path)}: holds {what}, no video track; name a video file")
    stream = next((s for s in moving if s.disposition & Disposition.default), moving[0])
    if stream.codec_context is None:
        raise InputError(
            f"{named(path)}: its video codec is unknown here; convert it to H.264 first"
        )
    return stream


def _read_head(container: InputContainer, stream: VideoStream, path: Path) -> _Head:
    stream.thread_type = "SLICE"  # frame threads would ask for more packets before the first frame
    frame: VideoFrame | None = None
    times: list[int] = []
    packets = 0
    try:
        for packet in itertools.islice(container.demux(stream), _HEAD_PACKETS):
            packets += 1
            if packet.pts is not None:
                times.append(packet.pts)
            if frame is None:
                frame = _first_frame(packet)
    except (av.error.FFmpegError, IndexError):
        pass  # a file broken further on: what was read so far may do, the decoder judges the rest
    if frame is None:
        raise InputError(f"{named(path)}: no frame can be decoded from it; export it again")
    times.sort()
    if packets == _HEAD_PACKETS:
        times = times[:-_MAX_REORDER]
    tick = float(stream.time_base or Fraction(1, 1000))
    return _Head(frame, [(b - a) * tick for a, b in itertools.pairwise(times)])


def _first_frame(packet: av.Packet) -> VideoFrame | None:
    try:
        return next((frame for frame in packet.decode() if not frame.is_corrupt), None)
    except av.error.FFmpegError:
        return None


def _displayed(frame: VideoFrame, aspect: Fraction | None, turn: Orientation) -> tuple[int, int]:
    width = max(1, round(frame.width * aspect)) if aspect else frame.width
    return (frame.height, width) if turn.transpose else (width, frame.height)


def _rate_of(gaps: list[float]) -> Fraction:
    gap = statistics.median(gaps) if gaps else 0.04
    return (1 / Fraction(gap)).limit_denominator(1001) if gap > 0 else Fraction(25)


def _is_vfr(gaps: list[float], rate: Fraction, tick: Fraction) -> bool:
    """Whether frames come at uneven times, beyond the rounding of the container's clock."""
    if not gaps:
        return False
    usual = statistics.median(gaps)
    slack = max(2 * float(tick), 0.01 * usual)
    odd = sum(abs(gap - usual) > slack for gap in gaps)
    # One odd gap is what a recording that starts inside a group of pictures has.
    return odd > max(1, len(gaps) // 100) or abs(usual * float(rate) - 1) > 0.05 + slack / usual


def _audio(container: InputContainer) -> tuple[AudioTrack, ...]:
    return tuple(
        AudioTrack(
            stream=stream.index,
            codec=stream.codec_context.codec.canonical_name,
            channels=stream.channels,
            layout=stream.layout.name,
            sample_rate=stream.sample_rate,
            language=stream.language,
            title=stream.metadata.get("title"),
            default=bool(stream.disposition & Disposition.default),
        )
        for stream in container.streams.audio
        if stream.codec_context is not None
    )
