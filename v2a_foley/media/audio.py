"""Sound in and out: a video's own track on the picture's timeline, resampling, fades, WAV.

Everywhere in this package sound is float32, ``(samples,)`` or ``(samples, channels)``, full scale
at 1.0, and time zero is the video's first picture.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.ffmpeg import pipe, source
from v2a_foley.media.files import atomic, named
from v2a_foley.media.probe import MediaInfo, open_media

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


def read_audio(info: MediaInfo, *, track: int = 0) -> Sound:
    """Read one audio track of a video, laid on the picture's timeline.

    Sample 0 sounds with the first picture: a track that starts earlier is cut, one that starts
    later, has gaps or ends early is filled with silence.

    Args:
        info: the probed video.
        track: which of ``info.audio``, counted from 0.

    Returns:
        float32 ``(round(info.duration * 48000), channels)`` at 48 kHz.

    Raises:
        InputError: there is no such track.
        MediaError: the track cannot be decoded.
    """
    audio, filled = np.zeros((0, 0), np.float32), 0
    for block in audio_blocks(info, track=track):
        if not filled:
            audio = np.zeros((length_of(info.duration), block.shape[1]), np.float32)
        audio[filled : filled + len(block)] = block
        filled += len(block)
    return audio


def audio_blocks(info: MediaInfo, *, track: int = 0) -> Generator[Sound, None, None]:
    """Yield what :func:`read_audio` returns in blocks of at most :data:`BLOCK` samples."""
    if not 0 <= track < len(info.audio):
        raise InputError(
            f"{named(info.path)}: has {len(info.audio)} audio track(s), no number {track} (from 0)"
        )
    stream, channels = info.audio[track].stream, info.audio[track].channels
    samples = length_of(info.duration)
    clock = clock_of(info, {stream})
    graph = (
        source(info.path, itsoffset=f"{clock.shift - clock.picture:.6f}")[str(stream)]
        .filter("aresample", RATE, min_hard_comp=GAP, first_pts=0, **{"async": 1})
        .filter("apad", whole_len=samples)
        .filter("atrim", end_sample=samples)
        .output("pipe:1", format="f32le", acodec="pcm_f32le", ac=channels)
        .global_args(*clock.arguments)
    )
    for piece in pipe(graph, subject=info.path, block=4 * channels * BLOCK):
        yield np.frombuffer(piece, "<f4").reshape(-1, channels).astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Clock:
    """How to give a video to the ffmpeg program so that the first picture's time is known.

    With ``shift`` as ``-itsoffset`` and with ``arguments``, the picture starts at ``picture``.
    All are seconds.
    """

    shift: float
    picture: float
    arguments: tuple[str, ...]


def clock_of(info: MediaInfo, streams: Collection[int]) -> Clock:
    """Return the clock under which ffmpeg reads ``streams`` of a video.

    By itself the program moves its zero to the file's start, which is often the sound's and a
    little before the picture's, and which its versions do not agree on. ``-copyts`` stops that.
    In formats whose clocks may jump (MPEG-TS) it would also stop the mending of jumps; there
    the zero is the earliest start among the streams that are read.
    """
    with open_media(info.path) as container:
        if not container.format.flags & av.format.Flags.ts_discont.value:
            zero = (container.start_time or 0) / av.time_base
            return Clock(-zero, info.start - zero, ("-copyts",))
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in container.streams
            if stream.index in streams and stream.start_time is not None and stream.time_base
        ]
    return Clock(0.0, info.start - min(starts, default=info.start), ())


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
    with atomic(path, overwrite=overwrite) as part:
        fill_wav(part, audio, rate=rate, subject=path)


def fill_wav(part: Path, audio: Sound, *, rate: int = RATE, subject: Path) -> None:
    """Write a 24-bit WAV straight into ``part``, for the sake of ``subject``; see `write_wav`.

    Raises:
        MediaError: naming ``subject``.
    """
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    large = len(audio) * channels * 3 > WAV_BYTES
    try:
        with soundfile.SoundFile(
            part, "w", rate, channels, "PCM_24", format="RF64" if large else "WAV"
        ) as file:
            for start in range(0, len(audio), BLOCK):
                block = audio[start : start + BLOCK]
                if not np.isfinite(block).all():
                    raise MediaError(f"{named(subject)}: holds NaN or infinity, not written")
                file.write(block)
    except soundfile.LibsndfileError as error:
        # libsndfile does not say why: it may be the disk, a quota or a limit on the size.
        raise MediaError(
            f"{named(subject)}: cannot be written ({error}); check that there is room for it"
        ) from error
