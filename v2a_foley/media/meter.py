"""Meters: EBU R 128 loudness (ITU-R BS.1770 with both gates) and true peak.

Sound is measured in pieces, so that hours of it need no copy in memory. True peak is the largest
value after 4x oversampling; a resampler's usual filter would take the top off a click.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyloudnorm

from v2a_foley.media.audio import BLOCK, RATE, Sound

STEP = 16  # samples to one point of an envelope, or of a gain curve
PIECE = 30 * RATE  # samples weighted at once
HOP = RATE // 10  # samples between the starts of gating blocks
WARM = 5 * HOP  # samples given to the weighting filters before a piece, so that they settle
MOMENTARY, SHORT_TERM = 4, 30  # hops of 0.4 s and of 3 s
OVERSAMPLING = 4
TAPS = 32  # of the interpolating filters
FLOOR = -70.0  # LUFS below which nothing counts

Nodes = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Loudness:
    """What a loudness meter reads of a whole programme.

    ``integrated``, ``momentary_max`` (over 0.4 s) and ``short_term_max`` (over 3 s) are in LUFS,
    -inf for sound too quiet or too short to have one; ``range`` is EBU Tech 3342's in LU, 0 where
    there is none; ``true_peak`` is in dBTP.
    """

    integrated: float
    range: float
    momentary_max: float
    short_term_max: float
    true_peak: float


def measure(blocks: Iterable[Sound]) -> Loudness:
    """Measure sound at 48 kHz that comes in blocks of ``(samples, channels)``."""
    peaks: list[float] = []
    powers = _powers(_peaks_noted(blocks, peaks))
    momentary = decibels(_means(powers, MOMENTARY))
    short_term = decibels(_means(powers, SHORT_TERM))
    return Loudness(
        gated(momentary),
        _range(short_term),
        float(momentary.max(initial=-math.inf)),
        float(short_term.max(initial=-math.inf)),
        amplitude_db(max(peaks, default=0.0)),
    )


def integrated_loudness(audio: Sound) -> float:
    """Return the integrated loudness in LUFS of ``(samples,)`` or ``(samples, channels)``.

    It is -inf below 0.4 s or where no block is above -70 LUFS.
    """
    return gated(block_loudness(audio, None))


def true_peak_db(audio: Sound) -> float:
    """Return the true peak in dBTP, -inf for silence."""
    return amplitude_db(float(envelope(audio, None).max(initial=0.0)))


# Sound with a gain -------------------------------------------------------------------------------


def with_gain(audio: Sound, nodes: Nodes | None, start: int, stop: int) -> Sound:
    """Return ``audio[start:stop]`` as ``(samples, channels)`` under a gain curve.

    The curve is linear between ``nodes``, one every :data:`STEP` samples and one at the end.
    """
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


def envelope(audio: Sound, nodes: Nodes | None) -> Nodes:
    """Return the largest oversampled value of every :data:`STEP` samples, over all channels."""
    points = -(-len(audio) // STEP)
    found = np.zeros(points * STEP, np.float32)
    before = TAPS // 2 - 1
    for start in range(0, len(audio), BLOCK):
        stop = min(start + BLOCK, len(audio))
        first, last = max(start - before, 0), min(stop + TAPS // 2, len(audio))
        margins = (first - start + before, stop + TAPS // 2 - last)
        near = np.pad(with_gain(audio, nodes, first, last), (margins, (0, 0)))
        found[start:stop] = _oversampled(near)
    return found.reshape(points, STEP).max(axis=1).astype(np.float64)


def block_loudness(audio: Sound, nodes: Nodes | None) -> Nodes:
    """Return the loudness of each 400 ms gating block, every 100 ms, in LUFS, before gating."""
    blocks = (
        with_gain(audio, nodes, start, start + BLOCK) for start in range(0, len(audio), BLOCK)
    )
    return decibels(_means(_powers(blocks), MOMENTARY))


def gated(blocks: Nodes) -> float:
    """Return the integrated loudness of gating blocks: BS.1770's absolute and relative gates."""
    power = 10 ** (blocks[blocks >= FLOOR] / 10)
    if not len(power):
        return -math.inf
    return float(10 * np.log10(power[power > power.mean() / 10].mean()))


