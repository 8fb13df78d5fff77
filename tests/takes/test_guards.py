from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.material import material
from tests.tunes import INSTRUMENTS, tune
from tests.tunes import RATE as TUNE_RATE
from v2a_foley.media.audio import RATE
from v2a_foley.models.bundle import Models
from v2a_foley.takes.guards import Guard, fault, is_silent, offence


def noise(level: float, seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, round(seconds * RATE)).astype(np.float32)


def heard(models: Models, kind: str) -> np.ndarray:
    """Embeddings of the test material of a kind."""
    rows = []
    for path in material(kind):
        wave, rate = soundfile.read(path, dtype="float32")
        rows.append(models.clap.sounds([wave[: 5 * rate]], rate))
    return np.concatenate(rows)


@pytest.mark.parametrize("rate", [16_000, RATE])
def test_silence_is_what_is_nowhere_loud(rate: int):
    assert is_silent(np.zeros(rate, np.float32), rate)
    assert is_silent(noise(3e-4), rate)
    assert not is_silent(noise(3e-3), rate)
    click = noise(3e-4)
    click[100:400] = 0.1
    assert not is_silent(click, rate)
    assert is_silent(click[:0], rate)
    assert not is_silent(noise(1.0)[:100], rate)


@pytest.mark.parametrize("gain", [3.0, 10.0])
def test_cut_off_tops_are_clipped(gain: float):
    sound, rate = soundfile.read(material("sounds")[0], dtype="float32")
    loud = gain * sound / np.abs(sound).max()
    assert fault(np.clip(loud, -1, 1), rate) == "clipped"
    assert fault(sound / np.abs(sound).max(), rate) == ""
    assert fault(loud, rate) == ""  # beyond full scale, but whole: it is set to a level later


def test_a_wave_beside_zero_and_one_that_is_not_heard():
    assert fault(noise(0.1) + np.float32(0.3), RATE) == "dc"
    assert fault(noise(0.1) + np.float32(0.02), RATE) == ""
    assert fault(noise(3e-4), RATE) == "silent"
    assert fault(noise(3e-4) + np.float32(0.3), RATE) == "silent"
    assert fault(np.zeros(0, np.float32), RATE) == "silent"


def test_recordings_have_no_fault():
    for path in material("sounds"):
        wave, rate = soundfile.read(path, dtype="float32")
        assert fault(wave, rate) == "", path.name


def test_an_offence_is_what_is_guarded_against():
    assert offence(0.9, 0.1, ["music", "speech"]) == "speech"
    assert offence(0.1, 0.9, ["music", "speech"]) == "music"
    assert offence(0.9, 0.1, ["music"]) == ""
    assert offence(0.9, 0.9, []) == ""
    assert offence(None, None, ["music", "speech"]) == ""
    assert offence(0.4, 0.4, ["music", "speech"]) == ""


def test_captions_of_speech_and_music_score_high_and_others_low(starter: Models):
    said = starter.clap.texts(
        ["a man speaking", "a song with guitars", "heavy rain", "a dog barks"]
    )
    scores = Guard(starter.clap.texts).scores(said)
    assert scores.shape == (4, 2)
    assert scores[0, 0] > 0.5 > scores[0, 1]
    assert scores[1, 1] > 0.5 > scores[1, 0]
    assert (scores[2:] < 0.3).all()


def test_real_speech_and_made_music_are_told_from_real_sounds(starter: Models):
    guard = Guard.of(starter)
    speech, others = guard.scores(heard(starter, "voices")), guard.scores(heard(starter, "sounds"))
    tunes = [tune(name, 0, drums=drums) for name in INSTRUMENTS for drums in (False, True)]
    music = guard.scores(starter.clap.sounds(tunes, TUNE_RATE))
    assert (speech.max(1) > 0.5).all()
    assert (speech[:, 0] > 0.5).sum() >= 2
    assert (music[:, 1] > 0.5).all()
    assert (music[:, 0] < 0.5).all()
    assert (others < 0.5).all()
