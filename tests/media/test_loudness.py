from __future__ import annotations

import math

import numpy as np
import pyloudnorm
import pytest

from tests.media.made import ebur128, noise
from v2a_foley.errors import MediaError
from v2a_foley.media.audio import RATE, Sound
from v2a_foley.media.loudness import LoudnessReport, normalise
from v2a_foley.media.meter import integrated_loudness, true_peak_db


def hits(bed: float) -> Sound:
    """Eight seconds of decaying bursts over a bed of noise: footsteps, to a loudness meter."""
    audio, burst = noise(8.0, level=bed), noise(0.1, level=0.4, seed=3)
    burst *= np.exp(-np.arange(len(burst)) / 600)[:, np.newaxis].astype(np.float32)
    for start in range(0, len(audio) - len(burst), RATE // 2 + 37):
        audio[start : start + len(burst)] += burst
    return audio


def tone(hertz: float, level: float = 0.3) -> Sound:
    time = np.arange(4 * RATE) / RATE
    wave = level * np.sin(2 * np.pi * hertz * time + 0.7)
    wave[:480] *= np.linspace(0, 1, 480)
    return np.stack([wave, wave], axis=1).astype(np.float32)


def impulses() -> Sound:
    audio = np.zeros((4 * RATE, 2), np.float32)
    audio[RATE // 2 :: RATE] = 0.9
    return audio


SOUNDS = {
    "noise": noise(4.0),
    "quiet noise": noise(4.0, level=0.001),
    "hits": hits(0.001),
    "hits over a bed": hits(0.02),
    "low tone": tone(45.0),
    "tone between samples": tone(12_000.0),
    "impulses": impulses(),
    "far over full scale": noise(4.0, level=3.0),
    "left only": noise(4.0) * np.array([1, 0], np.float32),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_the_meter_reads_as_ffmpegs_does(name: str) -> None:
    loudness, peak = ebur128(SOUNDS[name])
    assert integrated_loudness(SOUNDS[name]) == pytest.approx(loudness, abs=0.15) or loudness > 5
    assert true_peak_db(SOUNDS[name]) == pytest.approx(peak, abs=0.15)


def test_the_meter_reads_as_pyloudnorm_does_over_many_pieces() -> None:
    rng = np.random.default_rng(0)
    gains = np.repeat(rng.random(75) ** 3, RATE)[:, np.newaxis].astype(np.float32)
    audio = noise(75.0) * gains
    whole = pyloudnorm.Meter(RATE).integrated_loudness(audio)
    assert integrated_loudness(audio) == pytest.approx(whole, abs=0.001)


@pytest.mark.parametrize(("target", "limit"), [(-23.0, -1.0), (-14.0, -2.0)])
@pytest.mark.parametrize("name", SOUNDS)
def test_target_is_met_under_the_limit_or_the_note_says_why_not(
    name: str, target: float, limit: float
) -> None:
    audio, report = normalise(SOUNDS[name], target, limit)
    loudness, peak = ebur128(audio)
    assert peak <= limit
    assert report.true_peak_db <= limit
    assert report.after == pytest.approx(loudness, abs=0.15)
    if report.note:
        assert report.limited
        assert report.after < target - 0.5
        assert peak >= limit - 0.5  # as loud as the limit allows
        assert "cannot be reached" in report.note
    else:
        assert loudness == pytest.approx(target, abs=0.5)


def test_what_needs_no_limiting_is_only_scaled() -> None:
    audio, report = normalise(SOUNDS["noise"], -23.0, -1.0)
    assert not report.limited
    gain = np.float32(10 ** (report.gain_db / 20))
    np.testing.assert_allclose(audio, SOUNDS["noise"] * gain, rtol=1e-5, atol=1e-9)


def test_limiting_meets_a_target_that_peaks_stand_against() -> None:
    sound = SOUNDS["hits over a bed"]
    audio, report = normalise(sound, integrated_loudness(sound) + 3.0, true_peak_db(sound))
    assert report.limited
    assert not report.note
    gain = audio[np.abs(sound) > 1e-3] / sound[np.abs(sound) > 1e-3]
    assert gain.min() > 0.1
    assert gain.max() == pytest.approx(10 ** (report.gain_db / 20), rel=1e-3)


def test_the_limiters_gain_moves_slowly() -> None:
    audio = np.full((2 * RATE, 2), 0.1, np.float32)
    audio[1::2] *= -1
    audio[RATE] = 0.9
    out, report = normalise(audio, 0.0, -6.0)
    gain_db = 20 * np.log10(out / audio)
    assert report.limited
    assert gain_db.max() - gain_db.min() > 6.0
    assert np.abs(np.diff(gain_db, axis=0)).max() < 0.2  # a sample; a click would be all of it


def test_a_single_click_keeps_the_limit_and_its_silence() -> None:
    audio = np.zeros((5 * RATE, 2), np.float32)
    audio[2 * RATE] = 0.99
    audio += noise(5.0, level=1e-6)
    out, report = normalise(audio, -14.0, -1.0)
    assert ebur128(out)[1] <= -1.0
    assert "cannot be reached" in report.note
    assert report.gain_db < 3.0  # not 20 dB more noise for no loudness


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.39])
def test_sound_too_short_for_a_loudness_is_left(seconds: float) -> None:
    audio = noise(seconds)
    out, report = normalise(audio, -14.0, -1.0)
    np.testing.assert_array_equal(out, audio)
    assert report.before == report.after == -math.inf
    assert "shorter than 0.4 s" in report.note


def test_silence_is_left() -> None:
    out, report = normalise(np.zeros((RATE, 2), np.float32), -14.0, -1.0)
    assert not out.any()
    assert report == LoudnessReport(-math.inf, -math.inf, 0.0, -math.inf, False, report.note)
    assert "-70 LUFS" in report.note


def test_short_and_too_loud_is_still_limited() -> None:
    out, report = normalise(noise(0.2, level=1.0), -14.0, -1.0)
    assert report.limited
    assert report.true_peak_db <= -1.0
    assert ebur128(out)[1] <= -1.0


def test_mono_is_measured_too() -> None:
    mono = noise(2.0)[:, 0]
    out, report = normalise(mono, -23.0, -1.0)
    assert out.shape == mono.shape
    assert report.after == pytest.approx(-23.0, abs=0.1)


def test_nan_is_refused() -> None:
    audio = noise(1.0)
    audio[500] = np.nan
    with pytest.raises(MediaError, match="NaN"):
        normalise(audio, -23.0, -1.0)
