from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

from tests.media.made import noise
from v2a_foley.media.audio import RATE, Sound
from v2a_foley.media.ffmpeg import ffmpeg_exe
from v2a_foley.media.meter import Loudness, integrated_loudness, measure, true_peak_db


def ffmpegs(audio: Sound) -> Loudness:
    """What ffmpeg's own meter reads; it logs the momentary and short-term loudness as it goes."""
    command = [ffmpeg_exe(), "-hide_banner", "-f", "f32le", "-ar", str(RATE), "-ac", "2"]
    meter = ["-i", "pipe:0", "-af", "ebur128=peak=true", "-f", "null", "-"]
    data = np.ascontiguousarray(audio, "<f4").tobytes()
    done = subprocess.run([*command, *meter], input=data, capture_output=True, check=True)
    log, summary = done.stderr.decode().rsplit("Summary:", 1)

    def largest(letter: str) -> float:
        return max(map(float, re.findall(rf" {letter}:\s*(-?[\d.]+)", log)))

    words = summary.split()
    i, lra, peak = (float(words[words.index(word) + 1]) for word in ("I:", "LRA:", "Peak:"))
    return Loudness(i, lra, largest("M"), largest("S"), peak)


def swells(seconds: float, seed: int = 0) -> Sound:
    """Noise whose level changes every second, up to 50 dB."""
    rng = np.random.default_rng(seed)
    gains = 10 ** (rng.uniform(-50, 0, math.ceil(seconds)) / 20)
    audio = noise(seconds, seed=seed)
    return audio * np.repeat(gains, RATE)[: len(audio), np.newaxis].astype(np.float32)


def blocks(audio: Sound, size: int) -> Iterator[Sound]:
    for start in range(0, len(audio), size):
        yield audio[start : start + size]


@pytest.mark.parametrize("seconds", [12.0, 70.0])
def test_it_reads_as_ffmpegs_does(seconds: float) -> None:
    audio = swells(seconds)
    due, read = ffmpegs(audio), measure(blocks(audio, 1 << 18))
    assert read.integrated == pytest.approx(due.integrated, abs=0.15)
    if seconds > 60:  # ffmpeg's counts half-filled windows at the start, too
        assert read.range == pytest.approx(due.range, abs=0.3)
    assert read.momentary_max == pytest.approx(due.momentary_max, abs=0.15)
    assert read.short_term_max == pytest.approx(due.short_term_max, abs=0.15)
    assert read.true_peak == pytest.approx(due.true_peak, abs=0.15)


@pytest.mark.parametrize("size", [1000, 4800, 30 * RATE, 31 * RATE, 100 * RATE])
def test_blocks_of_any_size_read_the_same(size: int) -> None:
    audio = swells(65.37)
    read = measure(blocks(audio, size))
    assert read.integrated == pytest.approx(integrated_loudness(audio), abs=1e-3)
    assert read.true_peak == pytest.approx(true_peak_db(audio), abs=1e-4)
    whole = measure([audio])
    assert read.range == pytest.approx(whole.range, abs=1e-3)
    assert read.short_term_max == pytest.approx(whole.short_term_max, abs=1e-3)


def test_a_peak_between_the_samples_of_two_blocks_is_found() -> None:
    audio = np.zeros((RATE, 2), np.float32)
    audio[24_000:24_002] = 0.5  # more than half in between
    assert measure(blocks(audio, 24_001)).true_peak == pytest.approx(true_peak_db(audio), abs=1e-4)
    assert true_peak_db(audio) > 20 * math.log10(0.5) + 1
    audio[-1] = 1.0
    assert measure([audio]).true_peak == pytest.approx(true_peak_db(audio), abs=1e-4)


def test_an_even_sound_has_no_range() -> None:
    read = measure([noise(10.0)])
    assert read.range < 0.2
    assert read.momentary_max == pytest.approx(read.integrated, abs=0.3)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.39])
def test_too_short_for_any_loudness(seconds: float) -> None:
    read = measure(blocks(noise(seconds), 1000))
    assert read.integrated == read.momentary_max == read.short_term_max == -math.inf
    assert read.range == 0.0
    assert (read.true_peak > -math.inf) == (seconds > 0)


def test_silence() -> None:
    read = measure([np.zeros((5 * RATE, 2), np.float32)])
    assert read == Loudness(-math.inf, 0.0, -math.inf, -math.inf, -math.inf)
