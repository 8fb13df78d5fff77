from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from v2a_foley.cli.options import Spotting
from v2a_foley.spotting import SpotSettings


def test_the_scenes_of_a_video_need_no_model_without_tags(cli: Cli, video: Path):
    found = json.loads(cli("scenes", video, "--no-tags", "--json").stdout)
    assert [each["id"] for each in found] == ["001", "002"]
    assert found[0].keys() == {"id", "start", "end", "length"}
    assert found[0]["end"] == found[1]["start"] == pytest.approx(1.5, abs=0.1)
    assert found[1]["end"] == pytest.approx(3.0, abs=0.1)


def test_the_scenes_of_a_sheet(cli: Cli, sheet: Path):
    result = cli("scenes", sheet)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        " ID  START    END  LENGTH  PRESET   TAGS",
        "001  0.000  1.500   1.500  city     street traffic 0.43",
        "002  1.500  3.000   1.500  default",
    ]
    found = json.loads(cli("scenes", sheet, "--json").stdout)
    assert found[0] == {
        "id": "001", "start": 0.0, "end": 1.5, "length": 1.5, "preset": "city", "seed": 11,
        "tags": [{"concept": "street traffic", "group": "city", "score": 0.43}],
    }  # fmt: skip


def test_csv_can_be_read_back(cli: Cli, sheet: Path):
    rows = list(csv.DictReader(cli("scenes", sheet, "--csv").stdout.splitlines()))
    assert rows[0] == {
        "id": "001", "start": "0.0", "end": "1.5", "length": "1.5", "preset": "city",
        "seed": "11", "tags": "street traffic 0.43",
    }  # fmt: skip
    bare = cli("scenes", sheet, "--csv", "--no-tags").stdout
    assert bare == "id,start,end,length\n001,0.0,1.5,1.5\n002,1.5,3.0,1.5\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--json", "--csv"), "exclude each other"),
        (("--detector", "psychic"), "is unknown"),
        (("--threshold", "0"), "must be above 0"),
        (("--min-scene", "-1"), "must be 0 or more"),
    ],
)
def test_flags_that_make_no_sense(cli: Cli, video: Path, flags: tuple[str, ...], message: str):
    result = cli("scenes", video, "--no-tags", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_files_that_are_not_there(cli: Cli):
    for name in ("none.mp4", "none.cues.toml"):
        result = cli("scenes", name, "--no-tags")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "error: none." in result.stderr


def test_settings_that_are_not_given_are_the_librarys(cli: Cli):
    assert Spotting().settings() == SpotSettings()
    assert Spotting(min_scene=2.0).settings() == SpotSettings(min_scene=2.0)
    assert f"{SpotSettings().min_scene:g} if not given" in cli("scenes", "--help").stdout
    assert f"{SpotSettings().detector} (if not given)" in cli("scenes", "--help").stdout
