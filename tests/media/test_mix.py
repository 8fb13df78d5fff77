from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.media.made import noise
from v2a_foley.errors import InputError
from v2a_foley.media.audio import RATE, Sound
from v2a_foley.media.mix import Duck, MixMode, Stem, assemble, combine, duck_under


def noise_stem(start: float, end: float, handle: float, seed: int) -> Stem:
    audio = noise(end - start + 2 * handle, seed=seed)[:, 0]
    return Stem(start, end, audio, handle)


def tone_stem(start: float, end: float, handle: float = 0.0, level: float = 0.5) -> Stem:
    """A slow tone that is not at zero where the stem begins or ends: a cut of it clicks."""
    time = np.arange(round((end - start + 2 * handle) * RATE)) / RATE
    return Stem(start, end, (level * np.cos(2 * np.pi * 60 * time)).astype(np.float32), handle)


def levels_db(audio: Sound, width: float) -> Sound:
    """Return the RMS level of each stretch of ``width`` seconds."""
    size = round(width * RATE)
    power = (audio[: len(audio) // size * size, 0].reshape(-1, size) ** 2).mean(axis=1)
    return 10 * np.log10(power + 1e-12)


@pytest.mark.parametrize("crossfade", [0.1, 0.5, 2.0])
def test_power_holds_across_crossfades(crossfade: float) -> None:
    stems = [noise_stem(3.0 * n, 3.0 * (n + 1), 1.0, n) for n in range(4)]
    audio = assemble(stems, 12.0, crossfade)
    inner = levels_db(audio, 0.05)[1:-1]  # 0.05 s of noise measures its level to 0.2 dB
    assert np.abs(inner - -20.0).max() < 1.0


@pytest.mark.parametrize("crossfade", [0.0, 0.001, 0.05, 1.0])
@pytest.mark.parametrize("handle", [0.0, 0.002, 0.5])
def test_no_click_at_any_cut(crossfade: float, handle: float) -> None:
    cuts = [0.0, 0.703, 0.72, 1.5, 3.0]
    stems = [tone_stem(a, b, handle) for a, b in pairwise(cuts)]
    audio = assemble(stems, 3.0, crossfade)
    tone_step = 0.5 * 2 * np.pi * 60 / RATE
    fade_step = 0.5 * np.pi / 2 / (0.004 * RATE)  # the steepest of a 4 ms fade
    assert np.abs(np.diff(audio[:, 0])).max() < 2 * (tone_step + fade_step)
    assert np.abs(audio[[0, -1]]).max() < 0.01


def test_a_hard_cut_with_handles_has_no_hole() -> None:
    stems = [noise_stem(0.0, 2.0, 0.1, 0), noise_stem(2.0, 4.0, 0.1, 1)]
    audio = assemble(stems, 4.0, 0.0)
    around = levels_db(audio[round(1.9 * RATE) : round(2.1 * RATE)], 0.005)
    assert around.min() > -22.5


def test_a_crossfade_is_centred_on_its_cut() -> None:
    left = Stem(0.0, 2.0, np.full(4 * RATE, 0.5, np.float32), 1.0)
    right = Stem(2.0, 4.0, np.full(4 * RATE, -0.5, np.float32), 1.0)
    audio = assemble([left, right], 4.0, 1.0)[:, 0]
    assert audio[2 * RATE] == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose(audio[RATE : round(1.499 * RATE)], 0.5)
    np.testing.assert_allclose(audio[round(2.501 * RATE) : 3 * RATE], -0.5)


def test_a_crossfade_moves_to_the_side_that_has_a_handle() -> None:
    left = Stem(0.0, 2.0, np.full(4 * RATE, 0.5, np.float32), 1.0)
    right = Stem(2.0, 4.0, np.full(2 * RATE, -0.5, np.float32), 0.0)
    audio = assemble([left, right], 4.0, 1.0)[:, 0]
    np.testing.assert_allclose(audio[RATE : 2 * RATE - 1], 0.5)
    assert audio[round(2.5 * RATE)] == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose(audio[round(3.001 * RATE) : round(3.9 * RATE)], -0.5)


def test_a_crossfade_shrinks_to_a_short_scene() -> None:
    stems = [
        Stem(0.0, 2.0, np.full(4 * RATE, 0.5, np.float32), 1.0),
        Stem(2.0, 2.2, np.full(round(2.2 * RATE), 0.5, np.float32), 1.0),
        Stem(2.2, 4.0, np.full(round(3.8 * RATE), 0.5, np.float32), 1.0),
    ]
    audio = assemble(stems, 4.0, 2.0)[:, 0]
    np.testing.assert_allclose(audio[RATE // 2 : round(1.899 * RATE)], 0.5)
    assert audio[2 * RATE] == pytest.approx(0.5 * 2**0.5, abs=1e-3)
    assert audio[round(2.1 * RATE)] == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(audio[round(2.301 * RATE) : round(3.9 * RATE)], 0.5)


@pytest.mark.parametrize("duration", [1.0, 1 / 3, 2.5000001, 10.0104])
def test_length_is_exact(duration: float) -> None:
    stem = tone_stem(0.0, duration)
    assert assemble([stem], duration).shape == (round(duration * RATE), 2)
    assert assemble([], duration).shape == (round(duration * RATE), 2)


def test_silence_between_scenes_and_around_them() -> None:
    stems = iter([tone_stem(1.0, 2.0, 0.5), tone_stem(3.0, 4.0, 0.5)])
    audio = assemble(stems, 5.0, 0.2)
    assert not audio[: round(0.99 * RATE)].any()
    assert not audio[round(2.11 * RATE) : round(2.89 * RATE)].any()
    assert not audio[round(4.11 * RATE) :].any()
    assert np.abs(np.diff(audio[:, 0])).max() < 0.01


def test_channels_and_a_crossfade_for_each_cut() -> None:
    wide = np.stack([np.full(RATE, 0.4), np.full(RATE, 0.2)], axis=1).astype(np.float32)
    stems = [Stem(0.0, 1.0, wide * np.float32(0.5)), tone_stem(1.0, 2.0), tone_stem(2.0, 3.0)]
    audio = assemble(stems, 3.0, [0.0, 0.2])
    np.testing.assert_allclose(audio[RATE // 2], [0.2, 0.1], atol=1e-4)
    np.testing.assert_array_equal(audio[RATE:, 0], audio[RATE:, 1])


@pytest.mark.parametrize(
    ("stems", "message"),
    [
        ([tone_stem(0.0, 1.5), tone_stem(1.0, 2.0)], "overlaps"),
        ([tone_stem(1.0, 2.5)], "within"),
        ([Stem(0.0, 2.0, np.zeros(RATE, np.float32))], "1.000 s of sound"),
    ],
)
def test_stems_that_do_not_fit(stems: list[Stem], message: str) -> None:
    with pytest.raises(InputError, match=message):
        assemble(stems, 2.0)


def test_replace_and_mix() -> None:
    foley, original = noise(0.1, seed=1), noise(0.1, seed=2)
    assert combine(foley, original, MixMode.REPLACE) is foley
    np.testing.assert_array_equal(combine(foley, original, MixMode.MIX), foley + original)
    assert combine(foley, None, MixMode.DUCK) is foley
    with pytest.raises(InputError, match="one length"):
        combine(foley, original[:-1], MixMode.MIX)


def test_ducking_by_the_depth_while_the_original_is_loud() -> None:
    foley, original = noise(6.0, seed=1), np.zeros((6 * RATE, 2), np.float32)
    original[2 * RATE : 4 * RATE, 1] = noise(2.0, seed=2)[:, 0]  # loud on one side only
    duck = Duck(threshold_db=-40.0, depth_db=9.0, attack=0.02, release=0.2)
    rest = combine(foley, original, MixMode.DUCK, duck=duck) - original
    change = levels_db(rest, 0.1) - levels_db(foley, 0.1)
    np.testing.assert_allclose(change[:19], 0.0, atol=0.05)  # until just before it starts
    np.testing.assert_allclose(change[20:39], -9.0, atol=0.2)
    np.testing.assert_allclose(change[46:], 0.0, atol=0.2)  # after the release
    assert np.abs(np.diff(change)).max() <= 9.1


def speech(level: float, loud: Sound) -> Sound:
    """Eight sentences of syllables that differ by 12 dB; ``loud`` marks when one sounds."""
    rng, audio, at = np.random.default_rng(0), noise(len(loud) / RATE, 3e-5, seed=5), RATE
    time = np.arange(round(0.15 * RATE)) / RATE
    syllable = np.hanning(len(time)) * sum(
        np.sin(2 * np.pi * 150 * h * time) / h for h in range(1, 9)
    )
    for _ in range(8):
        for _ in range(10):
            part = slice(at, at + len(time))
            audio[part] += (level * 10 ** (rng.uniform(-12, 0) / 20) * syllable)[:, np.newaxis]
            loud[part] = True
            at += len(time) + round(rng.uniform(0, 0.05) * RATE)
        at += RATE
    return audio


@pytest.mark.parametrize("level", [0.2, 0.02])
def test_speech_stays_intelligible_over_ducked_foley(level: float) -> None:
    loud = np.zeros(25 * RATE, bool)
    original, foley = speech(level, loud), noise(25.0, 0.05)
    duck = duck_under(foley, original, 12.0)
    rest = combine(foley, original, MixMode.DUCK, duck=duck) - original

    def power(audio: Sound, where: Sound) -> float:
        return 10 * np.log10(np.square(audio[where], dtype=np.float64).mean())

    assert power(original, loud) - power(rest, loud) > 12.0
    pause = levels_db(rest, 0.1)[: round(0.9 * 10)]
    np.testing.assert_allclose(pause, levels_db(foley, 0.1)[: len(pause)], atol=0.2)


def test_ducking_leaves_foley_alone_under_the_threshold() -> None:
    foley, original = noise(2.0, seed=1), noise(2.0, level=0.001, seed=2)
    mixed = combine(foley, original, MixMode.DUCK)
    np.testing.assert_allclose(mixed, foley + original, atol=1e-3)


def test_duck_values_out_of_range() -> None:
    sound = noise(0.1)
    with pytest.raises(InputError, match="duck"):
        combine(sound, sound, MixMode.DUCK, duck=Duck(depth_db=-3.0))
