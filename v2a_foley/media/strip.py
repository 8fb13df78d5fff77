"""The channel strip: one scene's filters, place, width, level and fades, before the mix.

A stem that asks for nothing passes untouched, and mono stays mono until it is panned or widened.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import pyloudnorm

from v2a_foley.media.audio import RATE, Sound, equal_power_fade, length_of, to_stereo

if TYPE_CHECKING:
    from v2a_foley.presets import Mix

BUTTERWORTH = (0.5412, 1.3066)  # Q of two biquads that make a filter of 24 dB an octave, flat
PIECE = 30 * RATE  # samples filtered at once
SETTLE = RATE  # samples a filter hears before a piece: 10 Hz rings for less than a second
TAPS = 12  # of the decorrelating filter, on each side of now
REACH = 0.012  # seconds to its last tap: heard as room, not as an echo
DECAY_DB = 20.0  # from its first tap to its last
SEED = 321  # of its taps; of 400 tried the one with the flattest third octaves


def apply(audio: Sound, mix: Mix, *, handle: float) -> Sound:
    """Treat a stem as its scene's settings say.

    In this order: high- and low-pass, width and pan, gain, fades. The fades begin and end with
    the scene, so a scene that fades is silent in that handle.

    Args:
        audio: float32 ``(samples,)`` or ``(samples, channels)`` at 48 kHz; not changed.
        mix: the scene's settings.
        handle: seconds of the stem before the scene, and after it.

    Returns:
        As many samples: ``(samples, 2)`` if panned or widened, else with the channels it had.
    """
    if mix.high_pass or mix.low_pass:
        audio = _filtered(audio, mix)
    if mix.pan or mix.width:
        audio = _placed(to_stereo(audio), mix.pan, mix.width)
    if mix.gain_db:
        audio = audio * np.float32(10 ** (mix.gain_db / 20))
    if mix.fade_in or mix.fade_out:
        audio = audio.copy()
        _fade(audio, mix.fade_in, handle)
        _fade(audio[::-1], mix.fade_out, handle)
    return audio


def _filtered(audio: Sound, mix: Mix) -> Sound:
    """Cut what is below the high-pass and above the low-pass, 24 dB an octave.

    The filters have settled when the sound begins: they hear the beginning mirrored first, so
    that a stem which starts in the midst of a wave gets no thump.
    """
    stages = [
        pyloudnorm.IIRfilter(0.0, q, hertz, RATE, kind)
        for kind, hertz in (("high_pass", mix.high_pass), ("low_pass", mix.low_pass))
        for q in BUTTERWORTH
        if hertz is not None
    ]
    mirrored = audio[SETTLE:0:-1]
    padded = np.concatenate([mirrored, audio])
    out, lead = np.empty_like(audio), len(mirrored)
    for start in range(0, len(audio), PIECE):
        stop = min(start + PIECE, len(audio))
        first = max(lead + start - SETTLE, 0)
        piece = padded[first : lead + stop]
        for channel in range(piece.size // max(len(piece), 1)):
            wave = piece.reshape(len(piece), -1)[:, channel]
            for stage in stages:
                wave = stage.apply_filter(wave)
            out.reshape(len(out), -1)[start:stop, channel] = wave[lead + start - first :]
    return out


def _placed(audio: Sound, pan: float, width: float) -> Sound:
    """Pan ``(samples, 2)`` at constant power and widen it; at ``pan`` 1 all is on the right.

    What both sides share is panned. What makes the width is added to the left and taken from
    the right, so that it is gone from the mono sum, which is never coloured. The width shrinks
    towards the edges, and neither pan nor width changes a sound's power.
    """
    angle = (pan + 1) * math.pi / 4
    left, right = math.sqrt(2) * math.cos(angle), math.sqrt(2) * math.sin(angle)
    room = math.cos(pan * math.pi / 2)
    middle, side = audio.mean(axis=1), (audio[:, 0] - audio[:, 1]) * np.float32(room / 2)
    if width:
        share = width * room
        side = side + _decorrelated(middle) * np.float32(share)
        scale = 1 / math.sqrt(1 + share**2)
    else:
        scale = 1.0
    out = np.empty_like(audio)
    out[:, 0] = scale * (np.float32(left) * middle + side)
    out[:, 1] = scale * (np.float32(right) * middle - side)
    return out


def _decorrelated(wave: Sound) -> Sound:
    """``(samples,)`` of about the same power at every pitch that hardly correlates with ``wave``.

    A velvet-noise filter: few taps at random times, of random sign, decaying (Alary, Politis,
    Välimäki, Velvet-noise decorrelator, DAFx 2017). Here each tap has its negative as far in the
    future as it is in the past. That turns all by 90 degrees, so what is added on one side and
    taken on the other makes neither louder than the other at any pitch.
    """
    out = np.zeros_like(wave)
    for delay, gain in _taps():
        early, late = out[: max(len(out) - delay, 0)], out[delay:]
        late += gain * wave[: len(late)]
        early -= gain * wave[delay:]
    return out


@functools.cache
def _taps() -> tuple[tuple[int, np.float32], ...]:
    """Delays in samples and gains, one for each equal part of the reach; with both ways power 1."""
    rng = np.random.default_rng(SEED)
    part = REACH * RATE / TAPS
    delays = (part * (np.arange(TAPS) + rng.uniform(0.2, 1.0, TAPS))).astype(int)
    gains = rng.choice([-1.0, 1.0], TAPS) * 10 ** (-DECAY_DB / 20 * np.arange(TAPS) / TAPS)
    gains /= np.sqrt(2 * np.square(gains).sum())
    return tuple(zip(delays.tolist(), gains.astype(np.float32), strict=True))


def _fade(audio: Sound, seconds: float, handle: float) -> None:
    """Fade in from the scene's start, in place; the handle before it falls silent."""
    if not seconds:
        return
    start = min(length_of(handle), len(audio))
    scene = max(len(audio) - 2 * start, 0)
    samples = min(length_of(seconds), scene)
    audio[:start] = 0.0
    curve = equal_power_fade(samples)
    audio[start : start + samples] *= curve if audio.ndim == 1 else curve[:, np.newaxis]
