"""The mix: scenes' stems to one programme track, and that track with the original sound."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, pairwise, repeat

import ffmpeg
import numpy as np

from v2a_foley.errors import InputError
from v2a_foley.media.audio import BLOCK, RATE, Sound, equal_power_fade, length_of, to_stereo
from v2a_foley.media.ffmpeg import pipe
from v2a_foley.media.meter import FLOOR, block_loudness, gated, integrated_loudness

MICRO = 0.005  # seconds of the shortest crossfade: too short to hear, long enough not to click
EDGE = 0.010  # seconds of fade at the programme's start and end
HUM = np.float32(1e-6)  # -120 dBFS, heard by nobody: only the gate's key has it
BELOW_SPEECH = 15.0  # dB below a speaker's loudness that still is speech
ABOVE_NOISE = 6.0  # dB over the quietest tenth of the original, which is taken for noise ...
NOISY = -45.0  # dBFS ... unless it is louder than this: that is no noise
MOST_DUCKING = 24.0  # dB that foley steps back in addition, for originals that are too quiet
SLACK = 0.010  # seconds a stem may be longer or shorter than its scene and handles


@dataclass(frozen=True, slots=True)
class Stem:
    """One scene's sound at 48 kHz.

    ``audio`` is float32 ``(n,)`` or ``(n, channels)`` and covers the scene from ``start`` to
    ``end`` with ``handle`` seconds more on both sides: ``n = (end - start + 2 * handle) * 48000``.
    The handles are what a crossfade, or an editor, can use. All times are seconds.
    """

    start: float
    end: float
    audio: Sound = field(repr=False)
    handle: float = 0.0

    @property
    def length(self) -> float:
        """Length of the scene in seconds, without handles."""
        return self.end - self.start


class MixMode(StrEnum):
    """What becomes of the video's own sound."""

    REPLACE = "replace"  # it is dropped
    MIX = "mix"  # it stays, the foley is added
    DUCK = "duck"  # it stays, the foley steps back while it is loud


@dataclass(frozen=True, slots=True)
class Duck:
    """How the foley steps back: by ``depth_db`` while the original's level is over the threshold.

    The level is the original's RMS in dBFS; attack and release are in seconds. The foley begins
    to step back two attacks before the original is loud, so that no word loses its beginning.
    :func:`duck_under` makes threshold and depth fit an original.
    """

    threshold_db: float = -40.0
    depth_db: float = 12.0
    attack: float = 0.02
    release: float = 0.3


@dataclass(frozen=True, slots=True)
class _Join:
    """A fade around a boundary: ``before`` and ``after`` it, in seconds."""

    before: float
    after: float


def assemble(
    stems: Iterable[Stem], duration: float, crossfades: float | Sequence[float] = 0.0
) -> Sound:
    """Lay stems on one track with an equal-power crossfade at each cut.

    A crossfade is no longer than the shorter of its scenes, and centred on its cut. Where one
    side's handle is too short for that it moves to the other side, and where both are, it is
    shorter. A crossfade of 0 is 5 ms; without any handles it is a 5 ms fade out and in. Where a
    scene has no neighbour it fades by itself; the programme's start and end fade over 10 ms.

    Args:
        stems: in the order of time, not overlapping; may be a generator, as only two are held.
        duration: of the programme in seconds.
        crossfades: seconds, one for every cut or one value for all.

    Returns:
        float32 ``(round(duration * 48000), 2)``.

    Raises:
        InputError: stems overlap, lie outside the programme, or have the wrong length.
    """
    out = np.zeros((length_of(duration), 2), np.float32)
    lengths = repeat(crossfades) if isinstance(crossfades, int | float) else iter(crossfades)
    join = _Join(0.0, 0.0)
    for number, (stem, following) in enumerate(pairwise(chain(stems, [None]))):
        assert stem is not None  # the sentinel is only ever the second of a pair
        _check(stem, following, duration, number)
        wanted = next(lengths, 0.0) if following else 0.0
        tail, head = _joins(stem, following, wanted, duration)
        _add(out, stem, join if number else _lead_in(stem), tail)
        join = head
    return out


def _joins(
    stem: Stem, following: Stem | None, wanted: float, duration: float
) -> tuple[_Join, _Join]:
    """Return how ``stem`` fades out and how ``following`` fades in."""
    wanted = max(wanted, MICRO)
    if following is None:
        at_end = stem.end >= duration - 0.5 / RATE
        inside = min(EDGE, stem.length / 2)
        return (_Join(inside, 0.0) if at_end else _alone(stem, wanted)), _Join(0.0, 0.0)
    if following.start - stem.end > 0.5 / RATE:  # silence between them
        lead = _alone(following, wanted)
        return _alone(stem, wanted), _Join(lead.after, lead.before)
    wanted = max(min(wanted, stem.length, following.length), MICRO)
    before_max = min(following.handle, stem.length / 2)
    after_max = min(stem.handle, following.length / 2)
    before = min(wanted / 2, before_max)
    after = min(wanted - before, after_max)
    before = min(wanted - after, before_max)
    if before + after < MICRO:  # no handles to overlap: out, then in
        out, into = min(MICRO, stem.length / 2), min(MICRO, following.length / 2)
        return _Join(out, 0.0), _Join(0.0, into)
    return _Join(before, after), _Join(before, after)


def _alone(stem: Stem, wanted: float) -> _Join:
    """Return the fade of a stem into silence: half inside the scene, half in its handle."""
    outside = min(wanted / 2, stem.handle)
    return _Join(min(wanted - outside, stem.length / 2), outside)


def _lead_in(stem: Stem) -> _Join:
    if stem.start <= 0.5 / RATE:
        return _Join(0.0, min(EDGE, stem.length / 2))
    lead = _alone(stem, MICRO)
    return _Join(lead.after, lead.before)


