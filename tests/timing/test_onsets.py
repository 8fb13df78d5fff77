from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.material import FOLDER
from v2a_foley.timing import onsets

TIMES = np.array([0.302, 1.0, 1.713, 2.5])


def struck(rate: int, attack: float, bed: float = 0.0) -> np.ndarray:
    """Bursts of noise at :data:`TIMES` that rise in ``attack`` seconds, on noise of RMS ``bed``."""
    rng = np.random.default_rng(0)
    wave = rng.normal(0, bed, 4 * rate) if bed else np.zeros(4 * rate)
    t = np.arange(rate) / rate
    for time in TIMES:
        burst = np.minimum(t / attack, 1) * np.exp(-t / 0.15) * rng.normal(0, 0.3, rate)
        wave[round(time * rate) :][:rate] += burst
    return wave.astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("bed", [0.0, 0.005])
@pytest.mark.parametrize("attack", [0.001, 0.03, 0.1])
def test_struck_sounds_are_found_where_they_begin(rate: int, attack: float, bed: float) -> None:
    found = onsets.of_sound(struck(rate, attack, bed), rate)
    assert len(found) == len(TIMES)
    np.testing.assert_allclose(found, TIMES, atol=0.02)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_what_goes_on_has_no_onset(rate: int) -> None:
    t = np.arange(4 * rate) / rate
    noise = np.random.default_rng(0).normal(0, 0.1, len(t))
    engine = np.sin(2 * np.pi * 55 * t) * (1 + 0.3 * np.sin(2 * np.pi * 11 * t)) + 0.2 * noise
    for wave in (noise, engine, np.linspace(0.1, 1, len(t)) * noise, np.zeros(len(t))):
        assert len(onsets.of_sound(wave.astype(np.float32), rate)) == 0


def test_level_of_the_sound_does_not_matter() -> None:
    wave = struck(16_000, 0.01, 0.005)
    np.testing.assert_array_equal(
        onsets.of_sound(wave, 16_000), onsets.of_sound(wave * np.float32(0.01), 16_000)
    )


@pytest.mark.parametrize(
    ("name", "count"), [("footsteps_1", 5), ("explosion_1", 1), ("cat_1", 1), ("thunder_1", 1)]
)
def test_onsets_of_real_sounds(name: str, count: int) -> None:
    wave, rate = soundfile.read(FOLDER / "sounds" / f"{name}.ogg", dtype="float32")
    assert len(onsets.of_sound(wave, rate)) == count


def test_short_and_empty_waves() -> None:
    assert len(onsets.of_sound(np.zeros(0, np.float32), 16_000)) == 0
    assert len(onsets.of_sound(np.ones(20, np.float32), 16_000)) == 0
    assert len(onsets.levels(np.zeros(16_000, np.float32), 16_000)) == 0


def curve(rate: float, grain: float = 0.1, seconds: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    """Times and a motion curve of grain alone."""
    times = np.arange(1, round(seconds * rate)) / rate
    return times, np.random.default_rng(0).normal(grain, 0.03 * grain, len(times))


@pytest.mark.parametrize("rate", [10.0, 24.0, 25.0])
def test_a_push_a_flash_and_a_bounce(rate: float) -> None:
    times, motion = curve(rate)
    motion[(times > 1.0) & (times < 1.5)] += 0.5
    motion[np.argmax(times >= 3.0)] += 5.0
    motion += np.maximum(0, 1 - np.abs(times - 6.0) / 0.5)
    np.testing.assert_allclose(onsets.of_motion(times, motion), [1.0, 3.0, 6.0], atol=0.6 / rate)


def test_repeated_frames_are_no_events() -> None:
    times, motion = curve(24.0)
    motion[(times > 2.0) & (times < 4.0)] += 1.0
    motion[::2] = 0.0
    np.testing.assert_allclose(onsets.of_motion(times, motion), [2.0], atol=0.1)


def test_nothing_stands_out() -> None:
    times, grain = curve(25.0)
    assert len(onsets.of_motion(times, grain)) == 0
    assert len(onsets.of_motion(times, np.zeros(len(times)))) == 0
    assert len(onsets.of_motion(times, grain + 0.2 * times)) == 0  # slow drift
    crowd = np.random.default_rng(1).lognormal(0, 0.1, len(times))
    assert len(onsets.of_motion(times, crowd)) == 0
    assert len(onsets.of_motion(times[:2], grain[:2])) == 0
    assert len(onsets.of_motion(times[:0], grain[:0])) == 0
