from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.library.conftest import Notes
from tests.library.made import RATE, put, rain, real
from v2a_foley.errors import InputError, ModelError
from v2a_foley.library import Library, open_library
from v2a_foley.library.adding import add, remove
from v2a_foley.models.bundle import Models


@pytest.fixture
def library(starter: Models, sounds: Path, notes: Notes) -> Library:
    """The library of five recordings."""
    add([sounds], models=starter)
    return open_library(starter, notes)


def said(models: Models, text: str) -> np.ndarray:
    return models.clap.texts([text])[0]


def heard(models: Models, wave: np.ndarray) -> np.ndarray:
    return models.clap.sounds([wave], RATE)[0]


def names(library: Library, condition: np.ndarray, seed: int) -> list[str]:
    return [Path(each.file.path).stem for each in library.choose(condition, seed)]


def test_recordings_are_found_by_words_and_by_sound(starter: Models, library: Library):
    for text, name in {
        "a rooster crowing": "rooster_1", "thunder": "thunder_1",
        "an audience applauding": "applause_1", "glass breaking": "glass_1",
    }.items():  # fmt: skip
        found = library.search(said(starter, text), 3)
        assert len(found) == 3
        assert Path(found[0].piece.file.path).stem == name
        assert found[0].cosine > 0.35
        assert found[0].cosine >= found[1].cosine >= found[2].cosine
    (first,) = library.search(heard(starter, real("glass_1")), 1)
    assert (first.piece.file.path, first.cosine > 0.8) == ("house/glass_1.ogg", True)
    assert len(library.search(said(starter, "rain"), 99)) == 5


@pytest.mark.parametrize(("seconds", "rate"), [(0.4, 48_000), (2.5, 16_000), (11.0, 48_000)])
def test_a_take_has_the_length_and_the_rate_that_are_asked_for(
    starter: Models, library: Library, seconds: float, rate: int
):
    for text in ("a rooster crowing", "an audience applauding", "thunder"):
        wave, credits = library.take(said(starter, text), seconds, rate, 3)
        assert (wave.shape, wave.dtype) == ((round(seconds * rate),), np.float32)
        assert np.isfinite(wave).all()
        assert np.abs(wave).max() > 0.01
        assert len(credits) == 1


def test_a_take_sounds_like_what_was_asked_for(starter: Models, library: Library):
    for name in ("rooster_1", "applause_1", "thunder_1"):
        condition = heard(starter, real(name))
        wave, _ = library.take(condition, 8.0, RATE, 1)
        others = [heard(starter, real(o)) for o in ("glass_1", "door_1")]
        like = heard(starter, wave)
        assert like @ condition > 0.6
        assert like @ condition > max(like @ other for other in others) + 0.2


def test_what_is_used_is_credited(starter: Models, library: Library, sounds: Path):
    _, credits = library.take(said(starter, "glass breaking"), 1.0, RATE, 1)
    assert credits == (
        {
            "label": "glass_1",
            "caption": "house/glass_1.ogg",
            "made": "recorded",
            "licence": "CC-BY-SA-3.0",
            "package": "sounds",
            "path": str(sounds / "house" / "glass_1.ogg"),
        },
    )
    (sounds / "LICENSE").unlink()
    add([sounds], models=starter)
    _, credits = open_library(starter).take(said(starter, "glass breaking"), 1.0, RATE, 1)
    assert credits[0]["licence"] == "not stated"


def test_the_seed_varies_among_about_equally_near_ones(starter: Models, sounds: Path):
    wave = real("rooster_1")
    for number in range(8):  # the same bird on other days
        soundfile.write(sounds / f"bird {number}.wav", wave * (0.5 + 0.05 * number), RATE)
    add([sounds], models=starter)
    library = open_library(starter)
    condition = heard(starter, wave)
    orders = [names(library, condition, seed) for seed in range(8)]
    assert all(set(order) <= {"rooster_1", *(f"bird {n}" for n in range(8))} for order in orders)
    assert len({order[0] for order in orders}) > 2
    assert names(library, condition, 3) == orders[3]
    takes = {seed: library.take(condition, 6.0, RATE, seed) for seed in (1, 2)}
    again, credits = open_library(starter).take(condition, 6.0, RATE, 1)
    assert (takes[1][0] == again).all()
    assert takes[1][1] == credits
    assert (takes[1][0] != takes[2][0]).any()
    assert 1 < len(credits) <= 3  # events of several birds


