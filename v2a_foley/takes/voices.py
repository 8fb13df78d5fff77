"""Made voices: what speech sounds like, for a CLAP whose texts do not know it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

RATE = 22_050
COUNT = 36
SECONDS = (0.7, 1.5, 4.0)  # a word, a phrase, a sentence
TOPS = (3400.0, 8000.0, 10500.0)  # Hz: on the telephone, near, very near
# F1, F2 and F3 of ten vowels: Peterson and Barney, JASA 1952, men.
VOWELS = np.array(
    [(270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
     (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690)]
)  # fmt: skip
UPPER = (3500.0, 4500.0, 6000.0)  # Hz: formants that hardly move
WIDTHS = (50, 60, 80, 120, 200, 300)  # Hz
STRENGTHS = (1, 0.6, 0.35, 0.2, 0.12, 0.06)


def voices(count: int = COUNT) -> list[np.ndarray]:
    """Waves of speech without words, float32 mono at 22.05 kHz: the same ones each time.

    Syllables of a vowel and, often, a hiss before it, by additive formant synthesis: harmonics
    of a gliding pitch under the resonances of the vocal tract (Klatt, JASA 1980, simplified).
    """
    rng = np.random.default_rng(0)
    return [_voice(SECONDS[number % 3], TOPS[number // 3 % 3], rng) for number in range(count)]


def _voice(seconds: float, top: float, rng: np.random.Generator) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    most = int(seconds / 0.14) + 2
    pauses = 0.3 * (rng.random(most) < 0.1)
    syllables = np.cumsum(rng.uniform(0.14, 0.3, most) + pauses) - 0.14
    syllables = syllables[: np.searchsorted(syllables, seconds) + 1]
    size = rng.uniform(1.0, 1.25)  # of the vocal tract: men to children
    pitch = (110 if size < 1.1 else 200) * rng.uniform(0.8, 1.2)
    melody = np.exp(np.interp(times, syllables, rng.normal(0, 0.1, len(syllables))))
    sung = _vowels(times, syllables, size, pitch * melody, top, rng)
    loudness, hiss = _consonants(times, syllables, rng)
    vowels = sung * loudness
    noise = _noise(len(times), rng.uniform(3500, 6500), top, rng)
    wave = vowels / np.abs(vowels).max() + rng.uniform(0.05, 0.35) * hiss * noise
    return wave.astype(np.float32)


def _vowels(
    times: np.ndarray,
    syllables: np.ndarray,
    size: float,
    pitch: np.ndarray,
    top: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """One vowel a syllable, gliding into one another."""
    chosen = VOWELS[rng.integers(0, len(VOWELS), len(syllables))] * size
    knots = np.sort(np.concatenate([syllables + 0.03, syllables + 0.09]))
    moving = [np.interp(times, knots, np.repeat(chosen[:, k], 2)) for k in range(3)]
    formants = [*moving, *(np.full(len(times), size * upper) for upper in UPPER)]
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    out = np.zeros(len(times))
    for harmonic in range(1, int(top / pitch.min())):
        at = harmonic * pitch
        resonance = sum(
            strength / (1 + ((at - formant) / width) ** 2)
            for formant, width, strength in zip(formants, WIDTHS, STRENGTHS, strict=True)
        )
        out += np.where(at < top, resonance, 0.0) / harmonic**0.5 * np.sin(harmonic * phase)
    return out


def _consonants(
    times: np.ndarray, syllables: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Loudness of the vowels, and of the hisses before them."""
    loudness, hiss = np.zeros((2, len(times)))
    for start, end in pairwise(syllables):
        closed, length = rng.uniform(0.03, 0.1), min(end - start, 0.35)
        open_ = np.clip((times - start - closed) / (length - closed), 0, 1)
        loudness += np.minimum(1.0, 6 * open_ * (1 - open_)) * rng.uniform(0.4, 1.0)
        hissed = np.clip((times - start) / closed, 0, 1)
        hiss += np.sin(np.pi * hissed) * rng.choice([0.0, 0.0, 0.3, 1.0])
    return loudness, hiss


def _noise(length: int, middle: float, top: float, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.normal(0, 1, length))
    frequencies = np.fft.rfftfreq(length, 1 / RATE)
    shape = np.exp(-0.5 * ((frequencies - middle) / 1800) ** 2) * (frequencies < top)
    noise = np.fft.irfft(spectrum * shape, length)
    return noise / np.abs(noise).max()
