from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from v2a_foley import cuesheet, presets
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.errors import CueSheetError, FoleyError, PresetError
from v2a_foley.presets import Tag

TEXT = """\
# the job for Monday
version = 1
seed = 7 # lucky

[video]
path = "clip.mp4"
duration = 10.0
fingerprint = "abc123"

[models]
pack = "starter"

[defaults.mix]
loudness = "none"  # mixed elsewhere

# the street
[[scene]]
id = "001"
start = 0.0
end = 1.20 # on the cut
preset = "city"
seed = 1234
tags = [
    {concept = "street traffic", group = "city", score = 0.43}, # sure
    {concept = "dog", group = "animals", score = 0.1},
]

[scene.generation]
steps = 30

# the chase
[[scene]]
id = "002"
start = 1.2
end = 4.5
preset = "footsteps"
seed = 99
"""


@pytest.fixture(autouse=True)
def user_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of user presets, found through the environment."""
    monkeypatch.setenv("V2A_FOLEY_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "config" / "presets"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "clip.cues.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def a_sheet(**changes: Any) -> CueSheet:
    scene = Scene("001", 0.0, 4.0, "city", 5)
    sheet = CueSheet(video=Path("clip.mp4"), duration=10.0, fingerprint="f", scenes=(scene,))
    return replace(sheet, **changes)


# Reading


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


def test_artefacts_stand_beside_the_sheet(path: Path):
    assert cuesheet.load(path).artefacts == path.parent / "clip.cues"
    assert a_sheet(path=Path("a.b/other.toml")).artefacts == Path("a.b/other.cues")
    assert a_sheet(path=Path("plain")).artefacts == Path("plain.cues")
    with pytest.raises(CueSheetError, match="no file yet"):
        _ = a_sheet().artefacts


def test_derived_seeds_are_stable_distinct_and_in_range():
    assert cuesheet.derive_seed(0, "001") == 7811000969656102185
    seeds = {cuesheet.derive_seed(seed, f"{n:03}") for seed in range(10) for n in range(100)}
    assert len(seeds) == 1000
    assert all(0 <= seed <= cuesheet.MAX_SEED for seed in seeds)


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


# Precedence


def test_each_level_goes_before_the_next(path: Path, user_dir: Path):
    def steps(sheet: CueSheet, **levels: dict[str, dict[str, Any]]) -> int:
        return cuesheet.resolve(sheet, sheet.scenes[0], **levels).generation.steps

    def stating(steps: int) -> dict[str, dict[str, Any]]:
        return {"generation": {"steps": steps}}

    (user_dir / "city.toml").write_text("[generation]\nsteps = 3\n")
    full = cuesheet.load(path)
    full = replace(full, defaults=stating(4))
    own = replace(full.scenes[0], overrides=stating(5))
    config, line = stating(2), stating(6)
    full = replace(full, scenes=(own,))
    assert steps(full, user_config=config, command_line=line) == 6
    assert steps(full, user_config=config) == 5
    full = replace(full, scenes=(replace(own, overrides={}),))
    assert steps(full, user_config=config) == 4
    full = replace(full, defaults={})
    assert steps(full, user_config=config) == 3
    (user_dir / "city.toml").write_text("")
    assert steps(full, user_config=config) == 2
    assert steps(full) == 20
    (user_dir / "default.toml").write_text("[generation]\nsteps = 1\n")
    assert steps(full) == 1
    assert steps(full, user_config=config) == 2


def test_a_value_equal_to_the_default_still_counts_as_stated(user_dir: Path):
    sheet = a_sheet(defaults={"generation": {"steps": 30}})
    resolved = cuesheet.resolve(sheet, sheet.scenes[0], command_line={"generation": {"steps": 20}})
    assert resolved.generation.steps == 20


def test_a_resolved_preset_is_named_after_the_scenes(user_dir: Path):
    sheet = a_sheet()
    resolved = cuesheet.resolve(sheet, sheet.scenes[0])
    city = presets.find("city")
    assert (resolved.name, resolved.path, resolved.match) == ("city", city.path, city.match)
    assert (resolved.generation, resolved.timing, resolved.mix) == (
        city.generation,
        city.timing,
        city.mix,
    )


def test_what_holds_for_the_track_comes_from_the_runs_preset(user_dir: Path):
    (user_dir / "loud.toml").write_text("[mix]\nloudness = -9\ngain_db = 9\n")
    sheet = a_sheet(preset="subtle")
    sheet = replace(sheet, scenes=(replace(sheet.scenes[0], preset="loud"),))
    scene = cuesheet.resolve(sheet, sheet.scenes[0]).mix
    track = cuesheet.resolve(sheet, None).mix
    assert (scene.gain_db, scene.mode, scene.loudness, scene.true_peak) == (9.0, "mix", -23, -2)
    assert (track.gain_db, track.mode, track.loudness, track.true_peak) == (-12, "mix", -23, -2)


def test_a_scenes_preset_may_be_a_file_beside_the_sheet(path: Path):
    (path.parent / "own.toml").write_text("[generation]\nsteps = 77\n")
    path.write_text(TEXT.replace('"footsteps"', '"own.toml"'))
    sheet = cuesheet.load(path)
    assert cuesheet.resolve(sheet, sheet.scenes[1]).generation.steps == 77


@pytest.mark.parametrize("level", ["command_line", "user_config"])
def test_overrides_from_elsewhere_are_checked(level: str):
    sheet = a_sheet()
    levels: dict[str, Any] = {level: {"generation": {"stpes": 1}}}
    with pytest.raises(
        PresetError, match=f"{level.replace('_', ' ')}: generation.stpes is unknown"
    ):
        cuesheet.resolve(sheet, sheet.scenes[0], **levels)


# Writing


def test_a_new_sheet_is_plain_to_read(tmp_path: Path):
    scene = Scene("001", 0.0, 1 / 3, "city", 9, (Tag('a "b"', "city", 0.43219),))
    sheet = a_sheet(video=tmp_path / "film" / "clip.mp4", scenes=(scene,), preset="subtle")
    cuesheet.save(sheet, tmp_path / "clip.cues.toml")
    assert (tmp_path / "clip.cues.toml").read_text() == (
        "# v2a-foley cue sheet (seconds are presentation time from the start of the video)\n"
        'version = 1\nseed = 0\npreset = "subtle"\n\n'
        '[video]\npath = "film/clip.mp4"\nduration = 10.0\nfingerprint = "f"\n\n'
        '[models]\npack = "starter"\n\n'
        '[[scene]]\nid = "001"\nstart = 0.0\nend = 0.333333\npreset = "city"\nseed = 9\n'
        'tags = [\n    {concept = "a \\"b\\"", group = "city", score = 0.4322},\n]\n'
    )


def test_the_video_is_stated_relative_where_that_helps(tmp_path: Path):
    def stated(video: str, sheet: str) -> str:
        text = cuesheet.dumps(a_sheet(video=Path(video), path=Path(sheet)))
        return text.split('path = "')[1].split('"')[0]

    assert stated("/job/a/clip.mp4", "/job/a/clip.cues.toml") == "clip.mp4"
    assert stated("/job/video/clip.mp4", "/job/sheets/clip.cues.toml") == "../video/clip.mp4"
    assert stated("/media/clip.mp4", "/job/clip.cues.toml") == "/media/clip.mp4"
    assert stated("clip.mp4", "clip.cues.toml") == "clip.mp4"
    assert 'path = "clip.mp4"' in cuesheet.dumps(a_sheet())


def test_saving_what_was_read_changes_no_byte(path: Path):
    before = path.read_bytes()
    assert cuesheet.save(cuesheet.load(path), path) == cuesheet.load(path)
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.cues.toml", "config"]


def test_an_edit_changes_its_own_lines_only(path: Path):
    sheet = cuesheet.load(path)
    first, second = sheet.scenes
    first = replace(
        first, seed=77, overrides={"generation": {"steps": 30}, "mix": {"gain_db": -3.0}}
    )
    cuesheet.save(replace(sheet, scenes=(first, second), preset="subtle"), path)
    assert path.read_text() == (
        TEXT.replace("seed = 7 # lucky\n", 'seed = 7 # lucky\npreset = "subtle"\n')
        .replace("seed = 1234", "seed = 77")
        .replace("steps = 30\n", "steps = 30\n\n[scene.mix]\ngain_db = -3.0\n")
    )


def test_comments_go_with_their_scene(path: Path):
    sheet = cuesheet.load(path)
    second = sheet.scenes[1]
    added = Scene("003", 5.0, 6.0, "water", 3)
    cuesheet.save(replace(sheet, scenes=(second, added)), path)
    text = path.read_text()
    assert "the street" not in text
    assert '\n# the chase\n[[scene]]\nid = "002"\n' in text
    assert text.endswith('seed = 99\n\n[[scene]]\nid = "003"\nstart = 5.0\nend = 6.0\n'
                         'preset = "water"\nseed = 3\n')  # fmt: skip
    assert text.startswith(TEXT[: TEXT.index("# the street")])


def test_a_new_scene_comes_after_the_one_before_it_in_time(path: Path):
    sheet = cuesheet.load(path)
    first, second = sheet.scenes
    added = Scene("001b", 0.5, 1.2, "water", 3)
    cuesheet.save(replace(sheet, scenes=(replace(first, end=0.5), added, second)), path)
    text = path.read_text()
    assert "end = 0.5 # on the cut\n" in text
    assert text.index('"001"') < text.index('"001b"') < text.index("# the chase")
    assert [scene.id for scene in cuesheet.load(path).scenes] == ["001", "001b", "002"]


def test_a_scene_loses_an_override_and_tags(path: Path):
    sheet = cuesheet.load(path)
    bare = replace(sheet.scenes[0], overrides={}, tags=())
    saved = cuesheet.save(replace(sheet, scenes=(bare, sheet.scenes[1]), defaults={}), path)
    text = path.read_text()
    assert cuesheet.load(path) == saved
    assert "defaults" not in text
    assert "generation" not in text
    assert "tags" not in text
    assert "# on the cut" in text


def test_any_layout_that_toml_allows_can_be_updated(path: Path):
    path.write_text(
        "version = 1\nvideo.path = 'clip.mp4' # here\nvideo.duration = 10\n"
        "video.fingerprint = 'f'\nscene = [{id = 'a', start = 0, end = 1}]\n"
        "[defaults.timing]\ncrossfade = 1\n[models]\npack = 'p'\n[defaults.mix]\ngain_db = 1"
    )
    sheet = cuesheet.load(path)
    assert sheet.scenes[0].id == "a"
    changed = replace(sheet, pack="q", seed=4)
    cuesheet.save(changed, path)
    assert cuesheet.load(path) == changed


def test_windows_line_ends_are_kept(path: Path):
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    sheet = cuesheet.load(path)
    cuesheet.save(replace(sheet, seed=8), path)
    assert path.read_bytes().decode() == TEXT.replace("seed = 7", "seed = 8").replace("\n", "\r\n")


def test_a_broken_sheet_is_not_written_over(path: Path):
    sheet = cuesheet.load(path)
    path.write_text("version = 1\noops")
    with pytest.raises(CueSheetError, match="line 2: not valid TOML"):
        cuesheet.save(sheet, path)
    assert path.read_text() == "version = 1\noops"


def test_a_sheet_that_could_not_be_read_again_is_not_written(path: Path):
    sheet = cuesheet.load(path)
    overlapping = replace(sheet.scenes[1], start=1.0)
    with pytest.raises(CueSheetError, match="scenes must not overlap"):
        cuesheet.save(replace(sheet, scenes=(sheet.scenes[0], overlapping)), path)
    assert path.read_text() == TEXT


def test_a_name_that_is_not_text_is_refused(tmp_path: Path):
    with pytest.raises(CueSheetError, match="not UTF-8 text; rename the video"):
        cuesheet.save(a_sheet(video=tmp_path / "bad\udcff.mp4"), tmp_path / "x.cues.toml")
    assert not (tmp_path / "x.cues.toml").exists()


def test_a_folder_that_is_not_there_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(FoleyError, match="cannot be written: No such file") as raised:
        cuesheet.save(a_sheet(), tmp_path / "none" / "x.cues.toml")
    assert raised.value.exit_code == 1


def test_two_who_save_at_once_leave_one_whole_sheet(path: Path):
    sheet = cuesheet.load(path)
    seeds = range(20)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: cuesheet.save(replace(sheet, seed=seed), path), seeds))
    assert cuesheet.load(path).seed in seeds
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.cues.toml", "config"]


@pytest.mark.skipif(os.name != "posix", reason="links and modes are those of POSIX")
def test_a_link_to_a_sheet_stays_a_link_and_its_mode_stays(path: Path):
    path.chmod(0o640)
    folder = path.parent / "links"
    folder.mkdir()
    link = folder / "clip.cues.toml"
    link.symlink_to(path)
    cuesheet.save(replace(cuesheet.load(path), seed=8), link)
    assert link.is_symlink()
    assert cuesheet.load(path).seed == 8
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in folder.iterdir()] == ["clip.cues.toml"]


def test_a_sheets_name_may_be_as_long_as_names_go(tmp_path: Path):
    path = tmp_path / ("\u00e9" * 122 + ".cues.toml")
    assert cuesheet.load(cuesheet.save(a_sheet(video=tmp_path / "clip.mp4"), path).path)


# Any sheet

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.sampled_from(["default", "city", "water"])
seeds = st.integers(0, cuesheet.MAX_SEED)
tags = st.builds(Tag, words, words, st.floats(0, 1))


def _values(parameter: presets.Parameter) -> st.SearchStrategy[Any]:
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.kind is str:
        return words
    if parameter.kind is int:
        return st.integers(int(parameter.low), int(parameter.high))
    numbers = st.floats(parameter.low, parameter.high)
    return st.none() | numbers if parameter.or_none else numbers


def _overrides(whole_track: bool) -> st.SearchStrategy[Any]:
    sections = {
        section: st.fixed_dictionaries(
            {},
            optional={
                key: _values(each)
                for key, each in presets.parameters(section).items()
                if whole_track or not each.whole_track
            },
        ).filter(bool)
        for section in presets.SETTINGS
    }
    return st.fixed_dictionaries({}, optional=sections)


@st.composite
def sheets(draw: st.DrawFn) -> CueSheet:
    ids = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=5))
    cuts = draw(
        st.lists(
            st.integers(0, 10**9), unique=True, min_size=2 * len(ids), max_size=2 * len(ids)
        ).map(sorted)
    )
    scenes = tuple(
        Scene(
            id=each,
            start=cuts[2 * index] / 1e6,
            end=cuts[2 * index + 1] / 1e6,
            preset=draw(names),
            seed=draw(seeds),
            tags=tuple(draw(st.lists(tags, max_size=2))),
            overrides=draw(_overrides(whole_track=False)),
        )
        for index, each in enumerate(ids)
    )
    return CueSheet(
        video=Path("clip.mp4"),
        duration=draw(st.floats(1000, 1e6)),
        fingerprint=draw(words),
        scenes=scenes,
        pack=draw(words),
        preset=draw(st.none() | names),
        seed=draw(seeds),
        defaults=draw(_overrides(whole_track=True)),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=sheets(), after=sheets())
def test_any_sheet_survives_the_file_and_any_update_of_it(
    tmp_path_factory: pytest.TempPathFactory, before: CueSheet, after: CueSheet
):
    assert cuesheet.loads(cuesheet.dumps(before)) == before
    path = tmp_path_factory.mktemp("sheet") / "clip.cues.toml"
    for sheet in (before, after):
        sheet = replace(sheet, video=path.with_name("clip.mp4"))
        saved = cuesheet.save(sheet, path)
        assert cuesheet.load(path) == saved == replace(sheet, path=path)
