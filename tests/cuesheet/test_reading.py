from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cuesheet.conftest import TEXT
from v2a_foley import cuesheet
from v2a_foley.cuesheet import Scene
from v2a_foley.errors import CueSheetError
from v2a_foley.presets import Tag


def test_a_sheet_is_read(path: Path):
    sheet = cuesheet.load(path)
    assert sheet.video == path.parent / "clip.mp4"
    assert (sheet.duration, sheet.fingerprint, sheet.pack) == (10.0, "abc123", "starter")
    assert (sheet.preset, sheet.seed) == (None, 7)
    assert sheet.defaults == {"mix": {"loudness": None}}
    assert sheet.scenes[0] == Scene(
        id="001",
        start=0.0,
        end=1.2,
        preset="city",
        seed=1234,
        tags=(Tag("street traffic", "city", 0.43), Tag("dog", "animals", 0.1)),
        overrides={"generation": {"steps": 30}},
    )
    assert sheet.scenes[1].duration == 3.3


def test_a_scene_written_by_hand_needs_only_its_name_and_time(path: Path):
    path.write_text(TEXT + '[[scene]]\nid = "mine"\nstart = 5\nend = 6\n')
    scene = cuesheet.load(path).scenes[2]
    assert scene == Scene("mine", 5.0, 6.0, "default", cuesheet.derive_seed(7, "mine"))
    path.write_text(
        TEXT.replace('preset = "footsteps"\n', "").replace("seed = 7", "preset='water'")
    )
    assert cuesheet.load(path).scenes[1].preset == "water"


def test_scenes_are_in_order_of_time_and_gaps_are_allowed(path: Path):
    path.write_text(TEXT.replace("start = 1.2\nend = 4.5", "start = 8\nend = 10.04"))
    assert cuesheet.load(path).scenes[1].start == 8.0
    swapped = TEXT.replace("start = 0.0\nend = 1.20", "start = 5\nend = 6")
    path.write_text(swapped)
    assert [scene.id for scene in cuesheet.load(path).scenes] == ["002", "001"]


# Errors


