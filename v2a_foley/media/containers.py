"""What each container can hold, and which of a source's streams go along into it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ffmpeg
from av.stream import Disposition

from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.ffmpeg import run, source
from v2a_foley.media.files import named
from v2a_foley.media.probe import MediaInfo, open_media

TEXT_SUBTITLES = frozenset({"subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
COVERS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


@dataclass(frozen=True, slots=True)
class Container:
    """What a file type can hold, and how its new audio track is coded.

    ``audio`` are ffmpeg's options for that track; ``sounds`` are codecs of kept tracks that are
    copied, others are coded like the new one (empty: all are copied). Subtitles in ``subtitles``
    are copied, other text becomes ``text`` where there is one.
    """

    muxer: str
    audio: Mapping[str, str]
    sounds: frozenset[str] = frozenset()
    subtitles: frozenset[str] = frozenset()
    text: str | None = None
    covers: str = ""  # "track": as a picture track; "file": as an attached file
    attachments: bool = False
    chapters: bool = True
    starts: bool = True  # whether streams can start at different times
    movflags: str = ""
    pictures: frozenset[str] = frozenset()  # video codecs; empty: those that ffmpeg accepts


_AAC = {"c": "aac", "b": "256k"}
_MP4_SOUNDS = frozenset({"aac", "ac3", "eac3", "mp3", "alac", "opus", "flac"})
_MP4 = Container(
    "mp4",
    _AAC,
    _MP4_SOUNDS,
    frozenset({"mov_text", "dvd_subtitle"}),
    "mov_text",
    covers="track",
    movflags="+faststart",
)
_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"})
_TS = Container(
    "mpegts",
    _AAC,
    frozenset({"aac", "ac3", "eac3", "mp2", "mp3", "opus"}),
    frozenset({"dvb_subtitle"}),
    chapters=False,
    pictures=frozenset({"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4", "av1"}),
)
CONTAINERS: dict[str, Container] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": Container(
        "mov",
        {"c": "pcm_s24le"},
        frozenset({"aac", "ac3", "eac3", "mp3", "alac"}) | _PCM,
        frozenset({"mov_text"}),
        "mov_text",
    ),
    ".mkv": Container(
        "matroska",
        {"c": "flac"},
        frozenset(),
        TEXT_SUBTITLES - {"mov_text"} | {"dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"},
        "subrip",
        covers="file",
        attachments=True,
    ),
    ".webm": Container(
        "webm",
        {"c": "libopus", "b": "192k"},
        frozenset({"opus", "vorbis"}),
        frozenset({"webvtt"}),
        "webvtt",
    ),
    ".avi": Container(
        "avi",
        {"c": "pcm_s16le"},
        frozenset({"mp3", "mp2", "ac3", "pcm_s16le"}),
        chapters=False,
        starts=False,
    ),
    ".ts": _TS,
    ".mts": _TS,
    ".m2ts": _TS,
}
SUGGESTED = (".mkv", ".mp4", ".mov", ".webm", ".avi")


@dataclass(slots=True)
class Plan:
    """Which of the source's streams go along, by index, and the options they need."""

    streams: list[int]
    options: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    cover: int | None = None  # a picture to be attached as a file
    counts: dict[str, int] = field(default_factory=dict)  # output streams of a type so far

    def add(self, index: int, kind: str, **options: str) -> None:
        """Take a stream along; ``kind`` is ffmpeg's letter for its type."""
        number = self.counts.get(kind, 0)
        self.counts[kind] = number + 1
        self.streams.append(index)
        self.options |= {f"{name}:{kind}:{number}": value for name, value in options.items()}


def container_of(output: Path) -> Container:
    """Return the container that a name's suffix stands for.

    Raises:
        InputError: it stands for none that can be written.
    """
    try:
        return CONTAINERS[output.suffix.lower()]
    except KeyError:
        known = ", ".join(CONTAINERS)
        raise InputError(f"{named(output)}: unknown container; use one of {known}") from None


def check_container(info: MediaInfo, output: Path) -> None:
    """Refuse an output whose container cannot hold the source's picture, before any work.

    Raises:
        InputError: it cannot; the message names containers that can.
        MediaError: no container can, so the source itself is at fault.
    """
    container = container_of(output)
    problem = _trial(info, container.muxer, [info.stream])
    if problem is None and info.codec in (container.pictures or {info.codec}):
        return
    good = [s for s in SUGGESTED if not _trial(info, CONTAINERS[s].muxer, [info.stream])]
    if problem and not good:
        raise problem
    raise InputError(
        f"{named(output)}: a {output.suffix} file cannot hold {info.codec} video; "
        f"name the output {' or '.join(good[:2])}"
    )


