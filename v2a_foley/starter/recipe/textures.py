"""Synthesised textures for classes with few recordings: marked as such, never in a test set.

Filtered noise and impulses, after Farnell, Designing Sound (MIT Press, 2010), chapters on rain,
wind, fire, water and engines.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from v2a_foley.level import set_level
from v2a_foley.starter.recipe.data import RATE, Recording

SECONDS = 5.12
PACKAGE = "v2a-foley"
Rng = np.random.Generator


def band(wave: np.ndarray, low: float, high: float, slope: float = 2.0) -> np.ndarray:
    """``wave`` with what lies outside ``low`` to ``high`` Hz falling off smoothly."""
    spectrum = np.fft.rfft(wave)
    freqs = np.fft.rfftfreq(len(wave), 1 / RATE).clip(1.0)
    gain = 1 / (1 + (low / freqs) ** (2 * slope)) / (1 + (freqs / high) ** (2 * slope))
    return np.fft.irfft(spectrum * gain, len(wave))


def slow(n: int, rng: Rng, rate: float, depth: float) -> np.ndarray:
    """A positive gain that wanders about 1, some ``rate`` times a second."""
    wander = band(rng.standard_normal(n), 0.02, rate, 1.0)
    return np.exp(depth * wander / max(float(wander.std()), 1e-9))


def impulses(n: int, rng: Rng, rate: float, length: int, spread: float = 1.5) -> np.ndarray:
    """Random clicks of random size, ``rate`` a second, each a burst of ``length`` samples."""
    hits = (rng.random(n) < rate / RATE) * rng.lognormal(0, spread, n) * rng.choice((-1, 1), n)
    burst = rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 5))
    return np.convolve(hits, burst)[:n]


def rain(n: int, rng: Rng) -> np.ndarray:
    """A bed of hiss and the single drops in front of it."""
    bed = band(rng.standard_normal(n), rng.uniform(300, 900), rng.uniform(5000, 7500), 1.0)
    drops = band(impulses(n, rng, rng.uniform(30, 200), 60), 1200, 7000)
    return bed * slow(n, rng, 0.4, 0.1) + rng.uniform(0.5, 2.5) * drops / (drops.std() + 1e-9)


def wind(n: int, rng: Rng) -> np.ndarray:
    """Low noise in gusts, with a whistling band above it."""
    gust = slow(n, rng, 0.5, 0.7)
    low = band(rng.standard_normal(n), 40, rng.uniform(200, 500))
    centre = rng.uniform(400, 1200)
    whistle = band(rng.standard_normal(n), centre * 0.85, centre * 1.15, 4.0)
    return low / low.std() * gust + rng.uniform(0.1, 0.4) * whistle / whistle.std() * gust**2


def surf(n: int, rng: Rng) -> np.ndarray:
    """Waves that swell, break and run out, some seconds apart."""
    time = np.arange(n) / RATE
    period = rng.uniform(3.5, 6.0)
    phase = (time / period + rng.random()) % 1.0
    swell = np.where(phase < 0.35, (phase / 0.35) ** 2, np.exp(-(phase - 0.35) * 4))
    deep = band(rng.standard_normal(n), 60, 500)
    foam = band(rng.standard_normal(n), 800, 6000, 1.0)
    return deep / deep.std() * (0.3 + swell) + foam / foam.std() * swell**1.5


def stream(n: int, rng: Rng) -> np.ndarray:
    """Many small bubbles, rising in pitch, over a soft hiss."""
    out = 0.15 * band(rng.standard_normal(n), 400, 5000, 1.0)
    for at in rng.integers(0, n - RATE // 8, int(n / RATE * rng.uniform(60, 140))):
        length = int(rng.uniform(0.01, 0.06) * RATE)
        time = np.arange(length) / RATE
        pitch = rng.uniform(350, 1800) * (1 + rng.uniform(0, 6) * time)
        out[at : at + length] += (
            rng.lognormal(-1.5, 0.6)
            * np.sin(2 * np.pi * pitch * time)
            * np.exp(-time * RATE / length * 5)
        )
    return out


def fire(n: int, rng: Rng) -> np.ndarray:
    """Crackling over hiss and a low roar."""
    crackle = band(impulses(n, rng, rng.uniform(8, 30), 90, 1.8), 600, 7500)
    roar = band(rng.standard_normal(n), 30, 200) * slow(n, rng, 3.0, 0.4)
    hiss = band(rng.standard_normal(n), 1000, 7000, 1.0) * slow(n, rng, 2.0, 0.3)
    return crackle / (crackle.std() + 1e-9) + 0.4 * roar / roar.std() + 0.15 * hiss / hiss.std()


def engine(n: int, rng: Rng) -> np.ndarray:
    """Harmonics of the firing rate, unsteady, over exhaust noise."""
    speed = rng.uniform(22, 70) * slow(n, rng, 0.6, 0.04)
    phase = 2 * np.pi * np.cumsum(speed) / RATE
    tones = np.zeros(n)
    for k in range(1, 24):
        tones += rng.uniform(0.3, 1.0) / k**0.9 * np.sin(k * phase + rng.uniform(0, 6))
    pulses = np.maximum(0, np.sin(phase)) ** 6
    noise = band(rng.standard_normal(n), 80, 1500, 1.0) * (0.3 + pulses)
    return tones + rng.uniform(0.2, 0.6) * noise / noise.std()


def murmur(n: int, rng: Rng) -> np.ndarray:
    """Many voices at once, none understood: formant-filtered buzzes with syllables' rhythm."""
    out = np.zeros(n)
    time = np.arange(n) / RATE
    for _ in range(24):
        pitch = rng.uniform(90, 240) * slow(n, rng, 2.0, 0.08)
        buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE))
        buzz += 0.3 * rng.standard_normal(n)
        formants = rng.uniform((250, 700, 1500), (600, 1300, 2400))
        voice = sum(band(buzz, f * 0.9, f * 1.1, 3.0) for f in formants)
        rhythm = np.sin(2 * np.pi * rng.uniform(2.5, 5) * time + rng.uniform(0, 6))
        out += voice * np.maximum(0, rhythm) * (slow(n, rng, 0.5, 0.8) > 0.8)
    return out


# Class, how its sound is called, what makes it, and how many are made.
TEXTURES: tuple[tuple[str, str, Callable[[int, Rng], np.ndarray], int], ...] = (
    ("rain", "steady rain", rain, 8),
    ("wind", "wind in gusts", wind, 8),
    ("ocean waves", "waves breaking on a beach", surf, 10),
    ("waterfall / running water", "a stream running over stones", stream, 6),
    ("fire crackling", "a crackling fire", fire, 4),
    ("motorcycle", "a motorcycle engine", engine, 6),
    ("crowd / applause", "the murmur of a crowd", murmur, 6),
)


def synthesise() -> list[Recording]:
    """All textures, the same each time."""
    made = []
    for label, caption, texture, count in TEXTURES:
        for number in range(count):
            rng = np.random.default_rng([number, *label.encode()])
            wave = texture(round(SECONDS * RATE), rng).astype(np.float32)
            audio = set_level(wave / np.abs(wave).max(), RATE).astype(np.float16)
            name = f"{texture.__name__}-{number}"
            made.append(
                Recording(name, label, caption, "CC0-1.0", PACKAGE, name, False, audio, True)
            )
    return made
