"""Levelling: bringing a mix to a loudness, under a true peak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from v2a_foley.errors import MediaError
from v2a_foley.media.audio import BLOCK, RATE, Sound
from v2a_foley.media.meter import (
    STEP,
    Nodes,
    amplitude_db,
    block_loudness,
    envelope,
    gated,
    integrated_loudness,
    with_gain,
)

SHORTEST = 0.4  # seconds: BS.1770's gating block, below which loudness is not defined
TOLERANCE = 0.5  # LU within which a target counts as met
AIM = 0.1  # LU to which the search for the gain goes on
TRIES = 8
HEADROOM = 0.1  # dB kept under the limit, since true-peak meters differ in their filters
MOST_LIMITING = 20.0  # dB the limiter may take off; beyond it a hit is no longer the same sound
LOOK_AHEAD = 17  # points, odd: the limiter's gain comes down over 5.7 ms
RELEASE = 100.0  # dB a second at which it comes back


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


def normalise(
    audio: Sound, target_lufs: float | None, true_peak_limit_db: float
) -> tuple[Sound, LoudnessReport]:
    """Bring sound to a loudness, never above a true peak.

    One gain for the whole; where that would take peaks over the limit, a look-ahead limiter
    takes them down and the gain is raised until the loudness is met again. Silence, and sound
    under 0.4 s, has no loudness: it is left as it is but for the limit.

    Args:
        audio: float32 ``(samples,)`` or ``(samples, channels)`` at 48 kHz; not changed.
        target_lufs: integrated loudness to reach, within 0.5 LU; None leaves the level alone.
        true_peak_limit_db: dBTP not to exceed, as read by an oversampling meter.

    Returns:
        The new sound, and what was done to it.

    Raises:
        MediaError: the sound holds NaN or infinity.
    """
    peaks = envelope(audio, None)
    peak = float(peaks.max(initial=0.0))
    if not math.isfinite(peak):
        raise MediaError("the sound holds NaN or infinity, so it has no loudness")
    peak_db, before = amplitude_db(peak), integrated_loudness(audio)
    wanted = 0.0 if target_lufs is None or not math.isfinite(before) else target_lufs - before
    most = true_peak_limit_db + MOST_LIMITING - peak_db
    gain_db = min(wanted, most)
    limited = peak_db + gain_db > true_peak_limit_db
    if not limited:
        out = _apply(audio, np.full(len(peaks) + 1, 10 ** (gain_db / 20)))
        after, peak_db = before + gain_db, peak_db + gain_db
    else:
        if target_lufs is not None and math.isfinite(before):
            clean = true_peak_limit_db - HEADROOM - peak_db
            known = (clean, before + clean)
            gain_db = _search(audio, peaks, target_lufs, true_peak_limit_db, known, most)
        nodes, peak_db = _limit(audio, peaks, gain_db, true_peak_limit_db)
        out = _apply(audio, nodes)
        after = integrated_loudness(out)
    note = _note(len(audio), before, after, target_lufs, true_peak_limit_db)
    return out, LoudnessReport(before, after, gain_db, peak_db, limited, note)


def _search(
    audio: Sound,
    peaks: Nodes,
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
        return gated(block_loudness(audio, _limiting_gain(peaks, gain_db, limit - HEADROOM)))

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


def _limit(audio: Sound, peaks: Nodes, gain_db: float, limit: float) -> tuple[Nodes, float]:
    """Return the nodes of gain and limiting, and the true peak they give: under the limit.

    A gain that moves shifts the peaks between samples a little, so what comes out is measured
    and the ceiling lowered by what is over.
    """
    ceiling, over = limit - HEADROOM, 0.0
    for _ in range(TRIES):
        ceiling -= over
        nodes = _limiting_gain(peaks, gain_db, ceiling)
        peak_db = amplitude_db(float(envelope(audio, nodes).max(initial=0.0)))
        over = peak_db - (limit - HEADROOM / 2)
        if over <= 0:
            return nodes, peak_db
    return nodes * 10 ** (-over / 20), peak_db - over


def _note(samples: int, before: float, after: float, target: float | None, limit: float) -> str:
    if target is None:
        return ""
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


def _limiting_gain(peaks: Nodes, gain_db: float, ceiling_db: float) -> Nodes:
    """Return the nodes of a gain that keeps ``peaks`` under the ceiling, without clicks.

    The needed reduction is held over the look-ahead window, released linearly in decibels, and
    smoothed by a Hann window of the same length, which cannot undercut what was held.
    """
    with np.errstate(divide="ignore"):
        over = np.maximum(20 * np.log10(peaks) + gain_db - ceiling_db, 0.0)
    need = np.maximum(np.append(over, 0.0), np.append(0.0, over))  # a node serves both sides
    reach = LOOK_AHEAD // 2
    held = sliding_window_view(np.pad(need, reach), LOOK_AHEAD).max(axis=1)
    fall = np.arange(len(held)) * (RELEASE * STEP / RATE)
    held = np.maximum.accumulate(held + fall) - fall
    window = np.hanning(LOOK_AHEAD + 2)[1:-1]
    smooth = np.convolve(np.pad(held, reach, "edge"), window / window.sum(), "valid")
    return np.asarray(10 ** ((gain_db - smooth) / 20))


def _apply(audio: Sound, nodes: Nodes) -> Sound:
    out = np.empty_like(audio)
    for start in range(0, len(audio), BLOCK):
        piece = with_gain(audio, nodes, start, start + BLOCK)
        out[start : start + BLOCK] = piece.reshape(out[start : start + BLOCK].shape)
    return out
