"""Broadcast WAV: 24-bit sound that knows where it belongs.

The `bext` chunk is that of EBU Tech 3285 version 2; files beyond 4 GB are RF64, EBU Tech 3306.
Neither can be written with soundfile.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from v2a_foley.errors import MediaError
from v2a_foley.media.audio import BLOCK, RATE, WAV_BYTES, Sound
from v2a_foley.media.files import atomic, named
from v2a_foley.media.meter import Loudness

ORIGINATOR = "v2a-foley"
DEPTH = 24  # bits
UNSET = 0x7FFF  # a loudness field that was not measured
_FULL = 2 ** (DEPTH - 1)
_BEXT = struct.Struct("<256s32s32s10s8sQH64s5h180s")


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What a `bext` chunk states; its texts are ASCII, other characters become ``?``.

    ``reference`` tells this file from all others. ``time_reference``: samples from midnight to
    the file's first. A level that is not finite is not stated.
    """

    description: str
    reference: str
    time_reference: int
    made: datetime
    history: str
    loudness: Loudness

    def chunk(self) -> bytes:
        """The chunk's content; texts too long are cut."""
        read = self.loudness
        whole, most = (read.integrated, read.range), (read.momentary_max, read.short_term_max)
        levels = (*whole, read.true_peak, *most)
        return (
            _BEXT.pack(
                _ascii(self.description)[:256],
                _ascii(ORIGINATOR),
                _ascii(self.reference)[:32],
                self.made.strftime("%Y-%m-%d").encode(),
                self.made.strftime("%H:%M:%S").encode(),
                self.time_reference,
                2,
                b"",  # no UMID
                *(_hundredths(level) for level in levels),
                b"",
            )
            + self._history
        )

    @property
    def _history(self) -> bytes:
        """Of even length: libsndfile looks for the next chunk of an RF64 right behind it."""
        line = _ascii(self.history) + b"\r\n"
        return line + b"\0" * (len(line) % 2)


def write_broadcast(path: Path, audio: Sound, about: Broadcast, *, overwrite: bool = False) -> None:
    """Write 24-bit sound at 48 kHz with its `bext` chunk, whole or not at all.

    ``audio`` is float32 ``(samples,)`` or ``(samples, channels)``; values beyond full scale are
    clipped.

    Raises:
        InputError: ``path`` must not be written.
        MediaError: the sound holds NaN or infinity, or the disk is full.
    """
    with atomic(path, overwrite=overwrite) as part, part.open("wb") as file:
        channels = 1 if audio.ndim == 1 else audio.shape[1]
        file.write(_header(len(audio), channels, about.chunk()))
        for start in range(0, len(audio), BLOCK):
            block = audio[start : start + BLOCK]
            if not np.isfinite(block).all():
                raise MediaError(f"{named(path)}: holds NaN or infinity, not written")
            file.write(_integers(block))
        if audio.size % 2:
            file.write(b"\0")  # chunks are of even length


def _header(samples: int, channels: int, bext: bytes) -> bytes:
    frame = channels * DEPTH // 8
    size = samples * frame
    content = struct.pack("<HHIIHH", 1, channels, RATE, RATE * frame, frame, DEPTH)
    chunks = _chunk(b"bext", bext) + _chunk(b"fmt ", content)
    total = 4 + len(chunks) + 8 + size + size % 2
    if total <= WAV_BYTES:
        start = struct.pack("<4sI4s", b"RIFF", total, b"WAVE")
        return start + chunks + struct.pack("<4sI", b"data", size)
    sizes = _chunk(b"ds64", struct.pack("<QQQI", total + 36, size, samples, 0))
    start = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
    return start + sizes + chunks + struct.pack("<4sI", b"data", 0xFFFFFFFF)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _integers(block: Sound) -> bytes:
    """Sound as little-endian integers of three bytes, as any reader divides them again."""
    scaled = np.rint(block.astype(np.float64).reshape(-1) * _FULL)
    whole = np.clip(scaled, -_FULL, _FULL - 1).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _ascii(text: str) -> bytes:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown.encode("ascii", "replace")


def _hundredths(level: float) -> int:
    # Tech 3285: 100 times the level, from -99.99 to 99.99.
    return round(100 * level) if math.isfinite(level) and abs(level) < 99.995 else UNSET
