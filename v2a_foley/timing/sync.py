"""Timing: sounds laid on what happens in the picture, levels that follow its motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v2a_foley.frames import Frames
from v2a_foley.timing import onsets

NEAR_CUT = 0.1  # seconds; nearer to a cut, frames are often blends of two scenes
ALIGNED = 0.03  # seconds of mean offset at which a shift alone is good enough
PAD = 0.25  # seconds by which a shift may leave the wave at either end
BEFORE = 0.025  # seconds before its onset from which an event is cut
GESTURE = 0.5  # seconds; onsets this near belong to one event where it is not quiet between them
DIP_DB = 12.0  # how much quieter it is between two events
DECAY_DB, LOUDEST_BED_DB = -40.0, -25.0  # under the loudest moment; an event is over at the bed
REST = 12  # hops, 60 ms, for which it must be
FAINT_DB = -18.0  # under the loudest event: too quiet to stand for something seen
ATTACK = 0.12  # seconds in which an event must have become loud
FADE_IN, FADE_OUT, DYING = 0.004, 0.03, 0.12  # seconds; the last is an event's end
GRAIN, OVERLAP = 0.4, 0.12  # seconds of background at once, and of fading into the next
DEPTH_DB = 18.0  # how far the level follows motion down
SMOOTH = 0.25  # seconds over which motion is averaged for it


@dataclass(frozen=True, slots=True)
class Placed:
    """A wave (float32 ``(samples,)``) of the length asked for.

    ``offset``: mean distance in seconds of its onsets and the picture's events from one another,
    None where either has none.
    """

    wave: np.ndarray
    offset: float | None


def picture_events(frames: Frames, start: float, end: float) -> np.ndarray:
    """When something happens in the scene from ``start`` to ``end``: seconds after ``start``.

    Found in the motion curve, rising, float64 ``(k,)``; empty where nothing stands out.
    """
    from v2a_foley.media.motion import without_cuts

    motion = without_cuts(frames.motion_times, frames.motion, (start, end))
    inside = (frames.motion_times >= start) & (frames.motion_times < end)
    found = onsets.of_motion(frames.motion_times[inside], motion[inside])
    return found[(found >= start + NEAR_CUT) & (found <= end - NEAR_CUT)] - start


def offset(wave: np.ndarray, rate: int, events: np.ndarray) -> float | None:
    """Mean distance between a wave's onsets and ``events``, each to its nearest, in seconds.

    None where there are no events, or the wave has no clear onsets.
    """
    heard = onsets.of_sound(wave, rate)
    return _distance(heard, events) if len(heard) and len(events) else None


def place(wave: np.ndarray, rate: int, seconds: float, events: np.ndarray) -> Placed:
    """Cut ``wave`` (float32 ``(samples,)``) to ``seconds`` so that it sounds at ``events``.

    Where a shift of the whole is not enough, its sounding events are cut out and laid at the
    picture's in their order, on the background that was between them. Sounds without clear
    onsets stay as they are.
    """
    from v2a_foley.level import BLOCK
    from v2a_foley.stems import busiest

    length = int(np.ceil(seconds * rate - 1e-6))
    wave = np.pad(np.asarray(wave, np.float32), (0, max(0, length - len(wave))))
    heard = _heard(wave, rate)
    if not len(heard) or not len(events):
        begin = busiest(wave, length, round(BLOCK * rate))
        return Placed(wave[begin : begin + length], None)
    rng = np.random.default_rng(0)
    spans = _spans(wave, rate, heard)
    background = _background(wave, rate, length, spans, rng)
    shift = _shift(heard, events, len(wave) / rate, seconds)
    placed = _window(wave, round(shift * rate), background, rate)
    found = offset(placed, rate, events)
    if found is None or found > ALIGNED:
        chosen = _clearest(wave, rate, spans, len(events))
        placed = _laid([wave[first:last] for first, last in chosen], rate, background, events, rng)
        found = offset(placed, rate, events)
    return Placed(placed, found)


def follow(
    wave: np.ndarray,
    rate: int,
    frames: Frames,
    start: float,
    amount: float,
    cuts: Sequence[float] = (),
) -> np.ndarray:
    """Let the level of a wave that begins at ``start`` seconds follow the picture's motion.

    ``amount`` 0 leaves it, at 1 it sinks by up to 18 dB where nothing moves. ``cuts`` are the
    scene's bounds, where the picture changes without moving.
    """
    from v2a_foley.media.motion import without_cuts

    if amount <= 0 or not len(frames.motion_times) or not len(wave):
        return wave
    times = start + np.arange(0.0, len(wave) / rate + 0.02, 0.02)
    motion = without_cuts(frames.motion_times, frames.motion, cuts)
    moving = np.interp(times, frames.motion_times, motion)
    window = np.hanning(2 * round(SMOOTH / 0.02) + 1)
    reach = len(window) // 2
    smooth = np.convolve(np.pad(moving, reach, mode="edge"), window / window.sum(), "valid")
    if smooth.max() <= 0:
        return wave
    level = np.maximum(20 * np.log10(np.maximum(smooth / smooth.max(), 1e-6)), -DEPTH_DB)
    gain = np.interp(start + np.arange(len(wave)) / rate, times, amount * level)
    return (wave * 10 ** (gain / 20)).astype(np.float32)


def _heard(wave: np.ndarray, rate: int) -> np.ndarray:
    """Onsets of a wave; none where it hardly ever is quiet between them."""
    level = onsets.levels(wave, rate)
    if not len(level) or np.percentile(level, 20) > -DIP_DB:
        return np.zeros(0)
    return onsets.of_sound(wave, rate)


def _distance(heard: np.ndarray, events: np.ndarray) -> float:
    apart = np.abs(heard[:, None] - events[None])
    return float(np.concatenate([apart.min(0), apart.min(1)]).mean())


def _shift(heard: np.ndarray, events: np.ndarray, whole: float, seconds: float) -> float:
    """Second of the wave at which it must begin for its onsets to be nearest to the events."""
    shifts = np.clip((heard[:, None] - events[None]).ravel(), -PAD, whole - seconds + PAD)
    shifts = np.unique(np.round(shifts / onsets.HOP)) * onsets.HOP

    def cost(shift: float) -> float:
        moved = heard - shift
        moved = moved[(moved >= 0) & (moved < seconds)]
        return _distance(moved, events) if len(moved) else np.inf

    return float(min(shifts, key=lambda shift: (round(cost(shift), 3), abs(shift))))


def _window(wave: np.ndarray, begin: int, background: np.ndarray, rate: int) -> np.ndarray:
    """The wave from ``begin`` on, as long as the background, which fills what the wave lacks."""
    length, fade = len(background), round(FADE_OUT * rate)
    before, after = max(0, -begin), max(0, begin + length - len(wave))
    part = wave[max(0, begin) : begin + length].copy()
    _fade(part, fade if before else 0, fade if after else 0)
    rest = np.zeros_like(background)
    for gap in (slice(0, before + fade if before else 0), slice(length - after, length)):
        filling = background[gap].copy()
        _fade(filling, fade if gap.start else 0, fade if gap.stop < length else 0)
        rest[gap] = filling
    return rest + np.pad(part, (before, after))


def _laid(
    parts: list[np.ndarray],
    rate: int,
    background: np.ndarray,
    events: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sounding events at the picture's, in turn, on a background."""
    out = background.copy()
    before = round(BEFORE * rate)
    begins = [round(event * rate) - before for event in events]
    for number, begin in enumerate(begins):
        part = parts[number % len(parts)].copy()
        if number >= len(parts):
            part = _varied(part, rate, rng)
        if number + 1 < len(begins):  # dies away before the next one begins
            part = part[: begins[number + 1] - begin]
        part = part[: max(0, len(out) - begin)]
        _fade(part, round(FADE_IN * rate), round(DYING * rate))
        heard = part[max(0, -begin) :]
        out[max(0, begin) : max(0, begin) + len(heard)] += heard
    return out


