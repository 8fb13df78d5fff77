from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.cli.conftest import Cli
from v2a_foley import cuesheet, presets


def test_list(cli: Cli):
    lines = cli("presets", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "SOURCE", "DESCRIPTION"]
    assert [line.split()[0] for line in lines[1:]] == presets.names()
    entries = json.loads(cli("presets", "list", "--json").stdout)
    assert entries[0].keys() == {"name", "source", "path", "description"}


def test_show_marks_what_a_preset_states(cli: Cli):
    result = cli("presets", "show", "city")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0] == "name         city"
    marked = [line.split()[1] for line in lines if line.startswith("*")]
    assert marked[:2] == ["match.tags", "match.groups"]
    assert "generation.top_k" in marked
    assert "generation.steps" not in marked
    values = json.loads(cli("presets", "show", "city", "--json").stdout)
    assert values["generation"]["steps"] == 15
    assert values["stated"]["timing"] == {"crossfade": 0.5}


def test_show_takes_a_file_and_names_a_near_miss(cli: Cli):
    Path("own.toml").write_text("[mix]\nloudness = 'none'\n")
    shown = cli("presets", "show", "own.toml").stdout
    assert ["*", "mix.loudness", '"none"'] in [line.split()[:3] for line in shown.splitlines()]
    result = cli("presets", "show", "citty")
    assert (result.exit_code, result.stdout) == (2, "")
    assert 'did you mean "city"?' in result.stderr


def test_new_writes_into_the_users_folder_once(cli: Cli, user: Path):
    result = cli("presets", "new", "mine", "--from", "city")
    path = user / "config" / "presets" / "mine.toml"
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}\n", "")
    assert presets.find("mine").generation == presets.find("city").generation
    path.write_text("[generation]\nsteps = 3\n")
    again = cli("presets", "new", "mine")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "exists already" in again.stderr
    assert presets.find("mine").generation.steps == 3


def test_new_saves_how_a_scene_is_tuned(cli: Cli, user: Path, sheet: Path):
    Path("door.wav").write_bytes(b"")
    tuned = ("gain_db=-3", "guard=none", "reference=door.wav", "high_pass=80", 'prompt=a "door"')
    cli("cue", "set", sheet, "001", *tuned)
    cli("cue", "set", sheet, "--defaults", "steps=12", "target=podcast")
    result = cli("presets", "new", "mine", "--from-scene", f"{sheet}:001")
    path = user / "config" / "presets" / "mine.toml"
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}\n", "")
    mine, city = presets.find("mine"), presets.find("city")
    own = {
        "steps": 12,
        "guard": (),
        "prompt": 'a "door"',
        "reference": str(Path("door.wav").absolute()),
    }
    assert mine.stated["generation"] == {**city.stated["generation"], **own}
    assert mine.stated["timing"] == city.stated["timing"]
    assert mine.stated["mix"] == {"gain_db": -3.0, "high_pass": 80.0, "width": 0.5}
    assert (mine.mix.target, mine.match.groups) == ("ebu-r128", ())
    text = path.read_text()
    assert '#groups = ["city"]' in text
    assert 'description = "As scene 001 of clip.mp4"' in text
    loaded = cuesheet.load(sheet)
    same = replace(loaded.scenes[1], preset="mine")
    assert cuesheet.resolve(loaded, same).generation == mine.generation


def test_new_refuses_scenes_that_are_not_there(cli: Cli, user: Path, sheet: Path):
    asked = ("presets", "new", "mine", "--from-scene")
    for scene, message in (
        (f"{sheet}:1", 'there is no scene "1"'),
        (f"{sheet}:", "must be SHEET:SCENE"),
        ("001", "must be SHEET:SCENE"),
        ("none.toml:001", "cannot be read"),
    ):
        result = cli(*asked, scene)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
    assert "exclude each other" in cli(*asked, f"{sheet}:001", "--from", "city").stderr
    assert not (user / "config").exists()


def test_new_refuses_names_and_bases_that_make_no_sense(cli: Cli, user: Path):
    assert cli("presets", "new", "../mine").exit_code == 2
    assert cli("presets", "new", "mine", "--from", "nothing").exit_code == 2
    assert not (user / "config").exists()


def test_new_says_when_the_folder_cannot_be_written(cli: Cli, user: Path):
    user.mkdir()
    (user / "config").write_text("a file where a folder should be")
    result = cli("presets", "new", "mine")
    assert result.exit_code == 1
    assert "mine.toml: cannot be written" in result.stderr


def test_check(cli: Cli, user: Path):
    cli("presets", "new", "mine")
    all_fine = cli("presets", "check")
    assert (all_fine.exit_code, all_fine.stdout) == (0, "")
    assert all_fine.stderr == "15 of 15 presets are valid\n"
    (user / "config" / "presets" / "mine.toml").write_text("[generation]\nstep = 3\n")
    Path("own.toml").write_text("[mix\n")
    result = cli("presets", "check", "mine", "city", "own.toml")
    assert result.exit_code == 1
    assert 'line 2: generation.step is unknown; did you mean "steps"?' in result.stderr
    assert "own.toml, line 1: not valid TOML" in result.stderr
    assert result.stderr.endswith("1 of 3 presets are valid\n")
    assert cli("presets", "check").exit_code == 1
