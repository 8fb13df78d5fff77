"""The finished video: the picture's stream copied packet by packet, with a new first audio track.

Whatever else the container can hold goes along: subtitles, chapters, tags, cover, fonts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import ffmpeg

from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.audio import clock_of
from v2a_foley.media.containers import (
    COVERS,
    Container,
    Plan,
    check_container,
    codec_of,
    container_of,
    plan_streams,
)
from v2a_foley.media.ffmpeg import Progress, run, source, url
from v2a_foley.media.files import atomic, named
from v2a_foley.media.probe import MediaInfo, open_media, probe

AHEAD = 0.99  # most of the work that is reported done while the file is not yet in its place
SYNC = 0.01  # seconds the new sound may lie off the first picture; containers round to 1 ms
PRIMING = {"aac": 1024 / 48_000}  # seconds of silence a coder starts with, where a file shows it


@dataclass(frozen=True, slots=True)
class Muxed:
    """A finished file, and what of the source its container could not hold, in words."""

    path: Path
    audio_codec: str
    dropped: tuple[str, ...]


def mux(
    info: MediaInfo,
    audio_wav: Path,
    output: Path,
    *,
    title: str = "Foley",
    keep_original: bool = False,
    metadata: Mapping[str, str] | None = None,
    accept: Callable[[MediaInfo], bool] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Muxed:
    """Write the video with ``audio_wav`` as its first and default audio track.

    The picture is copied, not re-encoded, and the sound's first sample lies on the first
    picture. The result is read back and compared before it gets its name.

    Args:
        info: the probed source.
        audio_wav: the programme track, from the first picture on.
        output: the file to write; its suffix chooses the container.
        title: the new track's name.
        keep_original: keep the source's own tracks behind the new one.
        metadata: tags to add to the file's own.
        accept: is shown the written file before it gets its name. Where it says no, it has
            changed ``audio_wav``, and the file is written again.
        overwrite: replace an existing output.
        progress: called with the seconds written; with all of them once the file is there.

    Raises:
        InputError: the output must not be written, or its container cannot hold the picture.
        MediaError: ffmpeg failed, or the result does not match the source.
    """
    check_container(info, output)
    container = container_of(output)
    plan = plan_streams(info, container, keep_original=keep_original)
    plan.options |= _tags(title, metadata or {})
    about = f"{named(output)}: not made from {named(info.path)} (is it damaged? export it again)"

    def report(done: float) -> None:
        if progress is not None:
            progress(min(done, AHEAD * info.duration))

    with (
        atomic(output, (info.path, audio_wav), overwrite=overwrite) as part,
        _cover_option(info, plan) as cover,
    ):
        job = _job(info, audio_wav, part, container, plan, cover)
        while True:
            run(job, subject=about, progress=report, duration=info.duration)
            result = _verify(info, part, output, plan)
            if accept is None or accept(result):
                break
    if progress is not None:
        progress(info.duration)
    lost = plan.dropped + (["rotation"] if result.rotation != info.rotation else [])
    return Muxed(output, result.audio[0].codec, tuple(lost))


def _tags(title: str, metadata: Mapping[str, str]) -> dict[str, str]:
    # ffmpeg ignores what follows "g:"; here it keeps options of one name apart.
    added = {f"metadata:g:{n}": f"{k}={v}" for n, (k, v) in enumerate(metadata.items())}
    return {"metadata:s:a:0": f"title={title}", "disposition:a:0": "default"} | added


def _job(
    info: MediaInfo,
    audio_wav: Path,
    part: Path,
    container: Container,
    plan: Plan,
    cover: Mapping[str, str],
) -> Any:
    """Return the ffmpeg graph: picture, new track, then the source's other streams."""
    clock = clock_of(info, set(plan.streams))
    start = clock.picture if container.starts else 0.0
    media = source(info.path, itsoffset=f"{clock.shift + start - clock.picture:.6f}")
    sound = source(audio_wav, itsoffset=f"{start:.6f}")
    picture, *others = (media[str(index)] for index in plan.streams)
    audio = {f"{name}:a:0": value for name, value in container.audio.items()}
    return ffmpeg.output(
        *(picture, sound["a:0"], *others),
        url(part),
        format=container.muxer,
        c="copy",
        map_metadata=0,
        map_chapters=0,
        fflags="+bitexact",  # no random identifiers: the same inputs give the same file
        # Without this a picture that starts inside a group of pictures would lose its start.
        **{"copyinkf:v": None},
        **audio,
        **plan.options,
        **cover,
    ).global_args(*clock.arguments)


@contextmanager
def _cover_option(info: MediaInfo, plan: Plan) -> Iterator[dict[str, str]]:
    """Unpack a cover picture for the time of muxing, where it goes along as an attached file."""
    if plan.cover is None:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder, open_media(info.path) as media:
        stream = media.streams[plan.cover]
        name, kind = COVERS[codec_of(stream)]
        file = Path(folder, name)
        file.write_bytes(bytes(next(media.demux(stream))))
        yield {
            "attach": url(file),
            f"metadata:s:t:{plan.counts.get('t', 0)}": f"mimetype={kind}",
        }


def _verify(info: MediaInfo, part: Path, output: Path, plan: Plan) -> MediaInfo:
    """Compare the written file with its source, and return what it holds."""
    try:
        result = probe(part)
        packets, sound = _count_packets(part, result), _first_sound(part)
        due = _count_packets(info.path, info)
    except InputError as error:
        raise MediaError(f"{named(output)}: cannot be read back: {error}") from error
    frame = 1 / float(info.rate)
    apart = sound - result.start
    sound_codec = result.audio[0].codec if result.audio else ""
    checks = {
        f"the picture is {result.codec}, not {info.codec}": result.codec == info.codec,
        f"it has {packets} picture packets, not {due}": packets == due,
        f"it has {len(result.audio)} audio tracks, not {plan.counts['a']}": (
            len(result.audio) == plan.counts["a"]
        ),
        f"the picture lasts {result.duration:.3f} s, not {info.duration:.3f} s": (
            abs(result.duration - info.duration) <= frame
        ),
        f"sound and picture start {apart:+.3f} s apart": (
            -PRIMING.get(sound_codec, 0.0) - SYNC <= apart <= SYNC
        ),
    }
    wrong = [what for what, right in checks.items() if not right]
    if wrong:
        raise MediaError(
            f"{named(output)}: the written file does not match {named(info.path)}: "
            f"{'; '.join(wrong)}; try another container, such as .mkv or .mov"
        )
    return result


def _count_packets(path: Path, info: MediaInfo) -> int:
    """Read the file to its end and count the picture's packets."""
    try:
        with open_media(path) as media:
            return sum(packet.size > 0 for packet in media.demux(media.streams[info.stream]))
    except av.error.FFmpegError as error:
        raise InputError(f"{named(path)}: {error}") from error


def _first_sound(path: Path) -> float:
    """Return the time of the first audio sample after the coder's priming, in seconds."""
    try:
        with open_media(path) as media:
            for frame in media.decode(audio=0):
                if frame.pts is not None and frame.time_base:
                    return float(frame.pts * frame.time_base)
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{named(path)}: {error}") from error
    raise InputError(f"{named(path)}: its audio track is empty")
