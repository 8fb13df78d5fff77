from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.material import FOLDER
from tests.media.clips import shots
from v2a_foley import cuesheet, frames
from v2a_foley.errors import CueSheetError, FoleyError, PresetError
from v2a_foley.models.bundle import Models
from v2a_foley.spotting import SpotSettings, detect, spot, tag

BUNNY = FOLDER / "clips" / "big_buck_bunny.mp4"


def test_scenes_of_made_shots(three_shots: Path, starter: Models, tmp_path: Path) -> None:
    sheet = spot(three_shots, tmp_path / "a.cues.toml", models=starter, seed=5)
    bounds = [(scene.start, scene.end) for scene in sheet.scenes]
    assert bounds == [pytest.approx(b, abs=0.041) for b in [(0, 1.2), (1.2, 3.2), (3.2, 4.0)]]
    assert sheet == cuesheet.load(tmp_path / "a.cues.toml")
    assert [scene.seed for scene in sheet.scenes] == [
        cuesheet.derive_seed(5, scene.id) for scene in sheet.scenes
    ]
    assert all(len(scene.tags) == 5 and scene.tags[0].score > 0 for scene in sheet.scenes)


def test_frames_are_kept_beside_the_sheet(
    three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    sheet = spot(three_shots, tmp_path / "a.cues.toml", models=starter)
    seen = frames.load(sheet.artefacts)
    assert seen.clip_id == starter.pack.clip_id
    assert (np.diff(seen.times) > 0).all()
    assert np.linalg.norm(seen.embeddings, axis=1) == pytest.approx(1.0, abs=1e-4)
    for scene in sheet.scenes:
        inside = (seen.times >= scene.start) & (seen.times < scene.end)
        assert inside.sum() >= 3
    assert len(seen.motion) == len(seen.motion_times) > 50


def test_a_second_spotting_sees_the_same(
    three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    one = spot(three_shots, tmp_path / "one.cues.toml", models=starter)
    two = spot(three_shots, tmp_path / "two.cues.toml", models=starter)
    assert [s.tags for s in one.scenes] == [s.tags for s in two.scenes]
    first, second = frames.load(one.artefacts), frames.load(two.artefacts)
    assert (first.embeddings == second.embeddings).all()


def test_a_preset_by_name_is_every_scene_s(
    three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    sheet = spot(three_shots, tmp_path / "a.cues.toml", models=starter, preset="subtle")
    assert {scene.preset for scene in sheet.scenes} == {"subtle"}
    assert sheet.preset == "subtle"
    with pytest.raises(PresetError, match="subtel"):
        spot(three_shots, tmp_path / "b.cues.toml", models=starter, preset="subtel")
    assert not (tmp_path / "b.cues.toml").exists()


def test_detection_alone_and_its_settings(tmp_path: Path) -> None:
    clip = shots(tmp_path / "clip.mp4", [1.0, 0.4, 1.0])
    assert len(detect(clip, SpotSettings(min_scene=0.2))) == 3
    assert len(detect(clip, SpotSettings(min_scene=0.8))) == 2
    with pytest.raises(FoleyError, match="detector"):
        detect(clip, SpotSettings(detector="magic"))


def test_a_real_clip_is_one_scene_of_an_animal_or_nature(starter: Models, tmp_path: Path) -> None:
    sheet = spot(BUNNY, tmp_path / "bunny.cues.toml", models=starter)
    assert len(sheet.scenes) == 1
    assert sheet.duration == pytest.approx(5.28, abs=0.05)
    assert sum(t.score for t in sheet.scenes[0].tags) <= 1.0


def test_tags_of_a_phrase_are_its_concept(starter: Models) -> None:
    embedding = starter.clip.phrases(["a helicopter flying over a city"])[0]
    assert any("helicopter" in each.concept for each in tag(embedding, starter))


def test_missing_frames_are_asked_for(three_shots: Path, starter: Models, tmp_path: Path) -> None:
    sheet = spot(three_shots, tmp_path / "a.cues.toml", models=starter)
    (sheet.artefacts / frames.NAME).write_bytes(b"damaged")
    with pytest.raises(CueSheetError, match="run 'v2a-foley spot'"):
        frames.load(sheet.artefacts)
