from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.refusal import TINY, refused
from tests.library.made import folder_of_sounds, put

STARTER = ("--models", "starter")
ADD = ("library", "add", *STARTER, "--device", "cpu")


@pytest.fixture
def sounds(cli: Cli) -> Path:
    """A folder of five recordings, where the command line runs."""
    return folder_of_sounds(Path("sounds").absolute())


def test_adding_and_refreshing(cli: Cli, sounds: Path):
    result = cli(*ADD, "sounds")
    assert (result.exit_code, result.stdout) == (0, "sounds\n")
    assert "5 added, 0 changed, 0 moved, 0 unchanged, 0 dropped" in result.stderr
    (sounds / "bad.wav").write_bytes(b"RIFF no sound")
    (sounds / "thunder_1.ogg").unlink()
    again = cli("library", "refresh", *STARTER, "--json", "--quiet")
    assert again.exit_code == 1
    assert again.stderr.startswith(f"error: {sounds}/bad.wav: is not a sound file")
    assert len(again.stderr.splitlines()) == 1
    record = json.loads(again.stdout)
    assert record["libraries"] == [{"name": "sounds", "folder": str(sounds)}]
    assert (record["added"], record["unchanged"], record["dropped"]) == (0, 4, 1)
    assert [each["file"] for each in record["failed"]] == [str(sounds / "bad.wav")]
    assert record["skipped"] == []


def test_listing_and_info(cli: Cli, sounds: Path):
    none = cli("library", "list", *STARTER)
    assert (none.exit_code, none.stdout) == (0, "")
    assert "no sound library yet" in none.stderr
    assert cli("library", "list", *STARTER, "--json").stdout == "[]\n"
    assert cli(*ADD, "sounds", "--name", "my birds", "--licence", "CC0-1.0").exit_code == 0
    (record,) = json.loads(cli("library", "list", *STARTER, "--json").stdout)
    assert (record["name"], record["folder"], record["there"]) == ("my birds", str(sounds), True)
    assert (record["files"], record["licences"]) == (5, {"CC0-1.0": 5})
    assert record["seconds"] == pytest.approx(12.0, abs=0.2)
    table = cli("library", "list", *STARTER).stdout
    assert table.splitlines()[0].split() == ["NAME", "FILES", "LENGTH", "LICENCES", "FOLDER"]
    assert "0:00:12" in table
    shown = cli("library", "info", "my birds", *STARTER).stdout
    assert "CC0-1.0 (5)" in shown
    sounds.rename("elsewhere")
    assert "(not there)" in cli("library", "list", *STARTER).stdout
    told = json.loads(cli("library", "info", "my birds", *STARTER, "--json").stdout)
    assert (told["there"], told["made_with"][:8]) == (False, "starter-")


def test_searching_and_removing(cli: Cli, sounds: Path):
    assert cli(*ADD, "sounds").exit_code == 0
    result = cli("library", "search", "a rooster crowing", *STARTER, "-n", "2")
    assert result.exit_code == 0, result.stderr
    heading, first, _ = result.stdout.splitlines()
    assert heading.split() == ["COSINE", "LIBRARY", "FROM", "FILE"]
    assert first.split()[1:] == ["sounds", "0.0", f"{sounds}/rooster_1.ogg"]
    rows = json.loads(cli("library", "search", "thunder", *STARTER, "--json").stdout)
    assert len(rows) == 5
    assert (rows[0]["label"], rows[0]["licence"]) == ("thunder_1", "CC-BY-SA-3.0")
    assert rows[0]["start"] == 0
    gone = cli("library", "remove", "sounds", *STARTER, "--json")
    assert json.loads(gone.stdout) == [{"name": "sounds", "folder": str(sounds)}]
    assert (sounds / "rooster_1.ogg").is_file()
    assert json.loads(cli("library", "list", *STARTER, "--json").stdout) == []
    assert "holds" not in refused(cli, "library", "remove", "sounds", *STARTER)


def test_bad_input_is_refused_before_any_work(cli: Cli, sounds: Path, pack: Path):
    Path("empty").mkdir()
    for arguments, words in {
        ("add", "missing"): "missing: no such folder; check its name",
        ("add", "sounds/notes.txt"): "is a file; name its folder",
        ("add", "empty"): "holds no sound files",
        ("add", "sounds", "sounds/house"): "overlaps with",
        ("add", "sounds", "empty", "--name", "x"): "a name is for one folder",
        ("search", " "): "say what is to be heard",
        ("search", "rain"): "'v2a-foley library add FOLDER'",
        ("refresh",): "holds no sound library",
        ("remove", "x"): "holds no sound library",
        ("info", "x"): "holds no sound library",
    }.items():
        assert words in refused(cli, "library", *arguments, *STARTER), arguments
    assert "has no CLAP audio tower" in refused(cli, "library", "add", "sounds", *TINY)
    assert "models convert" in refused(cli, "library", "list", *TINY)


def test_names_that_are_hard_to_print(cli: Cli, sounds: Path):
    put(sounds / "a\x1b[2J\nb.ogg", "fire_1")
    (sounds / "c\x1b[2J.wav").write_bytes(b"no sound")
    result = cli(*ADD, "sounds")
    assert result.exit_code == 1
    found = cli("library", "search", "fire crackling", *STARTER)
    assert "\x1b" not in result.stdout + result.stderr + found.stdout
    assert "a\\x1b[2J\\nb.ogg" in found.stdout