def test_a_long_scene_takes_a_long_stretch(starter: Models, tmp_path: Path):
    folder = tmp_path / "long"
    folder.mkdir()
    other = np.tile(real("rooster_1"), 8)[: 10 * RATE]
    wave = np.concatenate([other, rain(40.0), other])
    soundfile.write(folder / "rain.wav", wave, RATE, subtype="FLOAT")
    add([folder], models=starter)
    library = open_library(starter)
    condition = heard(starter, rain(5.0))
    made, _ = library.take(condition, 25.0, RATE, 2)
    size = 1 << (len(wave) + len(made)).bit_length()
    products = np.fft.irfft(np.fft.rfft(wave, size) * np.conj(np.fft.rfft(made, size)), size)
    at = int(products.argmax())
    assert 10 * RATE <= at <= 25 * RATE
    part = wave[at : at + len(made)]
    inner = slice(RATE, -RATE)
    assert np.abs(part[inner] - part.mean() - made[inner]).max() < 0.01  # not looped, not mixed


def test_the_far_are_used_and_told_of(starter: Models, library: Library, notes: Notes):
    library.take(said(starter, "thunder"), 2.0, RATE, 1)
    assert notes.said == []
    wave, credits = library.take(said(starter, "a helicopter"), 2.0, RATE, 1)
    assert len(wave) == 2 * RATE
    (note,) = notes.said
    assert note.startswith("sound library: nothing in it is near: ")
    assert credits[0]["caption"] in note


def test_a_file_that_is_gone_is_passed_over(
    starter: Models, library: Library, sounds: Path, notes: Notes
):
    condition = heard(starter, real("rooster_1"))
    assert names(library, condition, 0)[0] == "rooster_1"
    (sounds / "rooster_1.ogg").unlink()
    _, credits = library.take(condition, 2.0, RATE, 0)
    assert credits[0]["label"] != "rooster_1"
    told = [note for note in notes.said if "rooster_1.ogg: is not there" in note]
    assert len(told) == 1
    assert "library refresh" in told[0]
    library.take(condition, 2.0, RATE, 1)
    assert len([note for note in notes.said if "rooster_1.ogg" in note]) == 1
    for path in sounds.rglob("*.ogg"):
        path.unlink()
    with pytest.raises(InputError, match=r"nothing to use.*library refresh"):
        library.take(condition, 2.0, RATE, 0)


def test_a_file_that_was_changed_is_passed_over(
    starter: Models, library: Library, sounds: Path, notes: Notes
):
    condition = heard(starter, real("rooster_1"))
    os.utime(sounds / "rooster_1.ogg", (1e9, 1e9))  # another time, the same bytes
    assert names(library, condition, 0)[0] == "rooster_1"
    put(sounds / "rooster_1.ogg", "cat_1")
    assert names(library, condition, 0)[0] != "rooster_1"
    assert any("was changed since it was indexed" in note for note in notes.said)


def test_a_file_that_cannot_be_read_any_more_is_passed_over(
    starter: Models, library: Library, sounds: Path, notes: Notes
):
    path = sounds / "rooster_1.ogg"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    _, credits = library.take(heard(starter, real("rooster_1")), 2.0, RATE, 0)
    assert credits[0]["label"] != "rooster_1"
    assert any("rooster_1.ogg: cannot be read" in note for note in notes.said)


def test_there_is_no_library(starter: Models, sounds: Path):
    with pytest.raises(InputError, match=r"no sound library.*library add FOLDER"):
        open_library(starter)
    add([sounds], models=starter)
    remove(["sounds"], starter.pack)
    library = open_library(starter)
    assert library.search(said(starter, "rain"), 3) == []
    with pytest.raises(InputError, match="nothing to use: it is empty"):
        library.take(said(starter, "rain"), 2.0, RATE, 0)


def test_a_condition_of_another_clap_is_refused(library: Library):
    with pytest.raises(InputError, match="512 dimensions"):
        library.take(np.ones(768, np.float32), 2.0, RATE, 0)


def test_a_pack_without_an_audio_tower_has_no_library(starter: Models):
    from dataclasses import replace

    models = Models("starter", "cpu")
    models.pack = replace(starter.pack, clap_audio=None)
    with pytest.raises(ModelError, match="no CLAP audio tower"):
        open_library(models)
