from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from v2a_foley import cuesheet, frames
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import FoleyError, ModelError
from v2a_foley.models.bundle import Models
from v2a_foley.rendering import explain, render, render_all
from v2a_foley.spotting import spot
from v2a_foley.stems import stem_path
from v2a_foley.takes.jobs import handles

FAST = {"generation": {"steps": 4, "candidates": 1, "guard": []}}


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
    alone = replace(sheet, scenes=(sheet.scenes[2],), path=tmp_path / "alone.cues.toml")
    frames.save(frames.load(sheet.artefacts), alone.artefacts)
    (only,) = render(alone, models=starter, overrides=FAST | {"timing": {"crossfade": 0.25}})
    assert not only.cached
    assert np.abs(sound(only.stem) - together[2]).max() < 1e-4


def test_the_best_of_several_is_kept(sheet: CueSheet, starter: Models) -> None:
    one = render(sheet, models=starter, overrides=FAST)
    many = render(sheet, models=starter, overrides={"generation": {"steps": 4, "candidates": 4}})
    for single, best in zip(one, many, strict=True):
        assert len(best.candidates) == 4
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


def test_least_handles_are_given_whatever_they_cost() -> None:
    assert handles([9.9, 2.0], [0.0, 0.5], 10.0, [1.0, 0.1]) == [1.0, 0.25]


def edited(sheet: CueSheet, index: int, **changes: object) -> CueSheet:
    scenes = list(sheet.scenes)
    scenes[index] = replace(scenes[index], **changes)  # type: ignore[arg-type]
    return replace(sheet, scenes=tuple(scenes))


def test_what_changed_is_told_and_nothing_else_is_touched(sheet: CueSheet, starter: Models) -> None:
    assert [c.why for c in explain(sheet, models=starter, overrides=FAST)] == [
        ("not rendered before",)
    ] * 3
    first = render(sheet, models=starter, overrides=FAST)
    assert not any(c.why for c in explain(sheet, models=starter, overrides=FAST))
    times = [scene.stem.stat().st_mtime_ns for scene in first]
    steered = edited(sheet, 1, overrides={"generation": {"guidance": 4.0}}, seed=3)
    why = (f"seed {sheet.scenes[1].seed} -> 3", "generation.guidance 2.5 -> 4.0")
    assert [c.why for c in explain(steered, models=starter, overrides=FAST)] == [(), why, ()]
    again = render(steered, models=starter, overrides=FAST)
    assert [scene.changed for scene in again] == [(), why, ()]
    now = [scene.stem.stat().st_mtime_ns for scene in again]
    assert [a == b for a, b in zip(times, now, strict=True)] == [True, False, True]


def test_a_missing_or_damaged_stem_comes_back(sheet: CueSheet, starter: Models) -> None:
    first = render(sheet, models=starter, overrides=FAST)
    before = [scene.stem.read_bytes() for scene in first]
    first[0].stem.unlink()
    first[1].stem.write_bytes(b"RIFF")
    again = render(sheet, models=starter, overrides=FAST)
    assert [scene.stem.read_bytes() for scene in again] == before
    assert again[0].changed == ("its stem is missing",)
    assert again[1].changed == ("its stem is another file than was written",)
    assert all(scene.cached for scene in again)


def test_candidates_are_kept_and_one_is_picked_by_ear(sheet: CueSheet, starter: Models) -> None:
    settings = {"generation": {"steps": 4, "candidates": 3, "guard": []}}
    first = render(sheet, models=starter, overrides=settings)
    folder = sheet.artefacts / "takes" / "002"
    assert sorted(path.name for path in folder.iterdir()) == ["1.wav", "2.wav", "3.wav"]
    other = next(n for n in (1, 2, 3) if n != first[1].pick)
    picked = render(edited(sheet, 1, pick=other), models=starter, overrides=settings)
    assert picked[1].pick == other
    assert picked[1].cached
    assert (sound(picked[1].stem) == sound(folder / f"{other}.wav")).all()
    assert picked[1].seed == picked[1].candidates[other - 1].seed
    fewer = render(sheet, models=starter, overrides=FAST)
    assert len(fewer[1].candidates) == 1
    assert [path.name for path in folder.iterdir()] == ["1.wav"]


def test_more_candidates_cost_only_the_new_ones(
    sheet: CueSheet, starter: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("V2A_FOLEY_CACHE_DIR", str(tmp_path / "cache"))
    entries = tmp_path / "cache" / "entries"
    one = {"generation": {"steps": 4, "candidates": 1, "guard": []}}
    render(sheet, models=starter, overrides=one)
    before = set(entries.rglob("*.safetensors"))
    two = {"generation": {"steps": 4, "candidates": 2, "guard": []}}
    render(sheet, models=starter, overrides=two)
    assert len(set(entries.rglob("*.safetensors")) - before) == len(sheet.scenes)


def test_muted_and_unsoloed_scenes_are_left_alone(sheet: CueSheet, starter: Models) -> None:
    assert [s.id for s in render(edited(sheet, 0, mute=True), models=starter, overrides=FAST)] == [
        "002", "003",
    ]  # fmt: skip
    assert not stem_path(sheet, sheet.scenes[0]).exists()
    (alone,) = render(edited(sheet, 1, solo=True), models=starter, overrides=FAST)
    assert (alone.id, alone.cached) == ("002", True)


def test_sheets_that_are_rendered_together_sound_as_alone(
    sheet: CueSheet, starter: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [sound(s.stem) for s in render(sheet, models=starter, overrides=FAST)]
    monkeypatch.setenv("V2A_FOLEY_CACHE_DIR", str(tmp_path / "empty"))
    other = replace(sheet, path=tmp_path / "b.cues.toml")
    frames.save(frames.load(sheet.artefacts), other.artefacts)
    broken = replace(sheet, path=tmp_path / "nothing.cues.toml")
    made = list(render_all([broken, other], models=starter, overrides=FAST))
    assert [each.path for each, _ in made] == [broken.path, other.path]
    assert isinstance(made[0][1], FoleyError)
    assert isinstance(made[1][1], list)
    for scene, wave in zip(made[1][1], alone, strict=True):
        assert not scene.cached
        assert (sound(scene.stem) == wave).all()
