"""How long a video's picture is: as its stream states it, else measured from the last packets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.stream import Stream


def stated_length(container: InputContainer, stream: Stream, start: float) -> float | None:
    """The picture's length in seconds as its own stream states it; None where it does not.

    ``start`` is the PTS of its first frame in seconds. The container's length is no answer: it
    is that of the longest stream, often the sound.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    end = _tag_seconds(stream.metadata.get("DURATION", ""))
    return end - start if end > start else None


def measured_length(container: InputContainer, stream: Stream, start: float) -> float:
    """The picture's length in seconds, from its last packets.

    Looks from the last key frame before the container's end, or through the whole file where
    there is no seeking. ``container`` must be freshly opened. A file that ends, with all its
    streams, well before the container's stated end was cut short: then the stated length is
    returned, so that decoding can tell what is missing.
    """
    stated_end = ((container.start_time or 0) + (container.duration or 0)) / 1e6
    if container.duration and stream.time_base:
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(int((stated_end - 1.0) / stream.time_base), stream=stream)
    picture = latest = untimed = 0.0
    for index, end, length in _packet_ends(container):
        latest = max(latest, end or 0.0)
        if index == stream.index:
            untimed += length  # packets without time stamps lie end to end
            picture = max(picture, untimed if end is None else end)
    latest = max(picture, latest)
    cut_short = container.duration and stated_end - latest > max(1.0, 0.05 * stated_end)
    return (stated_end if cut_short else picture) - start


def _tag_seconds(tag: str) -> float:
    """``HH:MM:SS.fraction`` as Matroska's statistics tags have it; 0 where it is none."""
    try:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _packet_ends(container: InputContainer) -> Iterator[tuple[int, float | None, float]]:
    """Each packet's stream, end in seconds (None without a time stamp) and length in seconds."""
    # A damaged tail ends the measurement, not the probe.
    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux():
            if packet.size and packet.time_base:
                length = float((packet.duration or 0) * packet.time_base)
                at = None if packet.pts is None else float(packet.pts * packet.time_base)
                yield packet.stream_index, None if at is None else at + length, length