def decibels(power: Nodes) -> Nodes:
    """Return the loudness in LUFS of K-weighted power; -inf for none."""
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power) - 0.691)


def amplitude_db(amplitude: float) -> float:
    """Return an amplitude in dB, -inf for none."""
    return 20 * math.log10(amplitude) if amplitude else -math.inf


# How it is measured ------------------------------------------------------------------------------


def _range(short_term: Nodes) -> float:
    """Return the loudness range: from the 10th to the 95th percentile above both gates."""
    heard = short_term[short_term >= FLOOR]
    if not len(heard):
        return 0.0
    gate = 10 * math.log10(float((10 ** (heard / 10)).mean())) - 20.0
    low, high = np.percentile(heard[heard >= gate], [10, 95])
    return float(high - low)


def _means(powers: Nodes, hops: int) -> Nodes:
    """Return the mean power of every ``hops`` successive hops."""
    if len(powers) < hops:
        return np.zeros(0)
    return np.convolve(powers, np.ones(hops) / hops, "valid")


def _powers(blocks: Iterable[Sound]) -> Nodes:
    """Return the K-weighted power of every whole hop, summed over the channels."""
    found, lead = [], 0
    for piece in _pieces(blocks):
        hops = (len(piece) - lead) // HOP
        power = np.zeros(hops * HOP)
        for channel in piece.T:
            wave = channel
            for stage in _weighting():
                wave = stage.apply_filter(wave)
            power += np.square(wave[lead : lead + hops * HOP], dtype=np.float64)
        found.append(power.reshape(hops, HOP).mean(axis=1))
        lead = WARM
    return np.concatenate(found) if found else np.zeros(0)


def _pieces(blocks: Iterable[Sound]) -> Iterator[Sound]:
    """Yield sound :data:`PIECE` samples at a time, each but the first after some of the last."""
    held: list[Sound] = []
    need = PIECE
    for block in blocks:
        held.append(block)
        need -= len(block)
        while need <= 0:
            joined = np.concatenate(held)
            yield joined[: len(joined) + need]
            held = [joined[len(joined) + need - WARM :]]
            need += PIECE
    if held:
        yield np.concatenate(held)


@functools.cache
def _weighting() -> tuple[pyloudnorm.IIRfilter, ...]:
    """Return BS.1770's K-weighting: a shelf for the head, a high-pass for the ear."""
    return (
        pyloudnorm.IIRfilter(4.0, 2**-0.5, 1500.0, RATE, "high_shelf"),
        pyloudnorm.IIRfilter(0.0, 0.5, 38.0, RATE, "high_pass"),
    )


def _peaks_noted(blocks: Iterable[Sound], peaks: list[float]) -> Iterator[Sound]:
    """Yield the blocks; the largest oversampled value of each, with its seams, goes to a list."""
    tail: Sound | None = None
    for block in blocks:
        if tail is None:
            tail = np.zeros((TAPS, block.shape[1]), np.float32)
        near = np.concatenate([tail, block])
        peaks.append(float(_oversampled(near).max(initial=0.0)))
        tail = near[-TAPS:]
        yield block
    if tail is not None:
        peaks.append(float(_oversampled(np.concatenate([tail, np.zeros_like(tail)])).max()))


def _oversampled(near: Sound) -> Sound:
    """Return the largest value at and after each sample but the first 15 and the last 16."""
    before = TAPS // 2 - 1
    peak = np.abs(near[before : len(near) - TAPS // 2]).max(axis=1)
    for channel in near.T:
        for phase in _interpolators():
            np.maximum(peak, np.abs(np.correlate(channel, phase, "valid")), out=peak)
    return np.asarray(peak, np.float32)


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
