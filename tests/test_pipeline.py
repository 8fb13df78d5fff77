"""Deliver, and the whole way from a video to a finished one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.material import FOLDER
from tests.media.made import ebur128, frame_hashes
from v2a_foley import cuesheet
from v2a_foley.delivery import TRACK, deliver
from v2a_foley.errors import CueSheetError, FoleyError, InputError, MediaError
from v2a_foley.media.audio import read_audio
from v2a_foley.media.probe import probe
from v2a_foley.models.bundle import Models
from v2a_foley.pipeline import Result, default_output, foley
from v2a_foley.stems import stem_path

FAST = {"generation": {"steps": 4, "candidates": 1}}
BUNNY = FOLDER / "clips" / "big_buck_bunny.mp4"


@pytest.fixture(scope="module")
def made(three_shots: Path, starter: Models, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("made")
    return foley(
        three_shots, folder / "out.mp4", models=starter, sheet=folder / "out.cues.toml",
        stems=folder / "stems", overrides=FAST,
    )  # fmt: skip


def test_the_picture_is_untouched_and_the_length_the_same(made: Result, three_shots: Path) -> None:
    output = made.delivery.output
    assert frame_hashes(output) == frame_hashes(three_shots)
    assert probe(output).duration == pytest.approx(probe(three_shots).duration, abs=0.04)


def test_loudness_peak_and_no_silent_scene(made: Result) -> None:
    info = probe(made.delivery.output)
    audio = read_audio(info)
    loudness, peak = ebur128(audio)
    assert loudness == pytest.approx(-23, abs=1)
    assert peak <= -1 + 0.3
    for scene in made.sheet.scenes:
        part = audio[int(scene.start * 48_000) : int(scene.end * 48_000)]
        assert np.sqrt((part**2).mean()) > 10 ** (-60 / 20)


def test_stems_are_the_scenes_and_the_track(made: Result) -> None:
    stems = made.delivery.stems
    assert [path.name for path in stems] == ["001.wav", "002.wav", "003.wav", TRACK]
    infos = [soundfile.info(path) for path in stems]
    assert {(i.samplerate, i.subtype) for i in infos} == {(48_000, "PCM_24")}
    lengths = [scene.duration for scene in made.sheet.scenes]
    assert [i.duration for i in infos[:3]] == [pytest.approx(s, abs=1e-4) for s in lengths]
    assert infos[3].duration == pytest.approx(made.sheet.duration, abs=1e-4)


def test_a_second_run_reuses_everything(
    made: Result, three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    again = foley(three_shots, tmp_path / "again.mp4", models=starter, overrides=FAST)
    assert all(scene.cached for scene in again.scenes)
    old = read_audio(probe(made.delivery.output))
    assert np.abs(read_audio(probe(again.delivery.output)) - old).max() < 1e-3


def test_a_kept_sheet_is_used_with_its_edits(
    made: Result, three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    assert made.sheet.path is not None
    edited = tmp_path / "edited.cues.toml"
    quiet = replace(made.sheet.scenes[1], overrides={"mix": {"gain_db": -30.0}})
    scenes = (made.sheet.scenes[0], quiet, made.sheet.scenes[2])
    sheet = cuesheet.save(replace(made.sheet, scenes=scenes, path=edited), edited)
    from v2a_foley import frames

    frames.save(frames.load(made.sheet.artefacts), sheet.artefacts)
    result = foley(three_shots, tmp_path / "out.mp4", models=starter, sheet=edited, overrides=FAST)
    assert all(scene.cached for scene in result.scenes)

    def share(path: Path) -> float:
        """How loud the second scene is against the louder of its neighbours."""
        audio = read_audio(probe(path))
        first, second, third = [
            np.sqrt((audio[int(s.start * 48_000) + 9600 : int(s.end * 48_000) - 9600] ** 2).mean())
            for s in sheet.scenes
        ]
        return float(second / max(first, third))

    assert share(result.delivery.output) < 0.1 * share(made.delivery.output)


def test_a_sheet_of_another_video_is_refused(made: Result, starter: Models, tmp_path: Path) -> None:
    with pytest.raises(CueSheetError, match="belongs to another video"):
        foley(BUNNY, tmp_path / "out.mp4", models=starter, sheet=made.sheet.path)


@pytest.mark.parametrize("mode", ["mix", "duck"])
def test_the_original_sound_is_mixed_in(mode: str, starter: Models, tmp_path: Path) -> None:
    overrides = FAST | {"mix": {"mode": mode}}
    result = foley(BUNNY, tmp_path / "out.mp4", models=starter, overrides=overrides)
    replaced = foley(BUNNY, tmp_path / "replaced.mp4", models=starter, overrides=FAST)
    original = read_audio(probe(BUNNY)).mean(1)

    def likeness(path: Path) -> float:
        audio = read_audio(probe(path)).mean(1)[: len(original)]
        return abs(float(np.corrcoef(audio, original[: len(audio)])[0, 1]))

    assert likeness(result.delivery.output) > 3 * likeness(replaced.delivery.output) + 0.1


def test_missing_stem_and_missing_video(made: Result, tmp_path: Path) -> None:
    assert made.sheet.path is not None
    lost = replace(made.sheet, scenes=(replace(made.sheet.scenes[0], id="lost"),))
    with pytest.raises(CueSheetError, match=r"lost\.wav.*run 'v2a-foley render"):
        deliver(lost, tmp_path / "out.mp4")
    moved = replace(made.sheet, video=tmp_path / "moved.mp4")
    with pytest.raises(CueSheetError, match=r"moved\.mp4 is not there"):
        deliver(moved, tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_a_scene_whose_bounds_moved_wants_a_new_render(made: Result, tmp_path: Path) -> None:
    longer = replace(made.sheet.scenes[2], start=1.0)
    with pytest.raises(MediaError, match="does not fit scene 003 any more"):
        deliver(replace(made.sheet, scenes=(longer,)), tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_a_damaged_stem_is_named(made: Result, tmp_path: Path) -> None:
    stem = stem_path(made.sheet, made.sheet.scenes[0])
    whole = stem.read_bytes()
    try:
        stem.write_bytes(b"RIFF")
        with pytest.raises(MediaError, match=r"001\.wav: cannot be read"):
            deliver(made.sheet, tmp_path / "out.mp4")
    finally:
        stem.write_bytes(whole)
    assert not list(tmp_path.iterdir())


def test_existing_output_is_kept_unless_told(made: Result, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        deliver(made.sheet, target)
    assert target.read_text() == "precious"
    deliver(made.sheet, target, overwrite=True)
    assert probe(target).audio


def test_the_output_may_not_be_the_input(three_shots: Path, starter: Models) -> None:
    before = three_shots.read_bytes()
    with pytest.raises(InputError, match="is the input itself"):
        foley(three_shots, three_shots, models=starter, overwrite=True)
    assert three_shots.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["-v.mp4", "a:b.mp4", 'it\'s "quoted" & spaced.mp4', "\U0001f3ac.mp4", "new\nline.mp4"]
)
def test_awkward_names(
    name: str, three_shots: Path, starter: Models, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(three_shots.read_bytes())
    result = foley(Path(name), models=starter, overrides=FAST)
    assert result.delivery.output == default_output(Path(name))
    assert probe(result.delivery.output).audio


def test_a_run_leaves_nothing_but_its_output(
    three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(three_shots.read_bytes())
    foley(video, models=starter, overrides=FAST)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.foley.mp4", "clip.mp4"]


def test_bad_video_leaves_nothing(starter: Models, tmp_path: Path) -> None:
    video = tmp_path / "text.mp4"
    video.write_text("this is no video")
    with pytest.raises(FoleyError, match=r"text\.mp4"):
        foley(video, models=starter)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]
