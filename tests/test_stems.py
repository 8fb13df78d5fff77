from __future__ import annotations

import numpy as np
import pytest

from v2a_foley.level import set_level
from v2a_foley.stems import LEVEL_DB, fit

RATE = 16_000


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, level, int(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.04, 0.5, 1.2345, 2.0])
def test_exact_length_at_48_khz(seconds: float) -> None:
    made = fit(noise(2.5), RATE, seconds)
    assert made.dtype == np.float32
    assert len(made) == round(seconds * 48_000)


def test_a_short_scene_gets_the_sounding_part() -> None:
    wave = np.zeros(5 * RATE, np.float32)
    wave[3 * RATE : 3 * RATE + 4000] = noise(0.25)[:4000]
    made = fit(wave, RATE, 0.5)
    blocks = np.abs(made).reshape(10, -1).max(1)
    assert blocks.max() > 0.05


def test_the_earliest_of_equal_parts_is_taken() -> None:
    wave = noise(5.0)
    assert np.abs(np.corrcoef(fit(wave, RATE, 1.0)[::3][:8000], wave[:8000])[0, 1]) > 0.7


def test_level_and_no_offset() -> None:
    made = fit(noise(3.0, 0.003) + 0.2, RATE, 3.0)
    assert 20 * np.log10(made.std()) == pytest.approx(LEVEL_DB, abs=1.0)
    assert abs(made.mean()) < 1e-3


def test_silence_stays_silence() -> None:
    assert not fit(np.zeros(RATE, np.float32), RATE, 1.0).any()


def test_set_level_keeps_peaks() -> None:
    wave = np.zeros(RATE, np.float32)
    wave[5000] = 0.01
    made = set_level(wave, RATE, -20, -0.5)
    assert np.abs(made).max() <= 10 ** (-0.5 / 20) + 1e-6
    quiet = set_level(noise(1.0, 1e-3), RATE, -20)
    assert 20 * np.log10(quiet.std()) == pytest.approx(-20, abs=0.5)
