from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from v2a_foley import cuesheet, frames
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import ModelError
from v2a_foley.models.bundle import Models
from v2a_foley.rendering import handles, render
from v2a_foley.spotting import spot

FAST = {"generation": {"steps": 4, "candidates": 1}}


@pytest.fixture
def sheet(three_shots: Path, starter: Models, tmp_path: Path) -> CueSheet:
    return spot(three_shots, tmp_path / "a.cues.toml", models=starter, preset="default", seed=9)


def sound(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def test_a_stem_a_scene_with_handles(sheet: CueSheet, starter: Models) -> None:
    rendered = render(sheet, models=starter, overrides=FAST)
    assert [scene.id for scene in rendered] == ["001", "002", "003"]
    for scene, result in zip(sheet.scenes, rendered, strict=True):
        info = soundfile.info(result.stem)
        assert (info.samplerate, info.subtype) == (48_000, "PCM_24")
        assert result.seconds == pytest.approx(scene.duration + 0.25)
        assert info.frames == round(result.seconds * 48_000)
        assert np.sqrt((sound(result.stem) ** 2).mean()) > 10 ** (-45 / 20)


def test_nothing_changed_renders_nothing(sheet: CueSheet, starter: Models) -> None:
    first = render(sheet, models=starter, overrides=FAST)
    before = [sound(scene.stem) for scene in first]
    again = render(sheet, models=starter, overrides=FAST)
    assert all(scene.cached for scene in again)
    for old, scene in zip(before, again, strict=True):
        assert (sound(scene.stem) == old).all()


def test_only_what_changed_is_rendered(sheet: CueSheet, starter: Models) -> None:
    render(sheet, models=starter, overrides=FAST)
    changed = replace(sheet.scenes[1], seed=12345)
    edited = replace(sheet, scenes=(sheet.scenes[0], changed, sheet.scenes[2]))
    rendered = render(edited, models=starter, overrides=FAST)
    assert [scene.cached for scene in rendered] == [True, False, True]
    assert rendered[1].seed == 12345


def test_a_scene_alone_is_the_same_as_among_others(
    sheet: CueSheet, starter: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = [sound(s.stem) for s in render(sheet, models=starter, overrides=FAST)]
    monkeypatch.setenv("V2A_FOLEY_CACHE_DIR", str(tmp_path / "empty"))
    alone = replace(sheet, scenes=(sheet.scenes[2],))
    (only,) = render(alone, models=starter, overrides=FAST | {"timing": {"crossfade": 0.25}})
    assert not only.cached
    assert np.abs(sound(only.stem) - together[2]).max() < 1e-4


def test_the_best_of_several_is_kept(sheet: CueSheet, starter: Models) -> None:
    one = render(sheet, models=starter, overrides=FAST)
    many = render(sheet, models=starter, overrides={"generation": {"steps": 4, "candidates": 4}})
    for single, best in zip(one, many, strict=True):
        assert best.candidates == 4
        assert single.similarity is not None
        assert best.similarity is not None
        assert best.similarity >= single.similarity - 1e-4


def test_what_a_sound_started_from_is_told(sheet: CueSheet, starter: Models) -> None:
    import av

    from v2a_foley.delivery import deliver

    free = render(sheet, models=starter, overrides={"generation": {"steps": 4, "seeded": 0.0}})
    assert [scene.sources for scene in free] == [(), (), ()]
    # Shots of plain colour look like nothing: a text that is a class stands in for them.
    from v2a_foley.mapper.bridge import phrases

    row = [phrase.concept for phrase in phrases()].index("dog")
    seen = starter.bank.seen[row] + starter.bank.named[row]
    looks = replace(frames.load(sheet.artefacts))
    table = np.repeat(seen[None] / np.linalg.norm(seen), len(looks.times), axis=0)
    frames.save(replace(looks, embeddings=table.astype(np.float32)), sheet.artefacts)
    settings = {"generation": {"steps": 4, "seeded": 0.5}}
    started = render(sheet, models=starter, overrides=settings)
    for scene in started:
        assert {source["label"] for source in scene.sources} == {"dog"}
        assert all(source["licence"] and source["package"] for source in scene.sources)
    again = render(sheet, models=starter, overrides=settings)
    assert [scene.sources for scene in again] == [scene.sources for scene in started]
    done = deliver(sheet, sheet.path.with_name("out.mp4"))
    with av.open(str(done.output)) as media:
        comment = media.metadata["comment"]
    assert "started from recordings (seeded 0.5): dog (" in comment


def test_focus_pulls_towards_a_prototype(starter: Models) -> None:
    given = starter.recordings
    assert given is not None
    conditions = starter.bank.heard[:20]
    assert (starter.focus(conditions, 0.0) == conditions).all()
    near = [(starter.focus(conditions, f) @ given.prototypes.T).max(1) for f in (0.0, 0.5, 1.0)]
    assert (near[1] > near[0]).all()
    assert np.allclose(near[2], 1, atol=1e-4)
    assert np.allclose(np.linalg.norm(starter.focus(conditions, 0.5), axis=1), 1, atol=1e-4)


def test_a_scene_longer_than_a_window_is_not_cut(
    sheet: CueSheet, starter: Models, tmp_path: Path
) -> None:
    long = replace(sheet.scenes[0], end=13.0)
    stretched = replace(sheet, duration=13.0, scenes=(long,))
    (rendered,) = render(stretched, models=starter, overrides=FAST)
    audio = sound(rendered.stem)
    assert len(audio) == round(13.25 * 48_000)
    loud = np.sqrt((audio[: 13 * 48_000].reshape(13, -1) ** 2).mean(1))
    assert loud.min() > 10 ** (-60 / 20)


def test_another_clip_s_frames_are_refused(sheet: CueSheet, starter: Models) -> None:
    seen = replace(frames.load(sheet.artefacts), clip_id="other")
    frames.save(seen, sheet.artefacts)
    with pytest.raises(ModelError, match="run spot again"):
        render(sheet, models=starter)


def test_handles_follow_the_crossfades() -> None:
    assert handles([2, 2, 2], [0.5, 0.2, 1.0], 10.0) == [0.25, 0.5, 0.5]
    assert handles([2], [0.0], 10.0) == [0.0]


def test_handles_do_not_cost_a_second_window() -> None:
    assert handles([9.9, 10.0, 10.1], [1.0, 1.0, 1.0], 10.0) == pytest.approx([0.05, 0.0, 0.5])


def test_overrides_reach_the_scene(sheet: CueSheet, starter: Models) -> None:
    sheet = cuesheet.save(replace(sheet, defaults={"timing": {"crossfade": 0.0}}), sheet.path)
    rendered = render(sheet, models=starter, overrides=FAST)
    assert [scene.seconds for scene in rendered] == [
        pytest.approx(scene.duration) for scene in sheet.scenes
    ]