def _trial(info: MediaInfo, muxer: str, streams: list[int]) -> MediaError | None:
    """Have ffmpeg write a header and a picture to nowhere; return its complaint, if any."""
    media = source(info.path)
    limits = {"frames:v": 1, "frames:d": 1}
    job = ffmpeg.output(
        *(media[str(s)] for s in streams), os.devnull, format=muxer, c="copy", **limits
    )
    try:
        run(job, subject=named(info.path))
    except MediaError as error:
        return error
    return None


def plan_streams(info: MediaInfo, container: Container, *, keep_original: bool) -> Plan:
    """Decide for every stream of the source but its picture whether and how it goes along."""
    plan = Plan([])
    plan.add(info.stream, "v", **_tag(info, container))
    plan.counts["a"] = 1  # the new track's place
    if info.chapters and not container.chapters:
        plan.dropped.append("chapters")
    with open_media(info.path) as media:
        plan.options |= _movflags(container, media.metadata)
        for stream in media.streams:
            if stream.index == info.stream:
                continue
            if stream.type == "video":
                _plan_video(plan, stream, container)
            elif stream.type == "audio" and keep_original:
                _plan_audio(plan, stream, container)
            elif stream.type == "subtitle":
                _plan_subtitle(plan, stream, container)
            elif stream.type == "attachment":
                _plan_attachment(plan, stream, container)
            elif stream.type == "data":
                _plan_data(plan, stream, container, info)
    return plan


def _tag(info: MediaInfo, container: Container) -> dict[str, str]:
    """Name HEVC as Apple's players want it, where the source has no name of that kind itself."""
    new = container.muxer in ("mp4", "mov") and "mov" not in info.container
    return {"tag": "hvc1"} if new and info.codec == "hevc" else {}


def _movflags(container: Container, tags: Mapping[str, str]) -> dict[str, str]:
    """Return ``-movflags``; cameras' own tags (``com.apple...``) need one to be written at all."""
    own = container.muxer in ("mp4", "mov") and any(key.startswith("com.") for key in tags)
    flags = container.movflags + ("+use_metadata_tags" if own else "")
    return {"movflags": flags} if flags else {}


def _plan_video(plan: Plan, stream: Any, container: Container) -> None:
    if not stream.disposition & Disposition.attached_pic or container.covers == "track":
        plan.add(stream.index, "v")
    elif container.covers == "file" and codec_of(stream) in COVERS and plan.cover is None:
        plan.cover = stream.index
    else:
        plan.dropped.append("cover picture")


def _plan_audio(plan: Plan, stream: Any, container: Container) -> None:
    options = {"disposition": "-default"}
    if container.sounds and codec_of(stream) not in container.sounds:
        options |= container.audio
        # libopus refuses side surrounds under their usual name.
        options["filter"] = "aformat=channel_layouts=7.1|5.1|stereo|mono"
    plan.add(stream.index, "a", **options)


def _plan_subtitle(plan: Plan, stream: Any, container: Container) -> None:
    codec = codec_of(stream)
    if codec in container.subtitles:
        plan.add(stream.index, "s")
    elif codec in TEXT_SUBTITLES and container.text:
        plan.add(stream.index, "s", c=container.text)
    else:
        plan.dropped.append(f"{codec} subtitles")


def _plan_attachment(plan: Plan, stream: Any, container: Container) -> None:
    if container.attachments:
        plan.add(stream.index, "t")
    else:
        plan.dropped.append(f"attached file {stream.metadata.get('filename', '')}".rstrip())


def _plan_data(plan: Plan, stream: Any, container: Container, info: MediaInfo) -> None:
    # ffmpeg makes the timecode track and the track of chapter names anew from the tags.
    if "timecode" in stream.metadata or (stream.name == "bin_data" and info.chapters):
        return
    if _trial(info, container.muxer, [info.stream, stream.index]) is None:
        plan.add(stream.index, "d")
    else:
        plan.dropped.append(f"data track {stream.index}")


def codec_of(stream: Any) -> str:
    """Return a stream's codec by its common name, ``"unknown"`` where PyAV has none."""
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else "unknown"
