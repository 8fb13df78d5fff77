from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cuesheet.conftest import TEXT
from v2a_foley import cuesheet, presets, provenance
from v2a_foley.cuesheet import CueSheet, Scene, editing
from v2a_foley.cuesheet.lock import locked
from v2a_foley.errors import CueSheetError, FoleyError

THIRD = '\n# the wood\n[[scene]]\nid = "003"\nstart = 4.5\nend = 9.0\npreset = "nature"\nseed = 3\n'


@pytest.fixture
def sheet(path: Path) -> CueSheet:
    path.write_text(TEXT + THIRD, encoding="utf-8")
    return cuesheet.load(path)


def by_id(sheet: CueSheet) -> dict[str, Scene]:
    return {scene.id: scene for scene in sheet.scenes}


# In a file


def test_an_edit_changes_its_own_lines_only(path: Path, sheet: CueSheet):
    made = editing.edit(path, lambda sheet: editing.set_values(sheet, ["002"], {"gain_db": "-3"}))
    assert made == cuesheet.load(path)
    assert path.read_text() == (TEXT + "\n[scene.mix]\ngain_db = -3.0\n" + THIRD)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda sheet: editing.split(sheet, "002", 3.0), ["the street", "the chase", "the wood"]),
        (lambda sheet: editing.merge(sheet, ["001", "002"]), ["the street", "the wood"]),
        (lambda sheet: editing.move(sheet, "002", 1.5, 4.0), ["the street", "the wood"]),
        (lambda sheet: editing.mute(sheet, ["003"]), ["the street", "the chase"]),
    ],
    ids=["split", "merge", "move", "mute"],
)
def test_comments_of_untouched_scenes_survive(
    path: Path, sheet: CueSheet, change: Callable[[CueSheet], CueSheet], kept: list[str]
):
    assert editing.edit(path, change) == cuesheet.load(path) != sheet
    text = path.read_text()
    for each in ["the job for Monday", "lucky", "mixed elsewhere", *kept]:
        assert f"# {each}" in text
    assert '{concept = "street traffic", group = "city", score = 0.43}, # sure\n' in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sheet: editing.move(sheet, "002", start=1.0), "before the end of scene 001"),
        (lambda sheet: replace(sheet, duration=5.0), r"scene #3 end \(9.0\) is after the end"),
        (lambda sheet: replace(sheet, preset="nothing"), 'there is no preset "nothing"'),
    ],
)
def test_a_refused_edit_leaves_every_byte(
    path: Path, sheet: CueSheet, change: Callable[[CueSheet], CueSheet], message: str
):
    before = path.read_bytes()
    with pytest.raises(CueSheetError, match=message):
        editing.edit(path, change)
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.cues.toml", "config"]


def test_an_edit_that_changes_nothing_does_not_write(path: Path, sheet: CueSheet):
    before = path.stat()
    assert editing.edit(path, lambda sheet: editing.mute(sheet, ["001"], on=False)) == sheet
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_sheet_that_is_not_there_or_broken_is_not_locked(path: Path):
    for name, text in (("none/x.toml", None), ("broken.toml", "version = 1\noops")):
        if text:
            path.with_name(name).write_text(text)
        with pytest.raises(CueSheetError, match=r"cannot be read|not valid TOML"):
            editing.edit(path.parent / name, lambda sheet: sheet)
    assert not list(path.parent.glob(".*.lock"))


WRITER = """
import sys
from dataclasses import replace
from v2a_foley.cuesheet import Scene, editing
first, last = int(sys.argv[2]), int(sys.argv[3])
for number in range(first, last):
    def add(sheet):
        scene = Scene(f"{number:03}", number / 10, number / 10 + 0.1, "city", number)
        return replace(sheet, scenes=(*sheet.scenes, scene))
    editing.edit(sys.argv[1], add)
"""


def test_processes_that_edit_at_once_lose_no_write(path: Path):
    path.write_text(TEXT.partition("# the street")[0])
    spans = [(0, 20), (20, 40), (40, 60)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first), str(last)])
        for first, last in spans
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert sorted(by_id(cuesheet.load(path))) == [f"{number:03}" for number in range(60)]
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.cues.toml", "config"]


