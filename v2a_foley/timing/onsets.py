"""Onsets: when something begins in a picture's motion curve, and when in a sound."""

from __future__ import annotations

import numpy as np

HOP = 0.005  # seconds between two analyses of a sound, each over 4 hops
BANDS = 24
CHUNK = 2000  # hops analysed at once, 10 s, so that long scenes stay out of memory
FLOOR_DB = -45.0  # under the sound's loudest moment; below nothing is heard beside it
LAG = 6  # hops, 30 ms: what an onset is louder than
FLUX_DB = 6.0  # mean rise of the bands at an onset
RISE_DB = 8.0  # rise of the whole at an onset; continuous sounds stay under one of the two
QUIET_DB = -30.0  # under the loudest moment; quieter onsets do not count
SOON = 300  # hops, 1.5 s
APART = 0.09  # seconds; nearer onsets are one

STILL = 0.03  # full scales a second; a picture that changes less does not move
STEADY = 0.5  # share of what always changes (grain, a crowd) that an event must add to it
TWOFOLD = 0.7  # log of how much more must move at an event than before it
GAP = 0.12  # seconds without motion that may be repeated frames
ABRUPT = 0.13  # seconds in which a sudden rise is over
LONGEST = 0.4  # seconds that the top of a rise may last to be one moment
SMALL = 0.2  # of the scene's median rise; smaller ones are no events beside it
CLOSEST = 0.15  # seconds between two events
SLOWEST = 0.6  # seconds; motion that takes longer to grow is no event


def of_sound(wave: np.ndarray, rate: int) -> np.ndarray:
    """Onsets in a wave (float32 ``(samples,)``): seconds, rising, float64 ``(k,)``.

    Log-spectral flux (Böck and Widmer, DAFx 2013, without their vibrato filter): the mean rise
    of 24 bands over 30 ms, where the whole grows louder too. Continuous sounds (rain, an engine)
    have none. A wave that sounds from its first sample on begins there if it dies away soon.
    """
    bands = _band_levels(wave, rate)
    if not len(bands):
        return np.zeros(0)
    before = np.pad(bands, ((LAG, 0), (0, 0)), constant_values=FLOOR_DB)
    before = np.maximum(before[: len(bands)], before[1 : len(bands) + 1])
    flux = np.maximum(bands - before, 0.0).mean(1)
    level = _whole(bands)
    found = _peaks(flux, FLUX_DB, round(APART / HOP))
    return np.array([at * HOP for at in found if _is_onset(level, at)])


def levels(wave: np.ndarray, rate: int) -> np.ndarray:
    """Level of a wave in dB under its loudest moment, one value every 5 ms, -45 at least."""
    return _whole(_band_levels(wave, rate))


def _is_onset(level: np.ndarray, at: int) -> bool:
    """Whether the sound's whole ``level`` in dB rises at a peak of its flux."""
    top = level[at : at + 2 * LAG].max()
    if at <= LAG:  # nothing was before
        return bool(top > QUIET_DB and level[at : at + SOON].min() < top - 2 * RISE_DB)
    return bool(top > QUIET_DB and top - level[max(0, at - 2 * LAG) : at - 1].min() > RISE_DB)


def _whole(bands: np.ndarray) -> np.ndarray:
    level = 10 * np.log10((10 ** (bands / 10)).mean(1))
    return np.maximum(level - level.max(initial=FLOOR_DB), FLOOR_DB)


