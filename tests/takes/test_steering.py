from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.material import FOLDER
from v2a_foley import frames, presets
from v2a_foley.cuesheet import Scene
from v2a_foley.errors import CueSheetError, ModelError
from v2a_foley.models.bundle import Models
from v2a_foley.takes import steering

SCENE = Scene("001", 0.0, 2.0, "default", 7)
DOG = FOLDER / "pictures" / "dog_1.jpg"
ROOSTER = FOLDER / "sounds" / "rooster_1.ogg"


@pytest.fixture(scope="module")
def seen(starter: Models) -> frames.Frames:
    """Four frames of a cow."""
    picture = steering._picture(FOLDER / "pictures" / "cow_1.jpg", SCENE)
    table = starter.clip.images([picture] * 4)
    none = np.zeros(0, np.float32)
    return frames.Frames(np.arange(4) / 2.0, table, none, none, starter.pack.clip_id)


def condition(
    starter: Models, seen: frames.Frames, folder: Path = FOLDER, **generation: object
) -> steering.Condition:
    base = presets.find(presets.DEFAULT)
    preset = presets.with_overrides(base, {"generation": generation})
    return steering.condition(SCENE, preset, 0.0, seen, starter, [folder, FOLDER / "sounds"])


def nearness(one: steering.Condition, text: str, starter: Models) -> float:
    return float(one.embeddings.mean(0) @ starter.clap.texts([text])[0])


def test_conditions_are_unit_vectors_one_a_window(starter: Models, seen: frames.Frames) -> None:
    plain = condition(starter, seen)
    assert plain.embeddings.shape == (1, 512)
    assert np.allclose(np.linalg.norm(plain.embeddings, axis=1), 1, atol=1e-5)


def test_a_prompt_pulls_by_its_weight(starter: Models, seen: frames.Frames) -> None:
    text = "heavy rain on a tin roof"
    near = [
        nearness(condition(starter, seen, prompt=text, prompt_weight=w), text, starter)
        for w in (0.0, 0.5, 1.0)
    ]
    assert near[0] < near[1] < near[2]
    assert near[2] == pytest.approx(1, abs=1e-4)
    plain = condition(starter, seen).embeddings
    ignored = condition(starter, seen, prompt=text, prompt_weight=0.0)
    assert (ignored.embeddings == plain).all()


def test_a_picture_and_a_sound_can_be_the_reference(starter: Models, seen: frames.Frames) -> None:
    picture = condition(starter, seen, reference="pictures/dog_1.jpg", reference_weight=1.0)
    assert nearness(picture, "a dog barking", starter) > nearness(
        condition(starter, seen), "a dog barking", starter
    )
    heard = condition(starter, seen, reference="sounds/rooster_1.ogg", reference_weight=1.0)
    own = starter.clap.sounds([steering._sound(ROOSTER, SCENE)], 48_000)[0]
    assert float(heard.embeddings[0] @ own) == pytest.approx(1, abs=1e-4)
    assert picture.inputs["reference"] != heard.inputs["reference"]


def test_the_second_folder_is_the_video_s(starter: Models, seen: frames.Frames) -> None:
    near = condition(starter, seen, FOLDER, reference="sounds/rooster_1.ogg")
    assert (condition(starter, seen, reference="rooster_1.ogg").embeddings == near.embeddings).all()


def test_another_mapper_for_one_scene(starter: Models, seen: frames.Frames) -> None:
    plain = condition(starter, seen)
    other = condition(starter, seen, mapper="regression")
    assert not np.allclose(plain.embeddings, other.embeddings)
    assert plain.inputs["mapper"] != other.inputs["mapper"]
    assert (condition(starter, seen, mapper="blend").embeddings == plain.embeddings).all()
    whole = Models("starter", "cpu", Path("regression"))
    assert np.allclose(condition(whole, seen).embeddings, other.embeddings, atol=1e-5)
    with pytest.raises(ModelError, match=r"mine\.safetensors: .*no such mapper.*; scene 001"):
        condition(starter, seen, mapper="mine.safetensors")


def test_references_that_cannot_be_used(
    starter: Models, seen: frames.Frames, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    (tmp_path / "broken.jpg").write_bytes(DOG.read_bytes()[:200])
    with wave.open(str(tmp_path / "silent.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(9600))
    for name, words in {
        "gone.wav": "gone.wav: the reference of scene 001 is not there",
        "notes.txt": "notes.txt: no sound can be read",
        "broken.jpg": "broken.jpg: the reference of scene 001 cannot be read as a picture",
        "silent.wav": "silent.wav: no sound can be read",
    }.items():
        with pytest.raises(CueSheetError, match=words):
            condition(starter, seen, tmp_path, reference=name)
    deaf = Models("starter", "cpu")
    deaf.pack = replace(deaf.pack, clap_audio=None)
    with pytest.raises(CueSheetError, match="has no CLAP audio tower to hear it"):
        condition(deaf, seen, reference="sounds/rooster_1.ogg")
