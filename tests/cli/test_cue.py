"""``v2a-foley cue``: a cue sheet changed from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SHEET, Cli
from tests.cli.refusal import refused
from v2a_foley import cuesheet, provenance
from v2a_foley.cuesheet import CueSheet, fingerprint

MADE = [
    {"number": 1, "seed": 11, "similarity": 0.31, "fault": "", "offset": 0.04, "sources": []},
    {"number": 2, "seed": 71, "similarity": None, "fault": "speech", "offset": None, "sources": []},
]


@pytest.fixture
def rendered(sheet: Path) -> Path:
    """The sheet of two scenes, with two candidates of the first."""
    record = {"scene": "001", "pick": 1, "candidates": MADE, "notes": ["made again: speech"]}
    provenance.save(cuesheet.load(sheet).artefacts, [record])
    return sheet


def run(cli: Cli, *arguments: str | Path) -> CueSheet:
    """The sheet after a command that must work."""
    result = cli("cue", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return cuesheet.load(Path(arguments[1]))


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line]


# Showing


def test_show_lists_scenes_with_what_they_state_and_what_was_made(cli: Cli, rendered: Path):
    run(cli, "set", rendered, "001", "gain_db=-3", "prompt=heavy door")
    run(cli, "set", rendered, "--defaults", "target=streaming", "steps=12")
    run(cli, "solo", rendered, "002")
    result = cli("cue", "show", rendered)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("video     ")
    assert lines[0].endswith("(not there: v2a-foley cue relink " + str(rendered) + " VIDEO)")
    assert 'track     mix.target = "streaming"' in lines
    assert rows(result.stdout)[-3:] == [
        ["ID", "START", "END", "PRESET", "STATE", "CANDIDATE", "SETTINGS", "TAGS"],
        ["001", "0.000", "1.500", "city", "silent", "1", "of", "2", 'prompt="heavy', 'door",',
         "steps=12,", "gain_db=-3.0", "street", "traffic", "0.43"],
        ["002", "1.500", "3.000", "default", "solo", "steps=12"],
    ]  # fmt: skip


def test_show_tells_all_of_a_scene(cli: Cli, rendered: Path):
    run(cli, "set", rendered, "001", "gain_db=-3")
    run(cli, "pick", rendered, "001", "2")
    shown = rows(cli("cue", "show", rendered, "001").stdout)
    for row in [
        ["time", "0.000", "to", "1.500", "s", "(1.500", "s)"],
        ["candidate", "2", "of", "2", "(picked)"],
        ["notes", "made", "again:", "speech"],
        ["mix.gain_db", "-3.0", "scene"],
        ["generation.top_k", "12", "preset"],
        ["1", "11", "0.310", "-", "0.040", "s"],
        ["*", "2", "71", "-", "speech", "-"],
    ]:
        assert row in shown
    assert ["candidate", "not", "rendered", "yet"] in rows(
        cli("cue", "show", rendered, "002").stdout
    )


def test_show_as_json(cli: Cli, rendered: Path):
    run(cli, "set", rendered, "002", "gain_db=-3", "high_pass=80")
    shown = json.loads(cli("cue", "show", rendered, "--json").stdout)
    assert (shown["video_found"], shown["settings"]) == (False, {})
    first, second = shown["scenes"]
    assert first["candidates"] == MADE
    assert (first["used"], first["pick"], first["sounds"]) == (1, None, True)
    assert first["settings"]["timing.crossfade"] == {"value": 0.5, "from": "preset"}
    assert second["settings"] == {
        "mix.gain_db": {"value": -3.0, "from": "scene"},
        "mix.high_pass": {"value": 80.0, "from": "scene"},
    }
    one = json.loads(cli("cue", "show", rendered, "002", "--json").stdout)
    assert one["scenes"] == [second]


# Changing


def test_each_command_changes_the_sheet_and_prints_the_changed_scenes(cli: Cli, sheet: Path):
    def ids(*arguments: str) -> list[str]:
        result = cli("cue", arguments[0], sheet, *arguments[1:])
        assert (result.exit_code, result.stderr) == (0, "")
        return [row[0] for row in rows(result.stdout)[1:]]

    assert ids("set", "001-002", "fade_in=0.2", "timing.sync=onset") == ["001", "002"]
    assert ids("unset", "all", "timing", "fade_in") == ["001", "002"]
    assert sheet.read_text() == SHEET
    assert ids("split", "002", "0:02.25") == ["002", "002b"]
    assert ids("merge", "002-002b") == ["002"]
    assert sheet.read_text() == SHEET
    assert ids("move", "002", "--start", "1.25", "--roll") == ["001", "002"]
    assert ids("move", "001", "--end", "1") == ["001"]
    assert ids("mute", "001,002") == ["001", "002"]
    assert ids("unmute", "all") == ["001", "002"]
    assert ids("solo", "002") == ["002"]
    assert ids("unsolo", "002") == ["002"]
    assert ids("pick", "001", "3") == ["001"]
    assert ids("pick", "001", "auto") == ["001"]
    assert ids("reroll", "all") == ["001", "002"]
    assert ids("reroll", "001", "--seed", "5") == ["001"]
    made = cuesheet.load(sheet)
    assert [(scene.start, scene.end) for scene in made.scenes] == [(0, 1), (1.25, 3)]
    assert made.scenes[0].seed == 5


def test_settings_of_the_sheet_show_the_sheet(cli: Cli, sheet: Path):
    result = cli("cue", "set", sheet, "--defaults", "mode=duck", "preset=subtle")
    assert (result.exit_code, result.stderr) == (0, "")
    assert 'defaults  mix.mode = "duck"' in result.stdout
    assert run(cli, "unset", sheet, "--defaults", "mode", "preset") == cuesheet.load(sheet)
    assert sheet.read_text() == SHEET


def test_changed_scenes_as_json(cli: Cli, sheet: Path):
    made = json.loads(cli("cue", "mute", sheet, "002", "--json").stdout)
    assert [(each["id"], each["mute"], each["sounds"]) for each in made["scenes"]] == [
        ("002", True, False)
    ]


def test_what_changes_nothing_says_so(cli: Cli, sheet: Path):
    result = cli("cue", "unmute", sheet, "all")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "that is how it was already: nothing is changed\n"
    assert json.loads(cli("cue", "unmute", sheet, "all", "--json").stdout)["scenes"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "001", "stepps=3"), 'stepps is unknown; did you mean "steps"?'),
        (("set", "001", "steps=0"), "generation.steps must be a whole number from 1 to 1000"),
        (("set", "001", "steps"), "'steps': must be KEY=VALUE, as in steps=30"),
        (("set", "steps=3"), "steps=3: name the scenes first, or --defaults, then the keys"),
        (("set", "steps=3", "pan=1"), "name the scenes first"),
        (("set", "001"), "name the scenes first"),
        (("set", "--defaults", "001", "pan=1"), "'001': must be KEY=VALUE"),
        (("set", "001", "mode=duck"), "mode holds for the whole track; .* (cue set --defaults)"),
        (("set", "--defaults", "start=1"), "start is a scene's own; name the scene"),
        (("set", "004", "pan=1"), 'there is no scene "004"; did you mean'),
        (("unset", "001", "pann"), 'pann is unknown; did you mean "pan"?'),
        (("unset", "001"), "name the scenes first"),
        (("split", "001", "2"), "scene 001 can only be split between 0.0 and 1.5, not at 2.0"),
        (("split", "001", "x"), "the cut must be seconds, like 62.5 or 1:02.5, not 'x'"),
        (("merge", "001"), "name two scenes or more to merge"),
        (
            ("move", "001", "--end", "2"),
            "scene 002 would start at 1.5, before the end of scene 001",
        ),
        (("move", "001"), "give --start, --end or both"),
        (("pick", "001", "3"), "scene 001 has no candidate 3; it has 1, 2"),
        (("pick", "001", "best"), "'best': must be a candidate's number, or auto"),
        (("pick", "002", "0"), "a candidate's number is from 1 to 99, not 0"),
        (("mute", "1"), 'there is no scene "1"'),
        (("relink", "none.mp4"), "none.mp4"),
    ],
    ids=" ".join,
)
def test_a_refused_edit_leaves_all_as_it_was(
    cli: Cli, rendered: Path, arguments: tuple[str, ...], message: str
):
    line = refused(cli, "cue", arguments[0], rendered, *arguments[1:])
    for part in message.split(" .* "):
        assert part in line


@pytest.mark.parametrize("command", ["show", "mute"])
def test_a_sheet_that_is_broken_or_not_there(cli: Cli, sheet: Path, command: str):
    more = () if command == "show" else ("all",)
    sheet.write_text(SHEET.replace("end = 1.5", "ende = 1.5"))
    assert 'line 15: scene #1 ende is unknown; did you mean "end"?' in refused(
        cli, "cue", command, sheet, *more
    )
    assert "cannot be read: No such file" in refused(cli, "cue", command, "none.toml", *more)


# The video


def test_a_moved_video_is_found_beside_the_sheet_or_asked_for(
    cli: Cli, stems: Path, video: Path, tmp_path: Path
):
    text = SHEET.replace('"abc"', f'"{fingerprint(video)}"').replace(
        '"clip.mp4"', '"film/clip.mp4"'
    )
    stems.write_text(text)
    assert cli("deliver", stems, "-o", "beside.mp4").exit_code == 0
    away = video.rename(tmp_path / "elsewhere.mp4")
    line = refused(cli, "deliver", stems, "-o", "away.mp4")
    assert "film/clip.mp4 is not there: put it back, or say where it is: v2a-foley cue reli" in line
    result = cli("cue", "relink", stems, away)
    assert (result.exit_code, result.stderr) == (0, "")
    assert stems.read_text() == text.replace('"film/clip.mp4"', '"../elsewhere.mp4"')
    assert cli("deliver", stems, "-o", "away.mp4").exit_code == 0
    other = tmp_path / "other.mp4"
    other.write_bytes(away.read_bytes() + b"\0" * 8)
    assert "other.mp4 is not the video that was spotted" in refused(
        cli, "cue", "relink", stems, other
    )
    assert cli("cue", "relink", stems, other, "--changed").exit_code == 0
    assert cuesheet.load(stems).fingerprint == fingerprint(other)


# Scenes from elsewhere


LIST = "start,end\n0,1\n1.5,2.75\n"


def test_scenes_are_taken_from_a_list(cli: Cli, video: Path):
    Path("cuts.csv").write_text(LIST)
    result = cli("scenes", video, "--no-tags", "--scenes", "cuts.csv", "--json", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert [(each["id"], each["start"], each["end"]) for each in found] == [
        ("001", 0, 1), ("002", 1.5, 2.75),
    ]  # fmt: skip


def test_a_spotted_sheet_has_the_scenes_of_the_list_and_is_run_where_its_video_is(
    cli: Cli, video: Path
):
    Path("cuts.csv").write_text(LIST)
    result = cli("spot", video, "--models", "starter", "--scenes", "cuts.csv")
    assert result.exit_code == 0
    made = cuesheet.load("clip.cues.toml")
    assert [(scene.start, scene.end) for scene in made.scenes] == [(0, 1), (1.5, 2.75)]
    moved = video.rename("moved.mp4")
    quick = ("--steps", "1", "--candidates", "1", "--seeded", "0")
    result = cli("run", moved, "--cue-sheet", "clip.cues.toml", "--models", "starter", *quick)
    assert (result.exit_code, result.stdout) == (0, "moved.foley.mp4\n")


@pytest.mark.parametrize("command", ["spot", "run", "scenes"])
def test_a_list_that_does_not_fit_is_refused(cli: Cli, video: Path, command: str, pack: Path):
    Path("cuts.csv").write_text(LIST + "2.5,2.9\n")
    asked = (command, video, "--models", "tiny", "--scenes", "cuts.csv")
    assert "cuts.csv, line 4: the scene starts at 2.500 s, before the end of" in refused(
        cli, *asked
    )
    Path("cuts.csv").write_text(LIST + "2.8,4\n")
    assert "cuts.csv, line 4: the scene from 2.800 to 4.000 s ends after" in refused(cli, *asked)
    assert "leave out --detector" in refused(cli, *asked, "--detector", "hash")
    assert "names no columns" not in refused(cli, *asked[:-1], "cuts.avi")


def test_a_run_with_a_sheet_that_exists_takes_no_list(cli: Cli, video: Path, sheet: Path):
    Path("cuts.csv").write_text(LIST)
    line = refused(cli, "run", video, "--cue-sheet", sheet, "--scenes", "cuts.csv")
    assert "leave out --scenes, or name another --cue-sheet" in line