def _check(stem: Stem, following: Stem | None, duration: float, number: int) -> None:
    where = f"stem {number + 1} ({stem.start:.3f} to {stem.end:.3f} s)"
    if not 0.0 <= stem.start < stem.end <= duration + SLACK:
        raise InputError(f"{where}: does not lie within the programme of {duration:.3f} s")
    if following is not None and following.start < stem.end - 0.5 / RATE:
        raise InputError(f"{where}: overlaps the next, which starts at {following.start:.3f} s")
    due = stem.length + 2 * stem.handle
    if abs(len(stem.audio) / RATE - due) > SLACK:
        raise InputError(
            f"{where}: has {len(stem.audio) / RATE:.3f} s of sound; scene and handles need "
            f"{due:.3f} s at {RATE} Hz"
        )


def _add(out: Sound, stem: Stem, head: _Join, tail: _Join) -> None:
    """Add a stem to the track, faded in over ``head`` and out over ``tail``."""
    start, end = length_of(stem.start), length_of(stem.end)
    first, last = start - length_of(head.before), end + length_of(tail.after)
    offset = start - length_of(stem.handle)  # where the stem's sample 0 lies on the track
    piece = stem.audio[first - offset : last - offset]
    piece = to_stereo(piece).copy()
    _fade(piece, length_of(head.before) + length_of(head.after))
    _fade(piece[::-1], length_of(tail.before) + length_of(tail.after))
    # A handle may reach over the programme's edges; a stem may be some samples short.
    skip = max(-first, 0)
    room = out[first + skip :][: len(piece) - skip]
    room += piece[skip:][: len(room)]


def _fade(piece: Sound, samples: int) -> None:
    samples = min(samples, len(piece))
    piece[:samples] *= equal_power_fade(samples)[:, np.newaxis]


def combine(
    foley: Sound, original: Sound | None, mode: MixMode, *, duck: Duck | None = None
) -> Sound:
    """Return the foley with the video's own sound: both ``(samples, 2)`` and equally long.

    A video without sound has None as its original. The result may exceed full scale; see
    :func:`v2a_foley.media.loudness.normalise`.

    Raises:
        InputError: the two do not have one shape, or a duck value is out of range.
    """
    if mode is MixMode.REPLACE or original is None:
        return foley
    if foley.shape != original.shape or foley.shape[1:] != (2,):
        raise InputError(
            f"foley {foley.shape} and original {original.shape} must have one length, in stereo"
        )
    if mode is MixMode.MIX:
        return foley + original
    return _ducked(foley, original, duck or Duck())


def duck_under(foley: Sound, original: Sound, depth_db: float) -> Duck:
    """How the foley has to step back to leave the original's speech intelligible.

    What counts as loud is judged by the original's own loudness: soft syllables lie some 15 dB
    below it. Its noise, which its pauses show, does not count. Foley that is louder than the
    original steps back by the difference more, so that ``depth_db`` lies between the two
    whatever their levels are.
    """
    blocks = block_loudness(original, None)
    loudness, level = integrated_loudness(foley), gated(blocks)
    if not math.isfinite(loudness) or not math.isfinite(level):
        return Duck(depth_db=depth_db)
    more = max(0.0, loudness - level)
    noise = float(np.percentile(np.maximum(blocks, FLOOR), 10))
    threshold = max(level - BELOW_SPEECH, min(noise + ABOVE_NOISE, NOISY))
    return Duck(threshold, depth_db + min(more, MOST_DUCKING))


def _ducked(foley: Sound, original: Sound, duck: Duck) -> Sound:
    """Lower the foley under the original, then add the original.

    ffmpeg's ``sidechaingate`` opens when its key is loud. What it lets through is exactly the
    foley that is in the original's way; ``depth_db`` of that is taken away.
    """
    if duck.depth_db < 0 or duck.attack <= 0 or duck.release <= 0:
        raise InputError("duck: depth_db must be 0 or more, attack and release more than 0")
    share = np.float32(1 - 10 ** (-duck.depth_db / 20))
    out, position = foley + original, 0
    early = length_of(2 * duck.attack)
    for piece in pipe(_gate(duck), subject="ducking", feed=_side_by_side(foley, original, early)):
        in_the_way = np.frombuffer(piece, "<f4").reshape(-1, 2)
        out[position : position + len(in_the_way)] -= share * in_the_way
        position += len(in_the_way)
    return out


def _gate(duck: Duck) -> object:
    both = ffmpeg.input("pipe:0", format="f32le", ar=RATE, ac=4).audio.filter_multi_output("asplit")
    gated = ffmpeg.filter(
        [
            both.stream(0).filter("pan", "stereo|c0<c0|c1<c1"),
            both.stream(1).filter("pan", "stereo|c0<c2|c1<c3"),
        ],
        "sidechaingate",
        threshold=min(10 ** (duck.threshold_db / 20), 1.0),
        attack=1000 * duck.attack,
        release=1000 * duck.release,
        ratio=20,
        range=0,
        detection="rms",
        link="maximum",
    )
    return gated.output("pipe:1", format="f32le", acodec="pcm_f32le")


def _side_by_side(foley: Sound, original: Sound, early: int) -> Iterator[bytes]:
    """Yield the foley with its key, which is the original some samples early."""
    # The gate takes a key of exact zeros for no key and stands open: HUM keeps it shut.
    for start in range(0, len(foley), BLOCK):
        piece = foley[start : start + BLOCK]
        key = np.full_like(piece, HUM)
        ahead = original[start + early : start + early + len(piece)]
        key[: len(ahead)] += ahead
        yield np.hstack([piece, key]).astype("<f4").tobytes()
