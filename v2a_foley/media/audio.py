"""Sound in and out: a video's own track on the picture's timeline, resampling, fades, WAV.

Everywhere in this package sound is float32, ``(samples,)`` or ``(samples, channels)``, full scale
at 1.0, and time zero is the video's first picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.ffmpeg import pipe, source, url
from v2a_foley.media.files import atomic

Sound = npt.NDArray[np.float32]

RATE = 48_000  # samples a second of everything that is delivered
BLOCK = 1 << 18  # samples handled at once, to keep hours of sound out of temporary copies
GAP = 0.02  # seconds the timestamps may drift before silence is put in or sound is dropped
WAV_BYTES = 4_000_000_000  # a plain WAV's sizes are 32-bit; above this, RF64

# Weights of (left, right) for each channel, in ffmpeg's default order for that many channels;
# centre and surrounds at -3 dB, the LFE left out: ITU-R BS.775.
_C = 2**-0.5
_L, _R, _CENTRE, _LFE, _BACK = (1.0, 0.0), (0.0, 1.0), (_C, _C), (0.0, 0.0), (0.5, 0.5)
_LS, _RS = (_C, 0.0), (0.0, _C)
DOWNMIX: dict[int, tuple[tuple[float, float], ...]] = {
    3: (_L, _R, _LFE),
    4: (_L, _R, _CENTRE, _BACK),
    5: (_L, _R, _CENTRE, _LS, _RS),
    6: (_L, _R, _CENTRE, _LFE, _LS, _RS),
    7: (_L, _R, _CENTRE, _LFE, _BACK, _LS, _RS),
    8: (_L, _R, _CENTRE, _LFE, _LS, _RS, _LS, _RS),
}


def length_of(seconds: float) -> int:
    """Return the number of samples at 48 kHz in ``seconds``."""
    return round(seconds * RATE)


def read_audio(video: Path, duration: float, *, track: int = 0) -> Sound:
    """Read one audio track of a video, laid on the picture's timeline.

    Sample 0 sounds with the first picture: a track that starts earlier is cut, one that starts
    later, has gaps or ends early is filled with silence.

    Args:
        video: the file.
        duration: the video's length in seconds; the result has exactly that length.
        track: which of the file's audio tracks, counted from 0.

    Returns:
        float32 ``(round(duration * 48000), channels)`` at 48 kHz.

    Raises:
        InputError: there is no such track.
        MediaError: the file cannot be decoded.
    """
    audio, filled = np.zeros((0, 0), np.float32), 0
    for block in audio_blocks(video, duration, track=track):
        if not filled:
            audio = np.zeros((length_of(duration), block.shape[1]), np.float32)
        audio[filled : filled + len(block)] = block
        filled += len(block)
    return audio


def audio_blocks(video: Path, duration: float, *, track: int = 0) -> Iterator[Sound]:
    """Yield what :func:`read_audio` returns in blocks of at most :data:`BLOCK` samples."""
    stream, channels = _find_track(video, track)
    samples = length_of(duration)
    offset = picture_offset(video, {stream})
    graph = (
        source(video, itsoffset=f"{-offset:.6f}")[str(stream)]
        .filter("aresample", RATE, min_hard_comp=GAP, first_pts=0, **{"async": 1})
        .filter("apad", whole_len=samples)
        .filter("atrim", end_sample=samples)
        .output("pipe:1", format="f32le", acodec="pcm_f32le", ac=channels)
    )
    for piece in pipe(graph, subject=video, block=4 * channels * BLOCK):
        yield np.frombuffer(piece, "<f4").reshape(-1, channels).astype(np.float32, copy=False)


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """Open a media file with PyAV for reading, local files only.

    Raises:
        MediaError: it is not a media file, or reading it fails inside the block.
    """
    options = {"protocol_whitelist": "file,pipe"}
    try:
        with av.open(url(path), options=options, metadata_errors="replace") as container:
            yield container
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: cannot be read as media: {error}") from error


def main_video(container: Any) -> Any | None:
    """Return the first video stream that is not a cover picture, or None."""
    return next((s for s in container.streams.video if not is_cover(s)), None)


def is_cover(stream: Any) -> bool:
    """Tell whether a stream is an attached picture."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def picture_offset(path: Path, streams: Collection[int]) -> float:
    """Return the first picture's time, in seconds, when the ffmpeg program reads ``streams``.

    The program moves its zero to the container's start, which is often the sound's and a little
    before the picture's. In formats whose clocks may jump (MPEG-TS) its zero is the earliest of
    the streams it reads. A file without video, or without timestamps, has offset 0.
    """
    with open_media(path) as container:
        video = main_video(container)
        if video is None or video.start_time is None:
            return 0.0
        zero = (container.start_time or 0) / av.time_base
        if container.format.flags & av.format.Flags.ts_discont:
            starts = [_start(container.streams[index]) for index in streams]
            zero = min((start for start in starts if start is not None), default=zero)
        return float(video.start_time * video.time_base) - zero