HOLDER = """
import sys, pathlib
from v2a_foley.cuesheet.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_whoever_does_not_let_go_is_told_of_and_a_dead_one_holds_nothing(path: Path):
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(FoleyError, match="is being edited by another program; try again"),
            locked(path, patience=0.1),
        ):
            pass
        holder.kill()
    assert list(path.parent.glob(".*.lock"))
    with locked(path, patience=5):
        pass
    assert not list(path.parent.glob(".*"))


# Which scenes


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("003", "003"),
        ("003,001", "001 003"),
        (" 001 , 003 ", "001 003"),
        ("002-003", "002 003"),
        ("003-002", "002 003"),
        ("all", "001 002 003"),
        ("001-002,003,003", "001 002 003"),
    ],
)
def test_scenes_are_named_by_lists_and_spans(sheet: CueSheet, text: str, ids: str):
    assert cuesheet.select(sheet, text) == tuple(ids.split())


def test_an_id_may_have_dashes(sheet: CueSheet):
    names = ("a-b", "b", "a-b-b")
    scenes = tuple(replace(scene, id=name) for scene, name in zip(sheet.scenes, names, strict=True))
    odd = replace(sheet, scenes=scenes)
    assert cuesheet.select(odd, "a-b") == ("a-b",)
    assert cuesheet.select(odd, "a-b-b") == ("a-b-b",)
    assert cuesheet.select(odd, "a-b-a-b-b") == names


@pytest.mark.parametrize("text", ["004", "001-004", "", ",", "001 002", "-"])
def test_scenes_that_are_not_there(sheet: CueSheet, text: str):
    with pytest.raises(CueSheetError, match=r"there is no scene|names no scene") as raised:
        cuesheet.select(sheet, text)
    assert str(raised.value).startswith(str(sheet.path))


def test_all_of_a_sheet_without_scenes_are_none(sheet: CueSheet):
    assert cuesheet.select(replace(sheet, scenes=()), "all") == ()


# Settings


def test_values_are_set_by_key_and_by_section_from_text_and_numbers(sheet: CueSheet):
    made = editing.set_values(
        sheet,
        ["001", "003"],
        {"gain_db": "-3", "generation.steps": "12", "guard": "music", "preset": "water",
         "mix": {"pan": 0.5, "high_pass": "none"}, "timing.sync": "onset", "prompt": "a door"},
    )  # fmt: skip
    own = by_id(made)
    assert own["001"].overrides == {
        "generation": {"steps": 12, "guard": ("music",), "prompt": "a door"},
        "mix": {"gain_db": -3.0, "pan": 0.5, "high_pass": None},
        "timing": {"sync": "onset"},
    }
    assert own["003"].overrides == own["001"].overrides
    assert own["003"].preset == "water"
    assert own["002"] == by_id(sheet)["002"]


def test_bounds_and_seed_are_set_likewise(sheet: CueSheet):
    made = editing.set_values(sheet, ["003"], {"start": "0:05.5", "end": 8, "seed": "77"})
    assert made.scenes[2] == replace(sheet.scenes[2], start=5.5, end=8.0, seed=77)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepps": 3}, r'stepps is unknown; did you mean "steps"\?'),
        ({"mix.gian_db": 3}, r'mix.gian_db is unknown; did you mean "mix.gain_db"\?'),
        ({"xyzzy": 3}, "xyzzy is unknown; 'v2a-foley presets show default' lists"),
        ({"mode": "duck"}, r"mode holds for the whole track; .* \[defaults\]"),
        ({"steps": "many"}, "generation.steps must be a whole number from 1 to 1000, not 'many'"),
        ({"steps": 2.5}, "generation.steps must be a whole number"),
        ({"sync": "onsett"}, 'did you mean "onset"'),
        ({"guard": "musik"}, "timing.guard|generation.guard must be a list of some of"),
        ({"preset": "citty"}, r'no preset "citty"; did you mean "city"\?'),
        ({"seed": "-1"}, "seed must be a whole number, not '-1'"),
        ({"seed": True}, "seed must be a whole number, not True"),
        ({"seed": 2**63}, "seed must be from 0 to"),
        ({"start": "soon"}, "start must be seconds, like 62.5 or 1:02.5, not 'soon'"),
        ({"start": float("nan")}, "start must be seconds"),
        ({"start": 0.5}, "would start at 0.5, before the end of scene 001"),
        ({"end": 11}, r"scene 002 would end at 11.0, after the video \(10.0\)"),
        ({"end": 1.2}, "scene 002 would end at 1.2, not after its start"),
    ],
)
def test_values_that_cannot_be_set(sheet: CueSheet, values: dict, message: str):
    with pytest.raises(CueSheetError, match=message) as raised:
        editing.set_values(sheet, ["002"], values)
    assert str(raised.value).startswith(f"{sheet.path}: ")


def test_the_sheets_defaults_take_what_holds_for_the_whole_track(path: Path, sheet: CueSheet):
    made = editing.set_values(sheet, None, {"mode": "duck", "crossfade": 1, "preset": "subtle"})
    assert made.defaults == {"mix": {"loudness": None, "mode": "duck"}, "timing": {"crossfade": 1}}
    assert made.preset == "subtle"
    saved = cuesheet.save(made, path)
    assert cuesheet.load(path) == saved
    assert "# mixed elsewhere" in path.read_text()
    with pytest.raises(CueSheetError, match="seed is a scene's own; name the scene"):
        editing.set_values(sheet, None, {"seed": 3})


def test_a_new_target_goes_before_the_loudness_stated_earlier(sheet: CueSheet):
    made = editing.set_values(sheet, None, {"target": "podcast"})
    track = cuesheet.resolve(made, None).mix
    assert (track.target, track.loudness, track.true_peak) == ("podcast", -16.0, -1.0)
    both = editing.set_values(sheet, None, {"target": "podcast", "loudness": "-18"})
    assert cuesheet.resolve(both, None).mix.loudness == -18.0


def test_what_was_set_is_unset(sheet: CueSheet):
    tuned = editing.set_values(sheet, ["001"], {"pan": 1, "width": 1, "follow": 1})
    bare = editing.unset(tuned, ["001", "002"], ["mix", "generation.steps"])
    assert bare.scenes[0].overrides == {"timing": {"follow": 1.0}}
    assert editing.unset(tuned, ["001"], ["pan"]).scenes[0].overrides["mix"] == {"width": 1.0}
    assert editing.unset(sheet, None, ["loudness"]).defaults == {}
    fresh = editing.unset(sheet, ["001"], ["preset", "seed"]).scenes[0]
    assert (fresh.preset, fresh.seed) == ("default", cuesheet.derive_seed(7, "001"))
    assert editing.unset(replace(sheet, preset="city"), None, ["preset"]).preset is None
    with pytest.raises(CueSheetError, match='did you mean "pan"'):
        editing.unset(sheet, ["001"], ["pann"])


def test_a_preset_may_be_a_file_beside_the_sheet(path: Path, sheet: CueSheet):
    (path.parent / "own.toml").write_text("[generation]\nsteps = 77\n")
    made = editing.use_preset(sheet, ["001"], "own.toml")
    assert cuesheet.resolve(made, made.scenes[0]).generation.steps == 30
    bare = editing.unset(made, ["001"], ["steps"])
    assert cuesheet.resolve(bare, bare.scenes[0]).generation.steps == 77


@pytest.mark.parametrize("parameter", presets.PARAMETERS, ids=lambda each: each.key)
def test_every_setting_can_be_given_as_text(sheet: CueSheet, parameter: presets.Parameter):
    if parameter.section == "match":
        with pytest.raises(CueSheetError, match="is unknown"):
            editing.set_values(sheet, None, {f"match.{parameter.key}": "x"})
        return
    value = parameter.default
    text = ",".join(value) if isinstance(value, tuple) else "none" if value is None else str(value)
    made = editing.set_values(sheet, None, {f"{parameter.section}.{parameter.key}": text})
    assert made.defaults[parameter.section][parameter.key] == value


# Scenes


def test_bounds_move_alone_or_with_the_neighbours_they_touch(sheet: CueSheet):
    made = editing.move(sheet, "002", end=4.0)
    assert [(scene.start, scene.end) for scene in made.scenes] == [(0, 1.2), (1.2, 4), (4.5, 9)]
    rolled = editing.move(sheet, "002", 1.0, 5.0, roll=True)
    assert [(scene.start, scene.end) for scene in rolled.scenes] == [(0, 1), (1, 5), (5, 9)]
    apart = editing.move(made, "003", start=4.25, roll=True)
    assert [(scene.start, scene.end) for scene in apart.scenes] == [(0, 1.2), (1.2, 4), (4.25, 9)]
    with pytest.raises(CueSheetError, match=r"scene 001 would end at 0.0, not after its start"):
        editing.move(sheet, "002", start=0.0, roll=True)
    with pytest.raises(CueSheetError, match=r"scene 001 would start at -1.0, before 0"):
        editing.move(sheet, "001", start=-1)


def test_a_split_scene_keeps_its_first_half_as_it_was(sheet: CueSheet):
    sheet = editing.pick(editing.mute(sheet, ["001"]), "001", 2)
    made = editing.split(sheet, "001", 0.5)
    first, second = made.scenes[:2]
    assert first == replace(sheet.scenes[0], end=0.5, pick=None)  # it was picked as a longer one
    seed = cuesheet.derive_seed(7, "001b")
    assert second == replace(sheet.scenes[0], id="001b", start=0.5, seed=seed, pick=None)
    again = editing.split(editing.split(made, "001b", 0.75), "001", 0.25)
    assert [scene.id for scene in again.scenes] == ["001", "001d", "001b", "001c", "002", "003"]
    for at in (0.0, 1.2, 5.0, -1.0):
        with pytest.raises(CueSheetError, match=r"can only be split between 0\.0 and 1\.2, not"):
            editing.split(sheet, "001", at)


def test_the_names_of_splits_never_run_out(path: Path, sheet: CueSheet):
    for _ in range(60):
        sheet = editing.split(sheet, "003", sheet.scenes[2].end - 0.05)
    assert sheet.scenes[-1].id == "003b"
    assert {"003z", "003aa", "003bi"} < set(by_id(sheet))
    assert cuesheet.save(sheet, path) == cuesheet.load(path)


def test_merged_scenes_are_as_the_first_was(sheet: CueSheet):
    made = editing.merge(sheet, ["002", "001"])
    assert made.scenes == (replace(sheet.scenes[0], end=4.5), sheet.scenes[2])
    gap = editing.move(sheet, "002", start=2.0)
    assert editing.merge(gap, ["001", "002", "003"]).scenes == (replace(sheet.scenes[0], end=9.0),)
    assert editing.merge(editing.split(sheet, "003", 6), ["003", "003b"]) == sheet
    with pytest.raises(CueSheetError, match="scene 002 lies between"):
        editing.merge(sheet, ["001", "003"])
    with pytest.raises(CueSheetError, match="name two scenes or more"):
        editing.merge(sheet, ["001"])
    with pytest.raises(CueSheetError, match='there is no scene "1"'):
        editing.merge(sheet, ["001", "1"])


def test_scenes_are_muted_and_soloed(sheet: CueSheet):
    made = editing.solo(editing.mute(sheet, ["001"]), ["001", "002"])
    assert [made.sounds(scene) for scene in made.scenes] == [False, True, False]
    assert editing.solo(editing.mute(made, ["001"], False), ["001", "002"], False) == sheet


def test_a_reroll_is_another_seed_each_time_and_forgets_the_pick(sheet: CueSheet):
    sheet = editing.pick(sheet, "001", 2)
    once = editing.reroll(sheet, ["001"])
    twice = editing.reroll(once, ["001"])
    seeds = [each.scenes[0].seed for each in (sheet, once, twice)]
    assert len(set(seeds)) == 3
    assert once == editing.reroll(sheet, ["001"])
    assert once.scenes[0].pick is None
    assert once.scenes[1:] == sheet.scenes[1:]
    assert editing.reroll(sheet, ["001"], seed=5).scenes[0].seed == 5


def test_only_a_candidate_that_was_made_can_be_picked(sheet: CueSheet):
    assert editing.pick(sheet, "001", 7).scenes[0].pick == 7  # nothing was rendered yet
    made = [{"number": 1}, {"number": 2}]
    provenance.save(sheet.artefacts, [{"scene": "001", "candidates": made}])
    chosen = editing.pick(sheet, "001", 2)
    assert [scene.pick for scene in chosen.scenes] == [2, None, None]
    assert editing.pick(chosen, "001", None) == sheet
    with pytest.raises(CueSheetError, match="scene 001 has no candidate 3; it has 1, 2"):
        editing.pick(sheet, "001", 3)
    for number in (0, 100):
        with pytest.raises(CueSheetError, match=f"from 1 to 99, not {number}"):
            editing.pick(sheet, "002", number)
    with pytest.raises(CueSheetError, match='there is no scene "01"; did you mean "001"'):
        editing.pick(sheet, "01", 1)


def test_what_was_picked_goes_with_the_bounds_it_was_made_for(sheet: CueSheet):
    sheet = editing.pick(sheet, "001", 2)
    scene = sheet.scenes[0]
    assert editing.move(sheet, "001", end=scene.end).scenes[0].pick == 2
    assert editing.move(sheet, "001", end=scene.end - 0.25).scenes[0].pick is None
    assert editing.merge(sheet, ["001", "002"]).scenes[0].pick is None


def test_a_reference_that_is_not_there_is_refused(sheet: CueSheet, tmp_path: Path):
    sheet = replace(sheet, path=tmp_path / "a.cues.toml")
    with pytest.raises(CueSheetError, match=r"no reference .*bell\.wav; its path is relative"):
        editing.set_values(sheet, ["001"], {"reference": "bell.wav"})
    (tmp_path / "bell.wav").write_bytes(b"RIFF")
    made = editing.set_values(sheet, ["001"], {"reference": "bell.wav"})
    assert made.scenes[0].overrides["generation"]["reference"] == "bell.wav"
