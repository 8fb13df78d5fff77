"""Sound for the page: small enough to embed, and drawn as waveform and spectrogram."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np

from v2a_foley.media.audio import RATE, Sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = 320  # of a drawing; it is stretched to whatever room there is
HEIGHT = 100  # of a waveform's own units
ROWS = 40  # of a spectrogram, from LOWEST to HIGHEST in even steps of pitch
LOWEST, HIGHEST = 60.0, 18_000.0  # Hz
FLOOR, CEILING = -85.0, -25.0  # dB between which a spectrogram's colours lie
WINDOW = 2048  # samples of an FFT
# From see-through to full, in colours that stand out from white and from black alike.
_COLOURS = ((72, 118, 166), (106, 98, 180), (190, 82, 142), (226, 98, 72), (238, 158, 46))


def mono(sound: Sound) -> Sound:
    """``(samples,)``: the mean of a sound's channels."""
    return sound if sound.ndim == 1 else sound.mean(axis=1, dtype=np.float32)


def mp3(sound: Sound, kilobits: int) -> bytes:
    """``(samples,)`` or ``(samples, 2)`` at 48 kHz as MP3, which every browser plays."""
    channels = np.atleast_2d(np.clip(sound, -1.0, 1.0).T)
    layout = "mono" if len(channels) == 1 else "stereo"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as out:
        stream = out.add_stream("libmp3lame", rate=RATE, layout=layout)
        stream.bit_rate = kilobits * 1000
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(channels, np.float32), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts = RATE, 0
        for each in (frame, None):
            out.mux(stream.encode(each))
    return buffer.getvalue()


def waveform(sound: Sound) -> str:
    """The outline of ``(samples,)`` as an SVG path, `COLUMNS` wide and `HEIGHT` high.

    Levels are drawn by their root: what is quiet is seen, too.
    """
    if not len(sound):
        return ""
    edges = np.linspace(0, len(sound), COLUMNS + 1).astype(int)[:-1]
    high = np.maximum(np.maximum.reduceat(sound, edges), 0.0)
    low = np.minimum(np.minimum.reduceat(sound, edges), 0.0)
    middle = HEIGHT / 2
    top = np.rint(middle - middle * np.sqrt(np.minimum(high, 1.0))).astype(int)
    bottom = np.rint(middle + middle * np.sqrt(np.minimum(-low, 1.0))).astype(int)
    there = [f"{x} {y}" for x, y in enumerate(top)]
    back = [f"{x} {y}" for x, y in reversed(list(enumerate(bottom)))]
    return "M" + "L".join(there + back) + "Z"


def spectrogram(sound: Sound) -> bytes:
    """``(samples,)`` at 48 kHz as a PNG of `COLUMNS` by `ROWS`, see-through where it is silent."""
    from PIL import Image

    share = np.clip((_pitches(sound) - FLOOR) / (CEILING - FLOOR), 0, 1)
    levels = np.rint(15 * share).astype(np.uint8)
    picture = Image.fromarray(levels[::-1], "L")  # the lowest pitch at the bottom
    picture = picture.convert("P")
    steps = np.linspace(0, len(_COLOURS) - 1, 16)
    palette = np.stack(
        [np.interp(steps, range(len(_COLOURS)), [c[i] for c in _COLOURS]) for i in range(3)], 1
    )
    picture.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    see_through = bytes(int(255 * step / 15) for step in range(16))
    picture.save(buffer, "PNG", transparency=see_through, bits=4, optimize=True)
    return buffer.getvalue()


def _pitches(sound: Sound) -> NDArray[np.float32]:
    """Level in dB by pitch and time: ``(ROWS, COLUMNS)``."""
    padded = np.pad(sound, (WINDOW // 2, WINDOW))
    starts = np.linspace(0, max(len(sound) - 1, 0), COLUMNS).astype(int)
    pieces = padded[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(pieces, axis=1)) * (4 / WINDOW)  # a full-scale sine is 0 dB
    edges = np.geomspace(LOWEST, HIGHEST, ROWS + 1) * WINDOW / RATE
    first = np.floor(edges[:-1]).astype(int)
    last = np.maximum(np.ceil(edges[1:]).astype(int), first + 1)
    rows = [power[:, a:b].max(axis=1) for a, b in zip(first, last, strict=True)]
    return (20 * np.log10(np.maximum(rows, 1e-9))).astype(np.float32)


def curve(share: NDArray[np.float32], level: NDArray[np.float32]) -> str:
    """A curve as an SVG area: ``share`` of its width and ``level``, both from 0 to 1, ``(n,)``."""
    across = np.rint(COLUMNS * np.clip(share, 0, 1)).astype(int)
    up = np.rint(HEIGHT - HEIGHT * np.sqrt(np.clip(level, 0, 1))).astype(int)
    points = "L".join(f"{x} {y}" for x, y in zip(across, up, strict=True))
    return f"M{across[0]} {HEIGHT}L{points}L{across[-1]} {HEIGHT}Z"