def _band_levels(wave: np.ndarray, rate: int) -> np.ndarray:
    """Levels of the bands in dB under the loudest moment, ``(hops, 24)``, no less than the floor.

    Row ``t`` hears what follows ``t * HOP``, so that no onset is found before its time.
    """
    hop, size = round(HOP * rate), 4 * round(HOP * rate)
    count = len(wave) // hop
    if not count or not np.any(wave):
        return np.zeros((0, BANDS))
    padded = np.pad(np.asarray(wave, np.float64), (0, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]
    edges = np.geomspace(60.0, 0.48 * rate, BANDS + 1) * size / rate
    edges = np.maximum(edges.round().astype(int), np.arange(1, BANDS + 2))
    parts = []
    for at in range(0, count, CHUNK):
        spectra = np.fft.rfft(frames[at : at + CHUNK] * np.hanning(size))
        parts.append(np.add.reduceat(np.square(np.abs(spectra)), edges[:-1], axis=1))
    bands = np.concatenate(parts)
    loudest = bands.sum(1).max()
    return 10 * np.log10(np.maximum(bands * BANDS / loudest, 10 ** (FLOOR_DB / 10)))


def _peaks(curve: np.ndarray, least: float, apart: int) -> np.ndarray:
    """Indices of maxima of at least ``least``, the highest within ``apart`` on either side."""
    padded = np.pad(curve, apart, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * apart + 1).max(1)
    found = np.flatnonzero((curve >= around) & (curve >= least))
    return found[np.diff(found, prepend=-apart - 1) > apart]


def of_motion(times: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """When something happens in a motion curve: seconds, rising, float64 ``(k,)``.

    ``times`` ``(n,)`` seconds and ``motion`` ``(n,)``, see :class:`MotionCurve`. A sudden rise
    counts where it begins (a flash, a push), a slow one at its top (a bounce, a blow), and only
    if it stands out from what moves before it and from the curve's own noise.
    """
    if len(motion) < 3:
        return np.zeros(0)
    gap = 2 if np.median(np.diff(times)) < GAP / 2 else 1
    moving = _without_grain(times, np.asarray(motion, np.float64))
    steady = float(np.median(motion - moving))
    curve = _filled(moving, gap)
    heights = np.log(curve + STILL + STEADY * steady)
    noise = 1.4826 * float(np.median(np.abs(np.diff(heights, 2)))) / 6**0.5
    rises = _rises(heights, max(TWOFOLD, 6 * noise))
    most = np.median([curve[peak] - curve[valley] for valley, peak in rises] or [0.0])
    found = [
        _when(times, curve, valley, peak)
        for valley, peak in rises
        if curve[peak] - curve[valley] > SMALL * most
    ]
    kept: list[float] = []
    for time in found:
        if time is not None and (not kept or time - kept[-1] >= CLOSEST):
            kept.append(time)
    return np.array(kept, np.float64)


def _when(times: np.ndarray, curve: np.ndarray, valley: int, peak: int) -> float | None:
    """When a rise happens: its beginning if it is sudden, the middle of its top if it is not."""
    share = (curve - curve[valley]) / (curve[peak] - curve[valley])
    low = valley + int(np.flatnonzero(share[valley : peak + 1] <= 0.3)[-1])
    top = valley + int(np.argmax(share[valley:] >= 0.9))
    jump = max(0.5, 6 * float(times[low + 1] - times[low]))  # few frames a second jump anyway
    if times[top] - times[low] > SLOWEST:
        return None
    if times[top] - times[low] < ABRUPT or share[low + 1] - share[low] > jump:
        return float(times[low] + times[low + 1]) / 2  # it happened between two frames
    if peak == len(curve) - 1:  # cut off before its top
        return None
    over = np.flatnonzero((share < 0.9) & (np.arange(len(share)) > peak))
    last = int(over[0]) - 1 if len(over) else peak
    middle = last if times[last] - times[top] < LONGEST else top
    return float(times[top - 1] + times[middle]) / 2


def _without_grain(times: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The curve less what changes from any frame to the next, however far they are apart."""
    apart = np.diff(times, prepend=2 * times[0] - times[1])
    change = motion * apart
    return np.maximum(change - np.percentile(change, 10), 0.0) / apart


def _filled(curve: np.ndarray, most: int) -> np.ndarray:
    """The curve without gaps of ``most`` values: repeated frames, a ball as it turns round."""
    padded = np.pad(curve, most, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view
    return windows(windows(padded, most + 1).max(1), most + 1).min(1)


def _rises(curve: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Valley and peak (indices) of each rise by at least ``least`` before a fall by as much."""
    found = []
    valley = peak = 0
    rising = False
    for at, value in enumerate(curve):
        if rising and value > curve[peak]:
            peak = at
        elif rising and value <= curve[peak] - least:
            found.append((valley, peak))
            rising, valley = False, at
        elif not rising and value <= curve[valley]:
            valley = at
        elif not rising and value >= curve[valley] + least:
            rising, peak = True, at
    return [*found, (valley, peak)] if rising else found