def _spans(wave: np.ndarray, rate: int, heard: np.ndarray) -> list[tuple[int, int]]:
    """First and last sample of each sounding event, in order."""
    level = onsets.levels(wave, rate)
    at = np.round(heard / onsets.HOP).astype(int)
    starts = [int(at[0])]
    for one in at[1:]:
        between = level[starts[-1] : one]
        near = (one - starts[-1]) * onsets.HOP < GESTURE
        if not near or between.min() < between.max() - DIP_DB:
            starts.append(int(one))
    quiet = max(DECAY_DB, min(float(np.percentile(level, 10)) + 3, LOUDEST_BED_DB))
    over = np.convolve(level < quiet, np.ones(REST), "valid") == REST
    spans = []
    for start, following in zip(starts, [*starts[1:], len(level)], strict=True):
        ended = np.flatnonzero(over[start + 2 : following - REST])
        last = start + 2 + int(ended[0]) if len(ended) else following
        first = max(0.0, start * onsets.HOP - BEFORE)
        ends = last * onsets.HOP - (BEFORE if last == following < len(level) else 0)
        spans.append((round(first * rate), min(len(wave), round(ends * rate))))
    return spans


def _clearest(
    wave: np.ndarray, rate: int, spans: list[tuple[int, int]], count: int
) -> list[tuple[int, int]]:
    """At most ``count`` events, those that begin loudest, in their order."""
    attack = round(ATTACK * rate)
    peaks = np.array([np.abs(wave[first : first + attack]).max() for first, _ in spans])
    ranked = [i for i in np.argsort(-peaks) if peaks[i] >= peaks.max() * 10 ** (FAINT_DB / 20)]
    return [spans[i] for i in sorted(ranked[:count])]


def _varied(part: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The same event as if it happened again: a little higher or lower, and softer."""
    import soxr

    speed, gain = rng.uniform(0.94, 1.06), rng.uniform(0.7, 1.0)
    return soxr.resample(part, rate * speed, rate).astype(np.float32) * np.float32(gain)


def _background(
    wave: np.ndarray, rate: int, length: int, spans: list[tuple[int, int]], rng: np.random.Generator
) -> np.ndarray:
    """What sounds between the events, in random pieces that fade into one another."""
    edges = [0, *(edge for span in spans for edge in span), len(wave)]
    fade, grain = round(OVERLAP * rate), round(GRAIN * rate)
    gaps = [
        wave[first:last]
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if last - first >= 3 * fade
    ]
    out = np.zeros(fade + length + grain, np.float32)
    at = 0
    while gaps and at < fade + length:
        gap = gaps[rng.integers(len(gaps))]
        begin = rng.integers(max(1, len(gap) - grain + 1))
        piece = gap[begin : begin + grain].copy()
        _fade(piece, fade, fade)
        out[at : at + len(piece)] += piece
        at += len(piece) - fade
    return out[fade : fade + length]


def _fade(part: np.ndarray, rise: int, fall: int) -> None:
    """Fade ``part`` in and out in place, with equal power."""
    from v2a_foley.media.audio import equal_power_fade

    rise, fall = min(rise, len(part)), min(fall, len(part))
    part[:rise] *= equal_power_fade(rise)
    part[len(part) - fall :] *= equal_power_fade(fall)[::-1]
