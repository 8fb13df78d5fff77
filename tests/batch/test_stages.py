from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.media.clips import shots
from v2a_foley import cuesheet
from v2a_foley.batch.job import Job, Task
from v2a_foley.batch.stages import delivered, frugal, rendered, spotted, summary
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import CueSheetError
from v2a_foley.models.bundle import Models
from v2a_foley.rendering import RenderedScene
from v2a_foley.spotting import spot

JOB = Job("starter", device="cpu", overrides={"generation": {"steps": 2, "candidates": 1}})


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shots(tmp_path_factory.mktemp("video") / "clip.mp4", [0.8, 1.0])


def task(folder: Path, video: Path, **values: Any) -> Task:
    return Task("clip.foley.mp4", str(video), str(folder / "work"), ".mp4", **values)


def sheets(folder: Path, video: Path, models: Models, count: int) -> list[CueSheet]:
    return [
        spotted(task(folder / str(seed), video, seed=seed), JOB, models) for seed in range(count)
    ]


def test_a_file_from_end_to_end_leaves_the_finished_one_alone(
    video: Path, starter: Models, tmp_path: Path
):
    one = task(tmp_path, video, preset="city", seed=5, settings={"mix": {"loudness": -16.0}})
    sheet = spotted(one, JOB, starter)
    assert (sheet.preset, sheet.seed) == ("city", 5)
    ((_, scenes),) = rendered([sheet], JOB, starter)
    assert isinstance(scenes, list)
    told = summary(sheet, scenes, delivered(one, JOB, sheet))
    assert told["loudness"]["integrated"] == pytest.approx(-16, abs=1)
    assert (told["scenes"], told["cached"]) == (2, 0)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["made.mp4"]
    assert one.made.is_file()


def test_a_clips_own_sheet_is_used_from_anywhere(video: Path, starter: Models, tmp_path: Path):
    own = spot(video, tmp_path / "own" / "clip.cues.toml", models=starter, seed=3)
    preset = tmp_path / "own" / "mine.toml"
    preset.write_text('name = "mine"\n[mix]\ngain_db = -6.0\n')
    edited = replace(own, scenes=(replace(own.scenes[1], preset="mine.toml"),))
    path = cuesheet.save(edited, own.path).path
    before = sorted((tmp_path / "own").rglob("*"))
    given = task(tmp_path, video, sheet=str(path), settings={"mix": {"mode": "replace"}})
    for frames_are_there in (True, False):
        sheet = spotted(given, JOB, starter)
        assert [scene.id for scene in sheet.scenes] == ["002"]
        assert sheet.scenes[0].preset == str(preset)
        assert sheet.artefacts == tmp_path / "work" / "clip.cues"
        ((_, made),) = rendered([sheet], JOB, starter)
        assert isinstance(made, list), made
        if frames_are_there:
            assert sorted((tmp_path / "own").rglob("*")) == before
            (own.artefacts / "frames.safetensors").unlink()


def test_a_sheet_of_another_video_is_refused(video: Path, starter: Models, tmp_path: Path):
    own = spot(video, tmp_path / "clip.cues.toml", models=starter)
    other = shots(tmp_path / "other.mp4", [0.5])
    with pytest.raises(CueSheetError, match="belongs to another video"):
        spotted(task(tmp_path, other, sheet=str(own.path)), JOB, starter)


def test_files_rendered_together_sound_as_alone_and_fail_alone(
    video: Path, starter: Models, tmp_path: Path
):
    good, bad, other = sheets(tmp_path, video, starter, 3)
    (bad.artefacts / "frames.safetensors").unlink()
    made = {sheet.seed: result for sheet, result in rendered([good, bad, other], JOB, starter)}
    assert isinstance(made[1], CueSheetError)
    again = sheets(tmp_path / "alone", video, starter, 3)
    for seed in (0, 2):
        ((_, alone),) = rendered([again[seed]], JOB, starter)
        assert stems(alone) == stems(made[seed])


def stems(made: list[RenderedScene] | Exception) -> list[bytes]:
    assert isinstance(made, list), made
    return [scene.stem.read_bytes() for scene in made]


@pytest.fixture
def small_memory(starter: Models, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A generator that has no memory for more than two requests at once; the sizes it tried."""
    generator, tried = starter.generator, []
    denoise = generator._denoise

    def limited(requests: list[Any], *rest: Any) -> Any:
        tried.append(len(requests))
        if len(requests) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return denoise(requests, *rest)

    monkeypatch.setattr(generator, "_denoise", limited)
    monkeypatch.setattr(generator, "_batch", 8)
    return tried


def test_batches_are_halved_until_they_fit(
    video: Path, starter: Models, tmp_path: Path, small_memory: list[int]
):
    job = replace(JOB, overrides={"generation": {"steps": 3, "candidates": 4}})
    two = sheets(tmp_path, video, starter, 2)
    made = {sheet.seed: scenes for sheet, scenes in rendered(two, job, starter)}
    assert all(isinstance(scenes, list) and len(scenes) == 2 for scenes in made.values()), made
    assert starter.generator._batch == 2
    assert max(small_memory) == 8


def test_what_never_fits_fails_and_ends(
    video: Path, starter: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(starter.generator, "_denoise", never)
    monkeypatch.setattr(starter.generator, "_batch", 4)
    job = replace(JOB, overrides={"generation": {"steps": 5, "candidates": 1}})
    made = [result for _, result in rendered(sheets(tmp_path, video, starter, 2), job, starter)]
    assert len(made) == 2
    assert all("memory is too small for one window" in str(result) for result in made)


def test_memory_that_was_short_for_once():
    tries = []

    def work() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 7

    assert frugal(work) == 7
    with pytest.raises(ValueError, match="other"):
        frugal(lambda: (_ for _ in ()).throw(ValueError("other")))
