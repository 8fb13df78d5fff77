from __future__ import annotations

import numpy as np

from tests.pairs.made import recording
from v2a_foley.guards import Guard, is_silent
from v2a_foley.media.audio import RATE
from v2a_foley.media.sounds import read_sound
from v2a_foley.models.bundle import Models


def test_silence_is_what_is_nowhere_loud():
    noise = np.random.default_rng(0).normal(0, 1, RATE).astype(np.float32)
    assert is_silent(np.zeros(RATE, np.float32))
    assert is_silent(noise * 3e-4)
    assert not is_silent(noise * 3e-3)
    click = noise * 3e-4
    click[100:400] = 0.1
    assert not is_silent(click)
    assert is_silent(click[:0])
    assert not is_silent(noise[:100])


def test_speech_and_music_score_high_and_other_sounds_low(starter: Models):
    guard = Guard(starter.clap.texts)
    said = starter.clap.texts(
        ["a man speaking", "a song with guitars", "heavy rain", "a dog barks"]
    )
    scores = guard.scores(said)
    assert scores.shape == (4, 2)
    assert scores[0, 0] > 0.5 > scores[0, 1]
    assert scores[1, 1] > 0.5 > scores[1, 0]
    assert (scores[2:] < 0.3).all()
    names = ("thunder_1", "glass_1", "fire_1", "splash_1", "footsteps_1")
    sounds = [read_sound(recording(name))[: 5 * RATE] for name in names]
    assert (guard.scores(starter.clap.sounds(sounds, RATE)) < 0.5).all()
