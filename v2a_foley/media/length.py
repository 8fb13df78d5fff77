"""How long a video's picture is. Containers are vague about it, so it is measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.stream import Stream


def shortfall_allowed(length: float) -> float:
    """By how many seconds a picture may fall short of its stated length and still be whole."""
    return max(1.0, min(0.05 * length, 30.0))


def picture_length(container: InputContainer, stream: Stream, start: float) -> float:
    """The picture's length in seconds: to the end of its last packet from ``start``, its first PTS.

    Reads from the last key frame, or the whole file where there is no seeking; ``container`` must
    be freshly opened. Where the last packet lies well before what the file states, the file was
    cut short: then the stated length is returned, so that decoding can tell what is missing.
    """
    whole = ((container.start_time or 0) + (container.duration or 0)) / 1e6 - start
    stated = _stated(stream, start)
    _seek(container, stream, start + (stated or whole))
    picture, latest = _last_packets(container, stream, start)
    if stated is None:
        # The container's length may be that of a longer sound track: judge it by all streams.
        return whole if latest < whole - shortfall_allowed(whole) else picture
    # Much more than is stated comes from a damaged time stamp.
    if stated - shortfall_allowed(stated) <= picture <= 1.5 * stated + 10.0:
        return picture
    return stated


def _stated(stream: Stream, start: float) -> float | None:
    """What the picture's own stream says; None where it says nothing."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    end = _tag_seconds(stream.metadata.get("DURATION", ""))
    return end - start if end > start else None


def _tag_seconds(tag: str) -> float:
    """``HH:MM:SS.fraction`` as Matroska's statistics tags have it; 0 where it is none."""
    try:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _seek(container: InputContainer, stream: Stream, end: float) -> None:
    """Go to the last key frame a second or more before ``end``, if the format can."""
    if end > 1.0 and stream.time_base:
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(int((end - 1.0) / stream.time_base), stream=stream)


def _last_packets(container: InputContainer, stream: Stream, start: float) -> tuple[float, float]:
    """The ends of the picture's and of any stream's last packet, in seconds after ``start``."""
    picture = latest = untimed = 0.0
    for index, end, length in _packet_ends(container):
        latest = max(latest, (end or 0.0) - start)
        if index == stream.index:
            untimed += length  # packets without time stamps lie end to end
            picture = max(picture, untimed if end is None else end - start)
    return picture, max(picture, latest)


def _packet_ends(container: InputContainer) -> Iterator[tuple[int, float | None, float]]:
    """Each packet's stream, end in seconds (None without a time stamp) and length in seconds."""
    # A damaged tail ends the measurement, not the probe. PyAV raises IndexError at the end of a
    # file where damage made up further streams.
    with contextlib.suppress(av.error.FFmpegError, IndexError):
        for packet in container.demux():
            if packet.size and packet.time_base and not packet.is_discard:
                length = float((packet.duration or 0) * packet.time_base)
                at = None if packet.pts is None else float(packet.pts * packet.time_base)
                yield packet.stream_index, None if at is None else at + length, length
