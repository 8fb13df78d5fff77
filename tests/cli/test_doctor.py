from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_doctor_tells_what_is_here(
    cli: Cli, user: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("V2A_FOLEY_CACHE_DIR", str(user / "cache"))
    report = json.loads(cli("doctor", "--json").stdout)
    assert report.keys() == {
        "version", "python", "system", "ffmpeg", "torch", "devices", "packs", "cache", "presets",
        "problems",
    }  # fmt: skip
    assert report["ffmpeg"].keys() == {"path", "version"}
    assert report["devices"][0]["name"] == "cpu"
    assert "tiny" in [each["name"] for each in report["packs"]]
    assert report["cache"]["folder"] == str(user / "cache")
    assert report["cache"]["bytes"] == 0
    assert report["cache"]["free"] > 0
    assert report["presets"]["count"] == 14


def test_doctor_in_words(cli: Cli, pack: Path):
    text = cli("doctor").stdout
    assert f"tiny 1.2, not for commercial use, at {pack}" in text
    assert "generator: CC BY-NC-SA 4.0" in text
    assert "at " in next(line for line in text.splitlines() if line.startswith("ffmpeg"))


def test_a_part_that_is_broken_does_not_hide_the_rest(
    cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = user / "config" / "presets"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text("[mix\n")
    monkeypatch.setenv("V2A_FOLEY_FFMPEG", "/nowhere/ffmpeg")
    result = cli("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["ffmpeg"] is None
    assert report["presets"] is None
    assert report["devices"]
    problems = " ".join(report["problems"])
    assert "/nowhere/ffmpeg" in problems
    assert "mine.toml, line 1" in problems
    assert "ffmpeg    missing" in cli("doctor").stdout
