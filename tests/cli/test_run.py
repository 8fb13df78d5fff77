"""Commands that run models: the pack that ships, on a clip of three seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from v2a_foley import cuesheet
from v2a_foley.media.probe import probe

QUICK = ("--models", "starter", "--device", "cpu", "--steps", "2", "--candidates", "1")


def files() -> set[str]:
    return {each.name for each in Path().iterdir()}


def test_run_writes_the_video_and_tells_of_it(cli: Cli, video: Path):
    result = cli("run", "clip.mp4", *QUICK, "--seed", "1")
    assert (result.exit_code, result.stdout) == (0, "clip.foley.mp4\n"), result.stderr
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("model pack: starter ")
    assert "models pull" not in result.stderr
    for stage in ("spot", "render", "deliver"):
        assert result.stderr.count(f"\n{stage}: done in ") == 1
    assert last.startswith("2 scenes (0 made before), ")
    assert files() == {"clip.mp4", "clip.foley.mp4"}
    made = probe(Path("clip.foley.mp4"))
    assert made.duration == pytest.approx(probe(video).duration, abs=0.05)
    assert len(made.audio) == 1


def test_run_as_json_and_again(cli: Cli, video: Path):
    flags = ["--cue-sheet", "clip.cues.toml", "--stems", "parts", "--json"]
    first = cli("run", video, *QUICK, *flags, "--seed", "3", "--preset", "city")
    assert first.exit_code == 0, first.stderr
    record = json.loads(first.stdout)
    assert record.keys() == {
        "video", "cue_sheet", "output", "duration", "stems", "timelines", "sidecar", "loudness",
        "levelling", "pack", "preset", "seed", "seconds", "scenes",
    }  # fmt: skip
    assert (record["preset"], record["seed"], record["pack"]["name"]) == ("city", 3, "starter")
    assert record["seconds"].keys() == {"spot", "render", "deliver"}
    assert record["loudness"].keys() == {
        "integrated", "range", "momentary_max", "short_term_max", "true_peak",
    }  # fmt: skip
    assert record["loudness"]["integrated"] == pytest.approx(-23.0, abs=0.5)
    assert record["levelling"].keys() == {
        "before", "after", "gain_db", "true_peak_db", "limited", "note",
    }  # fmt: skip
    assert [Path(each).name for each in record["stems"]] == ["001.wav", "002.wav", "track.wav"]
    for scene in record["scenes"]:
        assert scene.keys() == {
            "id", "start", "end", "length", "preset", "seed", "tags", "stem", "seconds", "handle",
            "cached", "pick", "candidates", "similarity", "sources", "changed", "notes",
        }  # fmt: skip
        assert scene["preset"] == "city"
        assert not scene["cached"]
    assert cuesheet.load("clip.cues.toml").seed == 3
    again = cli("run", video, *QUICK, *flags, "--overwrite", "-v")
    assert all(scene["cached"] for scene in json.loads(again.stdout)["scenes"])
    assert "this cue sheet is used" in again.stderr
    assert " CACHED" in again.stderr
    refused = cli("run", video, *QUICK, *flags)
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_quiet_prints_the_name_alone(cli: Cli, video: Path):
    result = cli("run", video, *QUICK, "-o", "new.mkv", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "new.mkv\n", "")


def test_the_stages_one_at_a_time(cli: Cli, video: Path):
    models = QUICK[:4]
    spotted = cli("spot", "clip.mp4", *models)
    assert (spotted.exit_code, spotted.stdout) == (0, "clip.cues.toml\n"), spotted.stderr
    listed = json.loads(cli("scenes", "clip.cues.toml", "--json").stdout)
    assert [each["id"] for each in listed] == ["001", "002"]
    assert all(each["tags"] for each in listed)
    rendered = cli("render", "clip.cues.toml", *QUICK)
    assert rendered.exit_code == 0, rendered.stderr
    assert [Path(line).name for line in rendered.stdout.splitlines()] == ["001.wav", "002.wav"]
    again = cli("render", "clip.cues.toml", *QUICK, "--json")
    assert [each["cached"] for each in json.loads(again.stdout)["scenes"]] == [True, True]
    delivered = cli("deliver", "clip.cues.toml", "--mode", "mix", "--loudness", "none", "--json")
    record = json.loads(delivered.stdout)
    assert record.keys() == {
        "cue_sheet", "output", "duration", "stems", "timelines", "sidecar", "loudness", "levelling",
    }  # fmt: skip
    assert Path(record["output"]).name == "clip.foley.mp4"
    assert Path(record["output"]).is_file()


def test_scenes_of_a_video_with_what_they_show(cli: Cli, video: Path):
    result = cli("scenes", video)
    assert result.exit_code == 0, result.stderr
    assert "'v2a-foley models pull foundation' fetches it" in result.stderr
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["ID", "START", "END", "LENGTH", "PRESET", "TAGS"]
    assert len(rows) == 2
    assert files() == {"clip.mp4"}


def test_the_pack_that_ships_is_whole_and_loads(cli: Cli):
    result = cli("models", "check", "starter", "--load")
    assert result.exit_code == 0, result.stderr
    for part in ("clip", "clap", "generator", "mapper"):
        assert f"{part}: loads\n" in result.stderr
    info = json.loads(cli("models", "info", "starter", "--json").stdout)
    assert info["licences"]
    assert cli("doctor").exit_code == 0


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_an_interrupted_run_leaves_nothing_behind(cli: Cli, video: Path):
    command = [sys.executable, "-m", "v2a_foley", "run", "clip.mp4", *QUICK[:4], "--steps", "1000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert child.stderr.readline().startswith("model pack: starter")
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == 130
    assert rest.endswith("error: interrupted\n")
    assert files() == {"clip.mp4"}
