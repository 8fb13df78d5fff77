"""Which take is kept: guards, timing and the user's own recordings at work in a render."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.library.made import folder_of_sounds
from v2a_foley import frames
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import InputError
from v2a_foley.library.adding import add
from v2a_foley.models.bundle import Models
from v2a_foley.rendering import render
from v2a_foley.spotting import spot
from v2a_foley.takes import guards
from v2a_foley.takes.audition import REROLLS
from v2a_foley.timing import sync


@pytest.fixture
def sheet(
    three_shots: Path, starter: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CueSheet:
    monkeypatch.setenv("V2A_FOLEY_DATA_DIR", str(tmp_path / "data"))
    made = spot(three_shots, tmp_path / "a.cues.toml", models=starter, preset="default", seed=9)
    return replace(made, scenes=made.scenes[1:2])


def fast(**generation: object) -> dict[str, dict[str, object]]:
    return {"generation": {"steps": 4, "candidates": 2} | generation}


def test_what_is_guarded_against_is_made_again_and_told(
    sheet: CueSheet, starter: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    (free,) = render(sheet, models=starter, overrides=fast(guard=[]))
    assert not any(each.fault for each in free.candidates)
    assert all(0 <= each.music <= 1 for each in free.candidates if each.music is not None)
    scores = [each.music or 0.0 for each in free.candidates]
    assert scores[0] != scores[1]
    # the limit laid between the two: the one above it is rejected, whatever its similarity
    monkeypatch.setattr(guards, "LIMIT", sum(scores) / 2)
    (one,) = render(sheet, models=starter, overrides=fast(guard=["music"]))
    worse = 1 + int(np.argmax(scores))
    assert one.candidates[worse - 1].fault == "music"
    assert one.pick != worse
    assert one.notes == (f"rejected: {worse} (music)",)
    # all rejected: further ones are made, and if none is better the best is kept and told of
    monkeypatch.setattr(guards, "LIMIT", -1.0)
    (none,) = render(sheet, models=starter, overrides=fast(guard=["speech"]))
    assert len(none.candidates) == 2 + REROLLS
    assert none.notes == ("kept though speech: every candidate was rejected",)


def test_a_rejected_sound_that_was_picked_by_ear_is_kept(
    sheet: CueSheet, starter: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "LIMIT", -1.0)
    picked = replace(sheet, scenes=(replace(sheet.scenes[0], pick=2),))
    (scene,) = render(picked, models=starter, overrides=fast(guard=["music"]))
    assert scene.pick == 2
    assert len(scene.candidates) == 2


def test_onsets_are_laid_on_the_picture_s(sheet: CueSheet, starter: Models) -> None:
    """The motion of a ball that hits the ground three times stands in for that of the clip."""
    (scene,) = sheet.scenes
    times = np.arange(scene.start, scene.end, 0.04, dtype=np.float32)
    motion = np.full(len(times), 0.02, np.float32)
    hits = [0.4, 0.9, 1.5]
    for at in hits:
        motion[np.abs(times - scene.start - at).argmin()] = 2.0
    seen = replace(frames.load(sheet.artefacts), motion_times=times, motion=motion)
    frames.save(seen, sheet.artefacts)
    settings = fast(prompt="knocking on a wooden door", prompt_weight=1.0, candidates=3)
    free = render(sheet, models=starter, overrides=settings)[0]
    assert free.candidates[0].offset is None
    (placed,) = render(sheet, models=starter, overrides=settings | {"timing": {"sync": "onset"}})
    assert placed.cached
    kept = placed.candidates[placed.pick - 1]
    assert kept.offset is not None
    assert kept.offset <= 0.08
    audio, rate = soundfile.read(placed.stem, dtype="float32")
    measured = sync.offset(audio, rate, np.array(hits) + placed.handle)
    assert measured is not None
    assert measured <= 0.1


def test_level_follows_motion(sheet: CueSheet, starter: Models) -> None:
    (scene,) = sheet.scenes
    times = np.arange(scene.start, scene.end, 0.04, dtype=np.float32)
    motion = np.where(times < (scene.start + scene.end) / 2, 0.0, 1.0).astype(np.float32)
    seen = replace(frames.load(sheet.artefacts), motion_times=times, motion=motion)
    frames.save(seen, sheet.artefacts)
    settings = fast(prompt="heavy rain", prompt_weight=1.0, seeded=0.8)
    plain, _ = soundfile.read(render(sheet, models=starter, overrides=settings)[0].stem)
    followed = render(sheet, models=starter, overrides=settings | {"timing": {"follow": 1.0}})[0]
    moved, rate = soundfile.read(followed.stem)
    assert followed.cached
    half, margin = len(plain) // 2, rate // 4

    def drop(part: slice) -> float:
        return 10 * np.log10(np.mean(moved[part] ** 2) / np.mean(plain[part] ** 2))

    assert drop(slice(margin, half - margin)) < -10
    assert abs(drop(slice(half + margin, len(plain) - margin))) < 1


def test_sound_from_the_user_s_library_alone_and_layered(
    sheet: CueSheet, starter: Models, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="library add FOLDER"):
        render(sheet, models=starter, overrides=fast(source="library"))
    folder = folder_of_sounds(tmp_path / "mine")
    add([folder], models=starter, licence="CC0-1.0")
    asked = {"prompt": "thunder", "prompt_weight": 1.0}
    (own,) = render(sheet, models=starter, overrides=fast(source="library", **asked))
    assert {each["made"] for each in own.sources} == {"recorded"}
    assert {each["package"] for each in own.sources} == {"mine"}
    alone = soundfile.read(own.stem, dtype="float32")[0]
    (both,) = render(sheet, models=starter, overrides=fast(source="layered", **asked))
    assert {each["package"] for each in both.sources} >= {"mine"}
    waves = [alone, soundfile.read(both.stem, dtype="float32")[0]]
    assert not np.allclose(*waves)
    assert all(np.sqrt(np.mean(wave**2)) > 10 ** (-45 / 20) for wave in waves)
    (again,) = render(sheet, models=starter, overrides=fast(source="layered", **asked))
    assert again.changed == ()
