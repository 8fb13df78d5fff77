"""Loudness: EBU R 128 integrated loudness, true peak, and bringing a mix to both.

Integrated loudness is ITU-R BS.1770 with both gates, by pyloudnorm's filters and blocks; true
peak is the largest sample after 4x oversampling. Both are measured in pieces, so that hours of
sound need no copy in memory.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyloudnorm
from numpy.lib.stride_tricks import sliding_window_view

from v2a_foley.errors import MediaError
from v2a_foley.media.audio import BLOCK, RATE, Sound

SHORTEST = 0.4  # seconds: BS.1770's gating block, below which loudness is not defined
TOLERANCE = 0.5  # LU within which a target counts as met
AIM = 0.1  # LU to which the search for the gain goes on
TRIES = 8
HEADROOM = 0.1  # dB kept under the limit, since true-peak meters differ in their filters
MOST_LIMITING = 20.0  # dB the limiter may take off; beyond it a hit is no longer the same sound

PIECE = 30 * RATE  # samples measured at once
HOP = RATE // 10  # samples between the starts of gating blocks
WARM = 5 * HOP  # samples given to the weighting filters before a piece, so that they settle
OVERSAMPLING = 4
TAPS = 32  # of the interpolating filters
STEP = 16  # samples to one point of the limiter's gain curve
LOOK_AHEAD = 17  # points, odd: the limiter's gain comes down over 5.7 ms
RELEASE = 100.0  # dB a second at which it comes back

Nodes = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LoudnessReport:
    """What normalising did. Loudness is in LUFS, -inf for sound too quiet or too short to gate.

    ``note`` is empty when the target was met, else it says in a sentence why not.
    """

    before: float
    after: float
    gain_db: float
    true_peak_db: float
    limited: bool
    note: str = ""


def integrated_loudness(audio: Sound) -> float:
    """Return the integrated loudness in LUFS of ``(samples,)`` or ``(samples, channels)``.

    It is -inf below 0.4 s or where no block is above -70 LUFS.
    """
    return _gated(_block_loudness(audio, None))


def true_peak_db(audio: Sound) -> float:
    """Return the true peak in dBTP, -inf for silence."""
    return _db(float(_envelope(audio, None).max(initial=0.0)))


def normalise(
    audio: Sound, target_lufs: float, true_peak_limit_db: float
) -> tuple[Sound, LoudnessReport]:
    """Bring sound to a loudness, never above a true peak.

    One gain for the whole; where that would take peaks over the limit, a look-ahead limiter
    takes them down and the gain is raised until the loudness is met again. Silence, and sound
    under 0.4 s, has no loudness: it is left as it is but for the limit.

    Args:
        audio: float32 ``(samples,)`` or ``(samples, channels)`` at 48 kHz; not changed.
        target_lufs: integrated loudness to reach, within 0.5 LU.
        true_peak_limit_db: dBTP not to exceed, as read by an oversampling meter.

    Returns:
        The new sound, and what was done to it.

    Raises:
        MediaError: the sound holds NaN or infinity.
    """
    envelope = _envelope(audio, None)
    peak = float(envelope.max(initial=0.0))
    if not math.isfinite(peak):
        raise MediaError("the sound holds NaN or infinity, so it has no loudness")
    peak_db, before = _db(peak), integrated_loudness(audio)
    wanted = target_lufs - before if math.isfinite(before) else 0.0
    most = true_peak_limit_db + MOST_LIMITING - peak_db
    gain_db = min(wanted, most)
    limited = peak_db + gain_db > true_peak_limit_db
    if not limited:
        out = _apply(audio, np.full(len(envelope) + 1, 10 ** (gain_db / 20)))
        after, peak_db = before + gain_db, peak_db + gain_db
    else:
        if math.isfinite(before):
            clean = true_peak_limit_db - HEADROOM - peak_db
            known = (clean, before + clean)
            gain_db = _search(audio, envelope, target_lufs, true_peak_limit_db, known, most)
        nodes, peak_db = _limit(audio, envelope, gain_db, true_peak_limit_db)
        out = _apply(audio, nodes)
        after = integrated_loudness(out)
    note = _note(len(audio), before, after, target_lufs, true_peak_limit_db)
    return out, LoudnessReport(before, after, gain_db, peak_db, limited, note)


def _search(
    audio: Sound,
    envelope: Nodes,
    target: float,
    limit: float,
    low: tuple[float, float],
    most: float,
) -> float:
    """Return the gain in dB at which the limited sound has the target loudness.

    ``low`` is the gain that needs no limiting and the loudness it gives, ``most`` the largest
    gain allowed. Where even that does not reach the target, the least gain that comes about as
    near is better: from there on the limiter only flattens.
    """

    def loudness(gain_db: float) -> float:
        return _gated(_block_loudness(audio, _limiting_gain(envelope, gain_db, limit - HEADROOM)))

    high = (most, loudness(most))
    if high[1] < target - TOLERANCE:
        tries = (low[0] + reduction for reduction in (0.0, 1.0, 2.0, 4.0, 8.0, 16.0))
        return next((g for g in tries if loudness(g) >= high[1] - TOLERANCE), most)
    for _ in range(TRIES):
        share = (target - low[1]) / max(high[1] - low[1], AIM)
        gain_db = low[0] + (high[0] - low[0]) * min(max(share, 0.1), 0.9)  # regula falsi
        middle = (gain_db, loudness(gain_db))
        if abs(middle[1] - target) <= AIM:
            return gain_db
        low, high = (middle, high) if middle[1] < target else (low, middle)
    return high[0]


def _limit(audio: Sound, envelope: Nodes, gain_db: float, limit: float) -> tuple[Nodes, float]:
    """Return the nodes of gain and limiting, and the true peak they give: under the limit.

    A gain that moves shifts the peaks between samples a little, so what comes out is measured
    and the ceiling lowered by what is over.
    """
    ceiling, over = limit - HEADROOM, 0.0
    for _ in range(TRIES):
        ceiling -= over
        nodes = _limiting_gain(envelope, gain_db, ceiling)
        peak_db = _db(float(_envelope(audio, nodes).max(initial=0.0)))
        over = peak_db - (limit - HEADROOM / 2)
        if over <= 0:
            return nodes, peak_db
    return nodes * 10 ** (-over / 20), peak_db - over


def _note(samples: int, before: float, after: float, target: float, limit: float) -> str:
    if samples < SHORTEST * RATE:
        return f"shorter than {SHORTEST} s, which has no loudness: only the limit was kept"
    if not math.isfinite(before):
        return "nothing in it is above -70 LUFS: only the limit was kept"
    if abs(after - target) <= TOLERANCE:
        return ""
    return (
        f"{target:.1f} LUFS cannot be reached under {limit:.1f} dBTP: the peaks stand so far "
        f"above the rest that it stays at {after:.1f} LUFS"
    )


def _limiting_gain(envelope: Nodes, gain_db: float, ceiling_db: float) -> Nodes:
    """Return the nodes of a gain that keeps ``envelope`` under the ceiling, without clicks.

    The needed reduction is held over the look-ahead window, released linearly in decibels, and
    smoothed by a Hann window of the same length, which cannot undercut what was held.
    """
    with np.errstate(divide="ignore"):
        over = np.maximum(20 * np.log10(envelope) + gain_db - ceiling_db, 0.0)
    need = np.maximum(np.append(over, 0.0), np.append(0.0, over))  # a node serves both sides
    reach = LOOK_AHEAD // 2
    held = sliding_window_view(np.pad(need, reach), LOOK_AHEAD).max(axis=1)
    fall = np.arange(len(held)) * (RELEASE * STEP / RATE)
    held = np.maximum.accumulate(held + fall) - fall
    window = np.hanning(LOOK_AHEAD + 2)[1:-1]
    smooth = np.convolve(np.pad(held, reach, "edge"), window / window.sum(), "valid")
    return np.asarray(10 ** ((gain_db - smooth) / 20))


def _piece(audio: Sound, nodes: Nodes | None, start: int, stop: int) -> Sound:
    """Return ``audio[start:stop]`` as ``(samples, channels)`` with the gain of ``nodes``."""
    piece = audio[start:stop]
    if piece.ndim == 1:
        piece = piece[:, np.newaxis]
    if nodes is None:
        return piece
    first = start // STEP
    near = nodes[first : -(-stop // STEP) + 1]
    gain = np.interp(
        np.arange(start, start + len(piece)) / STEP - first, np.arange(len(near)), near
    )
    return piece * gain[:, np.newaxis].astype(np.float32)


def _apply(audio: Sound, nodes: Nodes) -> Sound:
    out = np.empty_like(audio)
    for start in range(0, len(audio), BLOCK):
        piece = _piece(audio, nodes, start, start + BLOCK)
        out[start : start + BLOCK] = piece.reshape(out[start : start + BLOCK].shape)
    return out


def _envelope(audio: Sound, nodes: Nodes | None) -> Nodes:
    """Return the largest oversampled value of every :data:`STEP` samples, over all channels."""
    points = -(-len(audio) // STEP)
    found = np.zeros(points * STEP, np.float32)
    before = TAPS // 2 - 1
    for start in range(0, len(audio), BLOCK):
        stop = min(start + BLOCK, len(audio))
        first, last = max(start - before, 0), min(stop + TAPS // 2, len(audio))
        margins = (first - start + before, stop + TAPS // 2 - last)
        near = np.pad(_piece(audio, nodes, first, last), (margins, (0, 0)))
        peak = np.abs(near[before : before + stop - start]).max(axis=1)
        for channel in near.T:
            for phase in _interpolators():
                np.maximum(peak, np.abs(np.correlate(channel, phase, "valid")), out=peak)
        found[start:stop] = peak
    return found.reshape(points, STEP).max(axis=1).astype(np.float64)


@functools.cache
def _interpolators() -> Sound:
    """Return ``(3, TAPS)`` filters for the points between samples: sincs in a Kaiser window.

    They pass everything up to half the sample rate, as ffmpeg's meter does. A resampler's usual
    filter takes the top off a click and reads up to 0.7 dB too little.
    """
    taps = np.arange(TAPS) - (TAPS // 2 - 1)
    distance = np.arange(1, OVERSAMPLING)[:, np.newaxis] / OVERSAMPLING - taps
    window = np.i0(9 * np.sqrt(1 - (distance / (TAPS // 2)) ** 2))
    filters = np.sinc(distance) * window
    return np.asarray(filters / filters.sum(axis=1, keepdims=True), np.float32)


def _block_loudness(audio: Sound, nodes: Nodes | None) -> Nodes:
    """Return the loudness of each 400 ms gating block, every 100 ms, in LUFS, before gating."""
    meter = pyloudnorm.Meter(RATE)
    found = []
    for start in range(0, len(audio), PIECE):
        warm = min(start, WARM)
        stop = min(start + PIECE + 3 * HOP, len(audio) // HOP * HOP)
        piece = _piece(audio, nodes, start - warm, stop)
        if len(piece) < warm + 4 * HOP:
            break
        meter.integrated_loudness(piece)
        found.append(np.array(meter.blockwise_loudness[warm // HOP :]))
    return np.concatenate(found) if found else np.zeros(0)


def _gated(blocks: Nodes) -> float:
    """Return the integrated loudness of gating blocks: BS.1770's absolute and relative gates."""
    power = 10 ** (blocks[blocks >= -70.0] / 10)
    if not len(power):
        return -math.inf
    return _db(float(power[power > power.mean() / 10].mean())) / 2


def _db(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude else -math.inf
