"""Timing: how far sounds are from what is seen, left free and laid on the picture's events.

Clips with events at known times go through the decoder; recordings and sounds that the starter
generates are laid on the events found. The offset is measured against the known times by an onset
detector of its own, on energy alone, which shares nothing with the package's.
"""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from tests.material import FOLDER
from tests.media import events
from v2a_foley.frames import Frames
from v2a_foley.level import BLOCK
from v2a_foley.media.decode import decode
from v2a_foley.media.motion import MotionCurve
from v2a_foley.media.probe import probe
from v2a_foley.models.recordings import arrange
from v2a_foley.stems import busiest
from v2a_foley.timing import sync

RATE = 16_000
SECONDS, SPARE = 8.0, 2.24
TIMES = {  # irregular, seconds
    "flashes": (0.63, 1.71, 2.34, 3.97, 4.55, 6.12, 7.21),
    "jolts": (0.90, 1.73, 2.31, 3.40, 4.02, 5.50, 6.15),
    "bounces": (0.85, 1.52, 2.41, 3.12, 4.20, 4.83, 5.71, 6.90),
}
RATES = ("24", "25", "30000/1001", "10")
MOVES = np.array([4.2, 5.1])
RECORDED = ("door_1", "footsteps_1", "glass_1", "splash_1", "explosion_1", "typing_1", "cat_1")
GENERATED = (
    "footsteps on a wooden floor", "a dog barking", "a hammer hitting an anvil",
    "a door slamming shut", "a gunshot",
)  # fmt: skip


def main(kind: str = "all") -> None:
    """Print mean absolute offsets in milliseconds; ``recorded`` leaves the generator out."""
    sounds = dict(recorded())
    if kind == "all":
        sounds |= dict(generated())
    rows: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        for what, times in TIMES.items():
            for rate in RATES:
                clip = Path(name) / f"{what}_{rate.replace('/', '_')}.mp4"
                events.clip(clip, what, times, SECONDS, rate=rate)
                seen = sync.picture_events(frames_of(clip), 0.0, SECONDS)
                missed = distances(np.array(times), seen)
                print(f"{what} at {rate}: {len(times)} events, {len(seen)} found, {missed:.0f} ms")
                for sound, wave in sounds.items():
                    pair = offsets(wave, seen, np.array(times))
                    for key in ("all", what, f"{rate} fps", sound):
                        rows[key].append(pair)
    for key, pairs in rows.items():
        free, laid = np.array(pairs).T
        worst = np.percentile(laid, 95)
        print(
            f"{key:28s} {len(pairs):4d} pairs: free {free.mean():4.0f} ms, "
            f"onset {laid.mean():4.0f} ms (95 %: {worst:.0f})"
        )
    real_clip(sounds)


def real_clip(sounds: dict[str, np.ndarray]) -> None:
    """Print the same for a real clip, seen by eye: an arm falls at 4.2 s, it moves again at 5.1."""
    clip = FOLDER / "clips" / "big_buck_bunny.mp4"
    frames = frames_of(clip)
    end = float(frames.motion_times[-1])
    seen = sync.picture_events(frames, 0.0, end)
    pairs = np.array([offsets(wave, seen, MOVES, end) for wave in sounds.values()])
    free, laid = pairs.mean(0)
    print(f"{clip.name}: events at {seen.round(2)} s; free {free:.0f} ms, onset {laid:.0f} ms")


def offsets(
    wave: np.ndarray, seen: np.ndarray, times: np.ndarray, seconds: float = SECONDS
) -> tuple[float, float]:
    """Offsets in milliseconds of a wave left free and of the same laid on ``seen``."""
    length = round(seconds * RATE)
    begin = busiest(wave, length, round(BLOCK * RATE))
    free = distances(times, heard(wave[begin : begin + length]))
    return free, distances(times, heard(sync.place(wave, RATE, seconds, seen).wave))


def distances(times: np.ndarray, found: np.ndarray) -> float:
    """Mean distance in milliseconds of each to its nearest, both ways."""
    if not len(found):
        return float("nan")
    apart = np.abs(times[:, None] - found[None])
    return 1000 * float(np.concatenate([apart.min(0), apart.min(1)]).mean())


def heard(wave: np.ndarray) -> np.ndarray:
    """Onsets by energy alone: where the level of 5 ms is 12 dB above the 50 ms before it."""
    block = RATE // 200
    power = np.square(wave[: len(wave) // block * block].reshape(-1, block)).mean(1)
    level = 10 * np.log10(np.maximum(power / power.max(), 1e-4))
    found: list[int] = []
    for at in range(len(level)):
        before = level[max(0, at - 10) : at]
        risen = level[at] - (before.mean() if len(before) else -40.0)
        if risen > 12 and level[at] > -25 and (not found or at - found[-1] > 20):
            found.append(at)
    return np.array(found) * block / RATE


def frames_of(clip: Path) -> Frames:
    """The clip's motion, without CLIP."""
    curve = MotionCurve()
    decode(probe(clip), [curve])
    return Frames(np.zeros(1), np.zeros((1, 1)), curve.times, curve.values, "")


def recorded() -> Iterator[tuple[str, np.ndarray]]:
    """Real recordings, repeated with random pauses where they are short."""
    import soxr

    for number, name in enumerate(RECORDED):
        wave, rate = soundfile.read(FOLDER / "sounds" / f"{name}.ogg", dtype="float32")
        wave = soxr.resample(wave, rate, RATE)
        rng = random.Random(number)
        yield name, arrange([wave], round((SECONDS + SPARE) * RATE), RATE, loops=False, rng=rng)


def generated() -> Iterator[tuple[str, np.ndarray]]:
    """Sounds of the starter pack, from its recordings as it does by default."""
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.generator import Request

    models = Models("starter", "cpu")
    assert models.recordings is not None
    requests = []
    for number, condition in enumerate(models.clap.texts(GENERATED)):
        chosen = models.recordings.choose(condition, number)
        start = models.recordings.start(chosen, SECONDS, RATE, number) if chosen else None
        requests.append(Request(condition[None], SECONDS, number, None, start, 0.4))
    waves = models.generator.generate(requests, unconditional=models.clap.texts([""])[0])
    yield from zip(GENERATED, waves, strict=True)
