from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.refusal import TINY, refused
from tests.pairs.made import clip

STARTER = ("--models", "starter", "--device", "cpu")
EMBED = ("mapper", "embed")


@pytest.fixture
def media(cli: Cli) -> Path:
    """Two clips, one of them mute."""
    folder = Path("media").absolute()
    clip(folder / "dog.mp4", "dog_1", "cat_1")
    clip(folder / "mute.mp4", "cow_1", None)
    return folder


def test_a_folder_of_videos(cli: Cli, media: Path):
    arguments = (*EMBED, media, "-o", "pairs", *STARTER, "--window", "2", "--fps", "1")
    result = cli(*arguments)
    assert (result.exit_code, result.stdout) == (1, "pairs\n")
    assert "left out" in result.stderr
    assert "mute.mp4: has no sound" in result.stderr
    assert result.stderr.endswith("error: 1 sources were left out: see pairs/failed.jsonl\n")
    (media / "mute.mp4").unlink()
    again = cli(*arguments, "--json", "--quiet")
    assert (again.exit_code, again.stderr) == (0, "")
    record = json.loads(again.stdout)
    assert (record["folder"], record["pairs"], record["added"]) == ("pairs", 2, 0)
    assert record["splits"] == {"train": 2, "valid": 0, "test": 0}
    assert record["failed"] == []


def test_text_from_a_table(cli: Cli):
    Path("phrases.tsv").write_text("visual\tsound\na dog\ta bark\na cat\ta meow\n")
    arguments = (*EMBED, "--from-text", "phrases.tsv", "-o", "pairs", *STARTER, "--copies", "3")
    result = cli(*arguments, "--json", "--noise", "0.05", "--seed", "4")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["pairs"] == 6
    settings = json.loads(Path("pairs/pairs.json").read_text())["settings"]
    assert (settings["noise"], settings["copies"], settings["seed"]) == (0.05, 3, 4)
    other = cli(*arguments, "--noise", "0.06", "--seed", "4")
    assert other.exit_code == 2
    assert "noise 0.05, now it is 0.06" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name what to embed"),
        (("media", "--from-text", "bank"), "and not both"),
        (("media", "--noise", "0.1"), "--noise means nothing for media"),
        (("--from-text", "bank", "--fps", "2"), "--fps means nothing for phrases"),
        (("--from-text", "bank", "--copies", "0"), "must be 1 or more"),
        (("--from-text", "missing.tsv"), "missing.tsv: no such file"),
        (("media", "--valid", "0.7", "--test", "0.3"), "something must be left to train on"),
        (("media", "--fps", "0"), "must be above 0"),
        (("media", "--window", "0.1"), "must be 0.5 s or longer"),
        (("media", "--media", "missing"), "missing: is no folder"),
        (("missing",), "missing: no such file or folder"),
        (("empty",), "empty: holds no videos"),
        (("table.csv",), "table.csv, row 3: has 1 fields, the header 2"),
        (("absent.csv",), "none of the files it lists is there"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    cli: Cli, media: Path, pack: Path, arguments: tuple[str, ...], words: str
):
    Path("empty").mkdir()
    Path("table.csv").write_text("video,label\nmedia/dog.mp4,dog\nmedia/dog.mp4\n")
    Path("absent.csv").write_text("video\nnowhere.mp4\n")
    assert words in refused(cli, *EMBED, *arguments, "-o", "pairs", *TINY)


def test_a_folder_that_is_in_the_way(cli: Cli, media: Path, pack: Path):
    assert "is not empty and is not a folder of pairs" in refused(
        cli, *EMBED, "media", "-o", "media", *TINY
    )
    assert "is a file" in refused(cli, *EMBED, "media", "-o", "media/dog.mp4", *TINY)