def _start(stream: Any) -> float | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _find_track(video: Path, track: int) -> tuple[int, int]:
    """Return the stream index and the channel count of an audio track."""
    with open_media(video) as container:
        tracks = container.streams.audio
        if not 0 <= track < len(tracks):
            raise InputError(
                f"{video}: has {len(tracks)} audio track(s), no number {track} (counted from 0)"
            )
        return tracks[track].index, tracks[track].codec_context.channels


def resample(audio: Sound, rate: float, *, to: float = RATE) -> Sound:
    """Change the sample rate with soxr's HQ filter (about 125 dB of rejection, linear phase)."""
    if rate == to:
        return audio
    return np.asarray(soxr.resample(audio, rate, to, quality="HQ"), np.float32)


def to_stereo(audio: Sound) -> Sound:
    """Return ``(samples, 2)``: mono on both sides, surround folded down by ITU-R BS.775.

    The fold-down is not attenuated: left and right keep their level, and a loud mix may exceed
    full scale until it is limited.

    Raises:
        InputError: more channels than 7.1 has.
    """
    if audio.ndim == 1:
        audio = audio[:, np.newaxis]
    channels = audio.shape[1]
    if channels == 1:
        return np.repeat(audio, 2, axis=1)
    if channels == 2:
        return audio
    if channels not in DOWNMIX:
        raise InputError(f"{channels} channels: only layouts up to 7.1 can be folded to stereo")
    return audio @ np.array(DOWNMIX[channels], np.float32)


def equal_power_fade(samples: int) -> Sound:
    """Return a rising curve ``(samples,)`` whose square and its reverse's square sum to 1."""
    phase = (np.arange(samples, dtype=np.float64) + 0.5) / max(samples, 1)
    return np.sin(phase * (np.pi / 2)).astype(np.float32)


def write_wav(path: Path, audio: Sound, *, rate: int = RATE, overwrite: bool = False) -> None:
    """Write a 24-bit WAV, whole or not at all; RF64 where a WAV would be too large.

    Values beyond full scale are clipped.

    Raises:
        InputError: ``path`` must not be written.
        MediaError: the sound holds NaN or infinity, or the disk is full.
    """
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    large = len(audio) * channels * 3 > WAV_BYTES
    with atomic(path, overwrite=overwrite) as part:
        try:
            with soundfile.SoundFile(
                part, "w", rate, channels, "PCM_24", format="RF64" if large else "WAV"
            ) as file:
                for start in range(0, len(audio), BLOCK):
                    block = audio[start : start + BLOCK]
                    if not np.isfinite(block).all():
                        raise MediaError(f"{path}: the sound holds NaN or infinity, not written")
                    file.write(block)
        except soundfile.LibsndfileError as error:
            raise MediaError(f"{path}: cannot be written: {error}") from error
