from __future__ import annotations

import random

import numpy as np
import pytest

from tests.library.made import RATE, engine, knocks, rain, real
from v2a_foley.library.shaping import cut, fill, goes_on, is_silent, loop, sounding

STEADY = {"rain": rain(3.0), "engine": engine(2.0), "applause": real("applause_1")}


def jump(wave: np.ndarray) -> float:
    """The largest step between two samples."""
    return float(np.abs(np.diff(wave)).max())


def flux(wave: np.ndarray) -> float:
    """The largest rise of the spectrum above 4 kHz, where clicks are, within 5 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 480)[::240] * np.hanning(480)
    high = np.abs(np.fft.rfft(frames, axis=1))[:, 40:]
    return float(np.maximum(np.diff(high, axis=0), 0).sum(1).max())


def loudness(wave: np.ndarray) -> np.ndarray:
    """Level of each tenth of a second in dB."""
    parts = wave[: len(wave) // 4800 * 4800].reshape(-1, 4800)
    return 10 * np.log10(np.square(parts).mean(1))


@pytest.mark.parametrize("name", STEADY)
def test_a_loop_has_no_seam(name: str):
    wave = STEADY[name]
    part = wave[sounding(wave, RATE)]
    assert goes_on(part, RATE)
    for seed in range(3):
        made = loop(part, 12 * RATE, RATE, random.Random(seed))
        assert made.shape == (12 * RATE,)
        assert jump(made) <= 1.05 * jump(part)
        assert flux(made) <= 1.1 * flux(part)
        assert loudness(made).min() >= loudness(part).min() - 0.5
        assert loudness(made).max() <= loudness(part).max() + 0.5


def test_the_measures_of_a_seam_hear_one():
    hum, crowd = STEADY["engine"], STEADY["applause"]
    assert jump(np.tile(hum, 2)) > 10 * jump(hum)
    assert flux(np.tile(hum, 2)) > 10 * flux(hum)
    assert flux(np.tile(crowd, 2)) > 1.1 * flux(crowd)


def test_a_loop_does_not_repeat_itself_exactly():
    part = STEADY["rain"]
    made = loop(part, 20 * RATE, RATE, random.Random(1))
    spectrum = np.fft.rfft(made, 2 * len(made))
    alike = np.fft.irfft(np.abs(spectrum) ** 2)[: len(made)]
    alike = alike[RATE // 2 : 10 * RATE] / alike[0]
    assert alike.max() < 0.5  # tiled it is 0.85


def test_what_goes_on_is_told_from_events():
    for name in ("fire_1", "applause_1"):
        wave = real(name)
        assert goes_on(wave[sounding(wave, RATE)], RATE), name
    for name in ("rooster_1", "door_1", "glass_1", "cat_1", "thunder_1", "explosion_1"):
        wave = real(name)
        assert not goes_on(wave[sounding(wave, RATE)], RATE), name
    assert not goes_on(rain(0.3), RATE)
    assert goes_on(engine(0.8), RATE)


def test_silence_around_a_sound_is_trimmed():
    wave = knocks(1.0, 1.5, seconds=4.0)
    part = sounding(wave, RATE)
    assert 0.95 < part.start / RATE <= 1.0
    assert 1.5 < part.stop / RATE < 1.75
    assert not is_silent(wave, RATE)
    assert is_silent(np.zeros(RATE, np.float32), RATE)
    assert is_silent(np.zeros(0, np.float32), RATE)
    assert is_silent(rain(1.0) * 1e-4, RATE)


def test_a_long_recording_is_cut_where_it_is_quiet():
    wave = knocks(*np.arange(0.3, 12, 0.55), seconds=12.0)
    starts = set()
    for seed in range(8):
        made = cut(wave, 3 * RATE, RATE, random.Random(seed))
        assert made.shape == (3 * RATE,)
        edges = np.abs(np.concatenate([made[:480], made[-480:]])).max()
        assert edges < 0.01 * np.abs(made).max()
        starts.add(made.tobytes())
    assert len(starts) > 3


def test_a_cut_holds_what_happens():
    wave = knocks(6.0, seconds=12.0)
    for seed in range(6):
        made = cut(wave, 2 * RATE, RATE, random.Random(seed))
        assert np.abs(made).max() == np.abs(wave).max()


@pytest.mark.parametrize("length", [1, 480, RATE // 3, 2 * RATE, 9 * RATE + 7])
def test_any_length_is_met(length: int):
    for waves in ([rain(2.0)], [real("glass_1"), real("door_1")], [knocks(0.0, seconds=0.1)]):
        made = fill(waves, length, RATE, random.Random(3))
        assert made.shape == (length,)
        assert made.dtype == np.float32
        assert np.isfinite(made).all()


def test_events_come_with_pauses_from_all_that_are_given():
    waves = [knocks(0.0, seconds=0.15, seed=1), knocks(0.0, seconds=0.15, seed=2)]
    made = fill(waves, 8 * RATE, RATE, random.Random(2))
    pauses = np.abs(made[: len(made) // 480 * 480]).reshape(-1, 480).max(1) == 0
    assert 0.3 < pauses.mean() < 0.95
    for wave in waves:
        found = np.correlate(made, wave[960:4800], "valid").max()
        assert found > 0.5 * float(np.square(wave[960:4800]).sum())
    again = fill(waves, 8 * RATE, RATE, random.Random(2))
    other = fill(waves, 8 * RATE, RATE, random.Random(3))
    assert (made == again).all()
    assert (made != other).any()


def test_no_event_is_begun_that_the_end_would_cut_off():
    event = np.concatenate([knocks(0.0, seconds=0.5), knocks(0.0, seconds=1.0)])
    for seed in range(10):
        made = fill([event], round(1.9 * RATE), RATE, random.Random(seed))
        assert np.abs(made[round(1.6 * RATE) :]).max() < 1e-3


def test_what_is_made_begins_and_ends_at_zero():
    for waves in ([rain(9.0)], [rain(2.0)], [knocks(0.0, seconds=0.3)]):
        made = fill(waves, 4 * RATE, RATE, random.Random(5))
        assert abs(made[0]) < 1e-4
        assert abs(made[-1]) < 1e-4