def changed(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("seed = 7", "seed 7"), "line 3: not valid TOML: Expected '='"),
        (changed("[defaults.mix]", "[video]"), "line 13: not valid TOML: Cannot declare"),
        (changed("version = 1\n", ""), "version is missing; it must be a whole number"),
        (changed("version = 1", "version = 2"), "line 2: version must be 1, not 2; a newer"),
        (changed("version = 1", "version = 0"), "line 2: version must be 1, not 0$"),
        (changed("version = 1", "version = true"), "must be a whole number, not True"),
        (changed("seed = 7", "sed = 7"), r'line 3: sed is unknown; did you mean "seed"\?'),
        (changed("seed = 7", "seed = -1"), "line 3: seed must be from 0 to 9223372036854775807"),
        (changed("seed = 99", f"seed = {2**63}"), "line 37: scene #2 seed must be from 0 to"),
        (changed("duration", "length"), "line 7: video.length is unknown; known here: path, dur"),
        (changed("duration = 10.0\n", ""), "line 5: video.duration is missing"),
        (changed("duration = 10.0", "duration = 0"), "line 7: video.duration must be above 0"),
        (changed("duration = 10.0", "duration = inf"), "must be a finite number, not inf"),
        (changed("[video]", "[vid]"), 'line 5: vid is unknown; did you mean "video"'),
        (changed('"clip.mp4"', "3"), "line 6: video.path must be text, not 3"),
        (changed("pack", "pak"), 'line 11: models.pak is unknown; did you mean "pack"'),
        (changed("[defaults.mix]", "[defaults.mx]"), r"line 13: defaults\.mx is unknown"),
        (changed("loudness", "loudnes"), r'line 14: defaults\.mix\.loudnes .* mean "loudness"'),
        (changed('"none"', "3"), r"line 14: defaults\.mix\.loudness must be a number from -70"),
        (changed('id = "001"\n', ""), "line 17: scene #1 id is missing; it must be text"),
        (changed('id = "001"', 'id = "../x"'), 'line 18: scene #1 id must be letters, .* "../x"'),
        (changed('id = "001"', 'id = ""'), "line 18: scene #1 id must be letters"),
        (changed('id = "001"', "id = 1"), "line 18: scene #1 id must be text, not 1"),
        (changed('"002"', '"001"'), 'line 33: scene #2 id "001" is taken by the scene of line 18'),
        (changed("start = 0.0\n", ""), "line 17: scene #1 start is missing"),
        (changed("start = 0.0", "begin = 0.0"), "line 19: scene #1 begin is unknown"),
        (changed("start = 0.0", "strat = 0.0"), 'scene #1 strat is unknown; did you mean "start"'),
        (changed("start = 0.0", "start = -0.1"), "line 19: scene #1 start must not be below 0"),
        (changed("start = 0.0", "start = nan"), "line 19: scene #1 start must be a finite number"),
        (changed("start = 0.0", f"start = {10**400}"), "scene #1 start must be a finite number"),
        (changed("start = 0.0", "start = 1.2"), r"line 20: scene #1 end \(1.2\) must be after"),
        (changed("end = 4.5", "end = 10.06"), r"line 35: scene #2 end \(10.06\) is after the end"),
        (changed("start = 1.2", "start = 1.1"), r'line 34: scene #2 start .* "001" \(1\.2\)'),
        (changed('"footsteps"', '"footstep"'), 'line 36: scene #2 preset .* mean "footsteps"'),
        (changed("seed = 7", "preset = 'a/b'"), 'line 3: preset cannot be used: "a/b" cannot name'),
        (changed('"footsteps"', '"x.toml"'), r"line 36: scene #2 preset .*x\.toml: cannot be read"),
        (changed("score = 0.1", "score = 1.1"), "line 23: scene #1 tags #2 score must be from 0"),
        (changed("score = 0.1", "scor = 0.1"), 'scene #1 tags #2 scor .* did you mean "score"'),
        (changed(", score = 0.1", ""), "scene #1 tags #2 score is missing"),
        (changed("tags = [", 'tags = ["dog",'), "line 23: scene #1 tags #1 must be like {concept"),
        (
            changed("seed = 99", "seed = 99\nmute = 1"),
            "line 38: scene #2 mute must be true or false",
        ),
        (changed("seed = 99", "seed = 99\nsoolo = true"), 'line 38: .* did you mean "solo"'),
        (
            changed("seed = 99", "seed = 99\npick = 0"),
            "line 38: scene #2 pick must be a candidate's",
        ),
        (changed("steps = 30", "pann = 0"), "line 29: scene #1 generation.pann is unknown"),
        (changed("steps = 30", "guard = ['musik']"), 'line 29: .* did you mean "music"'),
        (changed("steps = 30", "steps = 0"), "line 29: scene #1 generation.steps must be a whole"),
        (changed("[scene.generation]", "[scene.generator]"), "line 28: scene #1 generator is unk"),
        (
            changed("[scene.generation]\nsteps = 30", '[scene.mix]\nmode = "duck"'),
            r"line 29: scene #1 mix\.mode holds for the whole track; state it under \[defaults",
        ),
    ],
)
def test_an_error_names_file_line_and_key(path: Path, change: Callable, message: str):
    path.write_text(change(TEXT))
    with pytest.raises(CueSheetError, match=message) as raised:
        cuesheet.load(path)
    assert str(raised.value).startswith(str(path))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        ("[scene]\nid = '1'\n", "line 16: scene must be a list, not {"),
        ("[[defaults]]\n", "not valid TOML"),
        ("[defaults.timing]\n[[scene.x]]\n", "line 17: scene must be a list, not {"),
    ],
)
def test_a_scene_that_is_no_list_is_refused(path: Path, scene: str, message: str):
    path.write_text(TEXT.partition("# the street")[0] + scene)
    with pytest.raises(CueSheetError, match=message):
        cuesheet.load(path)


def test_a_scene_that_is_no_table_is_refused(path: Path):
    path.write_text(TEXT.partition("# the street")[0].replace("seed = 7", "scene = [1]"))
    with pytest.raises(CueSheetError, match=r"line 3: scene #1 must be a table under \[\[scene"):
        cuesheet.load(path)


def test_a_sheet_that_is_not_there(tmp_path: Path):
    with pytest.raises(CueSheetError, match="cannot be read: No such file"):
        cuesheet.load(tmp_path / "none.cues.toml")
