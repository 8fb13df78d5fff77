"""Recordings made to length: trimmed to what sounds, cut where it is quiet, looped without a seam.

Waves are float32 mono ``(samples,)``. Every choice is that of the generator that is given.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from v2a_foley.level import BLOCK, set_level
from v2a_foley.models.recordings import arrange

SILENCE_DB = -60.0  # dBFS; what is below is silence
_DEPTH_DB = 40.0  # below the loudest block: the rest of an event's tail
# A sound goes on if it has so many seconds, and its levels at 20 % and 80 % lie at most so many dB
# apart. Of the starter's recordings: 76 % of those that loop, 17 % of the others (which have some
# that might: helicopters, insects).
_STEADY = ((1.6, 13.0), (0.5, 6.0))
_QUIET_DB = 3.0  # places that much louder than the quietest still do for a cut
_EDGE = 0.005  # seconds faded at either end
_WHOLE = 0.6  # share of an event that must have room at the end, or it is left out
_OUT = 0.1  # seconds over which an event fades that the end cuts off
_FADE = 0.5  # seconds of a loop's longest crossfade
_REACH = 0.05  # seconds within which the point that matches best is looked for: a period of 20 Hz
_TRIES, _JOINS = 24, 6  # joins that are compared, and the best of them, which are used


def levels(wave: np.ndarray, rate: int, seconds: float = BLOCK) -> np.ndarray:
    """RMS in dBFS of each whole block of ``wave``; of a shorter wave, the one it has."""
    block = max(1, round(seconds * rate))
    count = max(1, len(wave) // block)
    power = np.square(wave[: count * block], dtype=np.float64).reshape(count, -1).mean(1)
    return 10 * np.log10(np.maximum(power, 1e-12))


def is_silent(wave: np.ndarray, rate: int) -> bool:
    """Whether nothing in ``wave`` is louder than -60 dBFS."""
    return not len(wave) or float(levels(wave, rate).max()) < SILENCE_DB


def sounding(wave: np.ndarray, rate: int) -> slice:
    """Where ``wave`` sounds: from its first to its last 20 ms within 40 dB of its loudest."""
    level = levels(wave, rate)
    heard = np.flatnonzero(level >= max(SILENCE_DB, float(level.max()) - _DEPTH_DB))
    if not len(heard):
        return slice(0, len(wave))
    block = max(1, round(BLOCK * rate))
    end = len(wave) if heard[-1] + 2 >= len(level) else (heard[-1] + 2) * block
    return slice(max(0, heard[0] - 1) * block, int(end))


def goes_on(wave: np.ndarray, rate: int) -> bool:
    """Whether a trimmed ``wave`` is even enough to be looped, as rain and engines are."""
    loud, soft = np.quantile(levels(wave, rate), (0.8, 0.2))
    return any(len(wave) >= least * rate and loud - soft <= most for least, most in _STEADY)


def fill(waves: Sequence[np.ndarray], length: int, rate: int, rng: random.Random) -> np.ndarray:
    """``length`` samples made of trimmed ``waves``, the first above all.

    A long one is cut, one that goes on is looped; events follow one another with pauses, each
    time another of the waves.
    """
    first = waves[0]
    if len(first) >= length:
        made = cut(first, length, rate, rng)
    elif goes_on(first, rate):
        made = loop(first, length, rate, rng)
    else:
        events = [_edged(set_level(wave, rate), rate) for wave in waves]
        made = arrange(events, length, rate, loops=False, rng=rng, least=_WHOLE)
        _fade_out(made, round(_OUT * rate))
    return _edged(made, rate)


def cut(wave: np.ndarray, length: int, rate: int, rng: random.Random) -> np.ndarray:
    """``length`` samples of a longer ``wave``: eventful ones that begin and end where it is quiet.

    Of about equally quiet places the generator chooses.
    """
    block = max(1, round(BLOCK * rate))
    starts = np.arange(0, len(wave) - length + 1, block)
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    sums = energy[starts + length] - energy[starts]
    level = levels(wave, rate)
    edges = [np.minimum(at // block, len(level) - 1) for at in (starts, starts + length)]
    edge = np.maximum(level[edges[0]], level[edges[1]])
    eventful = sums >= 0.8 * sums.max()
    quiet = edge <= edge[eventful].min() + _QUIET_DB
    start = rng.choice([int(at) for at in starts[eventful & quiet]])
    return wave[start : start + length].astype(np.float32)


def loop(wave: np.ndarray, length: int, rate: int, rng: random.Random) -> np.ndarray:
    """``length`` samples of a ``wave`` that goes on, its passes crossfaded where they match.

    Each pass ends late and begins early in the wave, at one of the joins with the most alike
    waveforms and levels, so that neither a click nor a dip nor a steady beat is heard.
    """
    wave = _steady(wave, rate)
    fade = min(round(_FADE * rate), len(wave) // 4)
    joins = _joins(wave, fade, rate, rng)
    parts: list[np.ndarray] = []
    at, have = rng.randrange(len(wave) // 4), 0
    while have < length:
        end, begin, alike = rng.choice(joins)
        tail, head = wave[end - fade : end], wave[begin : begin + fade]
        parts += [wave[at : end - fade], _crossfade(tail, head, alike)]
        have += end - at
        at = begin + fade
    return np.concatenate(parts)[:length].astype(np.float32)


def _steady(wave: np.ndarray, rate: int) -> np.ndarray:
    """A wave without its fade in and its fade out."""
    level = levels(wave, rate)
    full = np.flatnonzero(level >= np.median(level) - 3)
    block = max(1, round(BLOCK * rate))
    inner = wave[full[0] * block : (full[-1] + 1) * block]
    return inner if len(inner) >= len(wave) // 2 else wave


def _joins(
    wave: np.ndarray, fade: int, rate: int, rng: random.Random
) -> list[tuple[int, int, float]]:
    """The best of some joins: where a pass ends, where the next begins, and how alike they are.

    The end lies in the wave's last quarter, the beginning in its first.
    """
    found = []
    reach = min(round(_REACH * rate), len(wave) // 8)
    for _ in range(_TRIES):
        end = rng.randrange(len(wave) - len(wave) // 4, len(wave) + 1)
        first = rng.randrange(0, max(1, len(wave) // 4 - reach))
        tail = wave[end - fade : end]
        alike = _likeness(tail, wave[first : first + fade + reach])
        best = int(alike.argmax())
        head = wave[first + best : first + best + fade]
        apart = abs(float(levels(tail, rate, 60)[0] - levels(head, rate, 60)[0]))
        found.append((float(alike[best]) - apart / 12, end, first + best, float(alike[best])))
    found.sort(reverse=True)
    return [join[1:] for join in found[:_JOINS]]


def _likeness(part: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Cosine of ``part`` and each stretch as long of ``within``."""
    n, size = len(part), 1 << (len(within) + len(part)).bit_length()
    spectrum = np.fft.rfft(within, size) * np.conj(np.fft.rfft(part, size))
    products = np.fft.irfft(spectrum, size)[: len(within) - n + 1]
    energy = np.concatenate([[0.0], np.cumsum(np.square(within, dtype=np.float64))])
    norms = np.sqrt((energy[n:] - energy[:-n]) * np.square(part, dtype=np.float64).sum())
    return products / np.maximum(norms, 1e-12)


def _crossfade(tail: np.ndarray, head: np.ndarray, alike: float) -> np.ndarray:
    """From ``tail`` to ``head`` at even power, given how ``alike`` they are: 1 needs none more."""
    rise = (np.arange(len(tail)) + 0.5) / len(tail)
    fall = 1 - rise
    power = rise**2 + fall**2 + 2 * max(alike, 0.0) * rise * fall
    return (tail * fall + head * rise) / np.sqrt(power)


def _edged(wave: np.ndarray, rate: int) -> np.ndarray:
    """A copy of ``wave`` that begins and ends at zero."""
    wave = wave.astype(np.float32)
    n = min(round(_EDGE * rate), len(wave) // 2)
    wave[:n] *= np.linspace(0, 1, n, dtype=np.float32)
    _fade_out(wave, n)
    return wave


def _fade_out(wave: np.ndarray, n: int) -> None:
    n = min(n, len(wave))
    wave[len(wave) - n :] *= np.linspace(1, 0, n, dtype=np.float32)
