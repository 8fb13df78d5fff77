"""Sound files of any common kind, as one mono stream; hours of them without holding them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.audio import RATE, Sound
from v2a_foley.media.files import named
from v2a_foley.media.probe import open_media

_PREROLL = 0.5  # seconds decoded before a place in a file: coders need some to be right there


def sound_blocks(path: Path, start: float = 0.0) -> Generator[Sound, None, None]:
    """Yield the first sound track of a file from ``start`` seconds on: float32 mono at 48 kHz.

    Raises InputError when it is no media file or holds no sound, MediaError when it is damaged.
    """
    with open_media(path, kind="sound") as container:
        stream = next((s for s in container.streams.audio if s.codec_context), None)
        if stream is None:
            raise InputError(f"{named(path)}: holds no sound; name a sound file")
        tick = stream.time_base or Fraction(1, RATE)
        begin = float((stream.start_time or 0) * tick)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        skip: int | None = None if start else 0  # samples until `start`, once it is known
        try:
            if start:
                at = max(0.0, start - _PREROLL)
                container.seek(int((begin + at) / tick), stream=stream)
            for frame in container.decode(stream):
                if skip is None:
                    found = 0.0 if frame.pts is None else float(frame.pts * tick) - begin
                    skip = max(0, round((start - found) * RATE))
                for part in resampler.resample(frame):
                    block = _checked(part, path)[skip:]
                    skip = max(0, skip - part.samples)
                    if len(block):
                        yield block
            for part in resampler.resample(None):
                yield _checked(part, path)[skip:]
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{named(path)}: its sound cannot be decoded ({error.strerror}); "
                "copy it again or export it again"
            ) from None


def _checked(part: av.AudioFrame, path: Path) -> Sound:
    block = part.to_ndarray()[0]
    if not np.isfinite(block).all():
        raise MediaError(f"{named(path)}: holds NaN or infinity; export it again")
    return block.astype(np.float32, copy=False)


def read_sound(path: Path, alive: Callable[[], None] = lambda: None) -> Sound:
    """Read a sound file, or a video's sound: float32 mono ``(samples,)`` at 48 kHz.

    ``alive`` is called with every block and may raise.

    Raises InputError when it holds no sound, MediaError when it is damaged.
    """
    found: list[Sound] = []
    with closing(sound_blocks(path)) as blocks:
        for block in blocks:
            alive()
            found.append(block)
    if not sum(map(len, found)):
        raise InputError(f"{named(path)}: holds no sound; name a sound file")
    return np.concatenate(found)


def read_part(path: Path, start: float, end: float) -> Sound:
    """Read ``start`` to ``end`` seconds of a sound file as :func:`read_sound` does the whole.

    Less comes where the file ends; only that part is decoded.
    """
    found: list[Sound] = []
    wanted = round((end - start) * RATE)
    with closing(sound_blocks(path, start)) as blocks:
        for block in blocks:
            found.append(block[:wanted])
            wanted -= len(found[-1])
            if wanted <= 0:
                break
    return np.concatenate(found) if found else np.zeros(0, np.float32)
