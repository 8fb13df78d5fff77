from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.media.made import noise
from v2a_foley import presets
from v2a_foley.media import strip
from v2a_foley.media.audio import RATE, Sound
from v2a_foley.presets import Mix

PLAIN = presets.find(presets.DEFAULT).mix


def mix(**settings: float) -> Mix:
    return replace(PLAIN, **settings)  # type: ignore[arg-type]


def tone(hertz: float, seconds: float = 2.0) -> Sound:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.cos(2 * np.pi * hertz * time)).astype(np.float32)


def level_db(audio: Sound) -> float:
    return float(10 * np.log10(np.square(audio, dtype=np.float64).mean()))


def third_octaves(audio: Sound) -> Sound:
    """Power in third octaves from 100 Hz to 16 kHz."""
    power = np.square(np.abs(np.fft.rfft(audio)))
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    centres = 100 * 2 ** (np.arange(22) / 3)
    edge = 2 ** (1 / 6)
    return np.array([power[(hertz > c / edge) & (hertz < c * edge)].mean() for c in centres])


def test_a_strip_that_asks_for_nothing_changes_nothing() -> None:
    audio = noise(1.0)[:, 0]
    assert strip.apply(audio, PLAIN, handle=0.1) is audio


def test_gain_leaves_the_input_alone() -> None:
    audio = noise(0.2)[:, 0]
    before = audio.copy()
    out = strip.apply(audio, mix(gain_db=-6.0206, fade_in=0.05), handle=0.0)
    np.testing.assert_allclose(out[round(0.05 * RATE) :], 0.5 * audio[round(0.05 * RATE) :], 1e-4)
    np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize(
    ("settings", "hertz", "change"),
    [
        ({"high_pass": 200.0}, 200, -3.0),
        ({"high_pass": 200.0}, 100, -24.1),
        ({"high_pass": 200.0}, 2000, 0.0),
        ({"low_pass": 4000.0}, 4000, -3.0),
        ({"low_pass": 4000.0}, 400, 0.0),
        ({"low_pass": 1000.0}, 2000, -24.3),
        ({"high_pass": 10.0}, 1000, 0.0),
        ({"low_pass": 20000.0}, 1000, 0.0),
    ],
)
def test_filters_cut_24_db_an_octave(
    settings: dict[str, float], hertz: float, change: float
) -> None:
    audio = tone(hertz)
    out = strip.apply(audio, mix(**settings), handle=0.0)
    assert out.shape == audio.shape
    middle = slice(RATE // 2, -RATE // 2)
    assert level_db(out[middle]) - level_db(audio[middle]) == pytest.approx(change, abs=0.3)


def test_a_filter_hears_no_seams_and_makes_no_thump() -> None:
    audio = tone(300.0, 65.0)  # over two pieces, and at its crest where it begins
    out = strip.apply(np.stack([audio, -audio], 1), mix(high_pass=20.0, low_pass=18000), handle=0)
    step = np.abs(np.diff(out[:, 0], n=2))  # a seam or a thump bends the wave
    assert step.max() < 1.05 * np.abs(np.diff(audio, n=2)).max()
    np.testing.assert_array_equal(out[:, 1], -out[:, 0])


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_the_shortest_stems(samples: int) -> None:
    audio = noise(1.0)[:samples, 0]
    everything = mix(high_pass=80, low_pass=8000, pan=0.2, width=1, fade_in=1, fade_out=2)
    assert strip.apply(audio, everything, handle=0.0).shape == (samples, 2)


@pytest.mark.parametrize("pan", [-1.0, -0.4, 0.0, 0.7, 1.0])
@pytest.mark.parametrize("width", [0.0, 0.5, 1.0])
def test_pan_and_width_keep_the_power(pan: float, width: float) -> None:
    audio = noise(8.0)[:, 0]
    out = strip.apply(audio, mix(pan=pan or 1e-9, width=width), handle=0.0)
    power = np.square(out, dtype=np.float64).mean(0)
    assert 10 * np.log10(power.sum()) == pytest.approx(level_db(audio) + 3.01, abs=0.1)
    if pan:
        assert power[int(pan > 0)] > power[int(pan < 0)]
    if abs(pan) == 1:
        assert power.min() < 1e-9 * power.max()


@pytest.mark.parametrize("pan", [0.0, -0.5])
def test_the_mono_sum_of_width_is_the_sound_itself(pan: float) -> None:
    audio = noise(2.0)[:, 0]
    out = strip.apply(audio, mix(pan=pan, width=1.0), handle=0.0).sum(axis=1)
    scale = float(out @ audio / (audio @ audio))
    np.testing.assert_allclose(out, scale * audio, atol=1e-6)
    assert scale > 1


def test_width_goes_from_mono_to_all_around_and_colours_neither_side() -> None:
    audio = noise(20.0)[:, 0]
    likeness = []
    for width in (0.0, 0.25, 0.5, 1.0):
        out = strip.apply(audio, mix(pan=1e-9, width=width), handle=0.0)
        likeness.append(float(np.corrcoef(out.T)[0, 1]))
        change = 10 * np.log10(third_octaves(out[:, 0]) / third_octaves(audio))
        assert np.abs(change).max() < 2.0
        sides = 10 * np.log10(third_octaves(out[:, 0]) / third_octaves(out[:, 1]))
        assert np.abs(sides).max() < 0.3
    assert likeness[0] == pytest.approx(1.0, abs=1e-6)
    assert likeness == sorted(likeness, reverse=True)
    assert abs(likeness[-1]) < 0.02


def test_a_stereo_stem_keeps_its_sides() -> None:
    audio = noise(1.0)
    audio[:, 1] *= 0.25
    np.testing.assert_allclose(strip.apply(audio, mix(pan=1e-9), handle=0.0), audio, atol=1e-6)
    right = strip.apply(audio, mix(pan=1.0), handle=0.0)
    np.testing.assert_allclose(right[:, 1], audio.mean(1) * 2**0.5, atol=1e-6)
    assert not np.abs(right[:, 0]).max() > 1e-6


def test_fades_begin_and_end_with_the_scene() -> None:
    audio = np.full(3 * RATE, 0.5, np.float32)
    out = strip.apply(audio, mix(fade_in=0.5, fade_out=1.0), handle=0.5)
    assert not out[: RATE // 2].any()
    assert not out[round(2.5 * RATE) :].any()
    assert out[round(0.75 * RATE)] == pytest.approx(0.5 * 0.5**0.5, abs=1e-3)
    assert out[2 * RATE] == pytest.approx(0.5 * 0.5**0.5, abs=1e-3)
    np.testing.assert_array_equal(out[RATE : round(1.5 * RATE)], 0.5)
    assert np.abs(np.diff(out)).max() < 1e-4


def test_fades_longer_than_the_scene_fill_it() -> None:
    audio = np.ones(RATE, np.float32)
    out = strip.apply(audio, mix(fade_in=60.0, fade_out=60.0), handle=0.0)
    assert out.max() == pytest.approx(0.5, abs=1e-3)  # where both cross
    assert np.abs(out[[0, -1]]).max() < 1e-3
