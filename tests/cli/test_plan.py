"""``run`` up to where the work begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli


def plan(cli: Cli, *arguments: str | Path) -> dict[str, Any]:
    result = cli("run", *arguments, "--dry-run", "--json", "--models", "tiny")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def refused(cli: Cli, *arguments: str | Path) -> str:
    result = cli("run", *arguments, "--models", "tiny")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    return result.stderr


def files() -> list[str]:
    return sorted(each.name for each in Path().iterdir())


def test_a_dry_run_shows_the_plan_and_writes_nothing(cli: Cli, video: Path, pack: Path):
    made = plan(cli, "clip.mp4")
    assert made == {
        "video": "clip.mp4",
        "duration": pytest.approx(3.0, abs=0.1),
        "size": [160, 120],
        "rate": 25.0,
        "audio_tracks": 1,
        "audio_track": 0,
        "keep_original": False,
        "output": "clip.foley.mp4",
        "cue_sheet": None,
        "cue_sheet_exists": False,
        "stems": None,
        "handles": False,
        "timelines": [],
        "sidecar": None,
        "preset": None,
        "seed": 0,
        "pack": {"name": "tiny", "version": "1.2", "id": made["pack"]["id"], "commercial": False},
        "mapper": "bridge",
        "device": "auto",
        "settings": {},
    }
    text = cli("run", "clip.mp4", "--dry-run", "--models", "tiny", "--loudness", "none").stdout
    assert "output     clip.foley.mp4" in text
    assert "models     tiny 1.2 (not for commercial use)" in text
    assert "settings   mix.loudness = none" in text
    assert files() == ["clip.mp4"]


def test_only_what_was_given_is_an_override(cli: Cli, video: Path, pack: Path):
    flags = ["--steps", "20", "--guidance", "3", "--mode", "duck", "--loudness", "none"]
    made = plan(cli, video, *flags, "--negative", "", "--crossfade", "0.5", "--top-k", "4")
    assert made["settings"] == {
        "generation": {"negative": "", "guidance": 3.0, "steps": 20, "top_k": 4},
        "timing": {"crossfade": 0.5},
        "mix": {"mode": "duck", "loudness": None},
    }


def test_what_was_asked_for_is_in_the_plan(cli: Cli, video: Path, sheet: Path, pack: Path):
    flags = ["--stems", "parts", "--preset", "city", "--seed", "7", "--device", "cpu"]
    made = plan(cli, video, "-o", "out/new.mkv", "--cue-sheet", "new.cues.toml", *flags)
    assert (made["output"], made["stems"]) == (str(Path("out/new.mkv")), "parts")
    assert (made["preset"], made["seed"], made["device"]) == ("city", 7, "cpu")
    assert (made["cue_sheet"], made["cue_sheet_exists"]) == ("new.cues.toml", False)
    assert plan(cli, video, "--cue-sheet", sheet)["cue_sheet_exists"] is True


def test_a_sheet_that_exists_names_the_pack(cli: Cli, video: Path, sheet: Path, pack: Path):
    result = cli("run", video, "--cue-sheet", sheet, "--dry-run", "--json")
    assert json.loads(result.stdout)["pack"]["name"] == "tiny"


def test_names_that_look_like_options_work_after_two_dashes(cli: Cli, video: Path, pack: Path):
    video.rename("-clip.mp4")
    result = cli("run", "--dry-run", "--json", "--models", "tiny", "--", "-clip.mp4")
    assert json.loads(result.stdout)["output"] == "-clip.foley.mp4"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-o", "clip.mp4"), "is the input itself"),
        (("-o", "there.mp4"), "exists already; remove it or use --overwrite"),
        (("-o", "clip.txt"), "unknown container"),
        (("-o", "."), "is a folder"),
        (("--preset", "citty"), 'no preset "citty"; did you mean "city"?'),
        (("--models", "nothing"), "unknown model pack 'nothing'"),
        (("--mapper", "none.safetensors"), "none.safetensors: cannot be read as a mapper"),
        (("--device", "abacus"), "unknown device 'abacus'"),
        (("--detector", "psychic"), "is unknown"),
        (("--audio-track", "1"), "has no audio track 1"),
        (("--stems", "there.mp4"), "is not a folder"),
        (("--cue-sheet", "clip.mp4"), "not UTF-8 text"),
        (("--steps", "0"), "--steps must be a whole number from 1 to 1000, not 0"),
        (("--steps", "1.5"), "--steps must be a whole number from 1 to 1000, not '1.5'"),
        (("--loudness", "nan"), '--loudness must be a number from -70 to 0 or "none", not nan'),
        (("--mode", "ducks"), 'did you mean "duck"?'),
        (("--top-k", "many"), "--top-k must be a whole number"),
    ],
)
def test_all_is_checked_before_work_begins(
    cli: Cli, video: Path, pack: Path, flags: tuple[str, ...], message: str
):
    Path("there.mp4").touch()
    before = files()
    result = cli("run", video, *({} if "--models" in flags else ("--models", "tiny")), *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert files() == before


def test_what_is_in_the_stems_folder_is_kept(cli: Cli, video: Path, pack: Path):
    Path("parts").mkdir()
    Path("parts/track.wav").touch()
    assert "exists already" in refused(cli, video, "--stems", "parts")
    assert plan(cli, video, "--stems", "parts", "--overwrite")["stems"] == "parts"


@pytest.mark.parametrize(
    "flags", [("--preset", "city"), ("--seed", "1"), ("--min-scene", "1"), ("--detector", "hash")]
)
def test_what_an_existing_sheet_states_cannot_be_stated_again(
    cli: Cli, video: Path, sheet: Path, pack: Path, flags: tuple[str, ...]
):
    assert f"leave out {flags[0]}" in refused(cli, video, "--cue-sheet", sheet, *flags)


def test_input_that_is_no_video(cli: Cli, pack: Path):
    Path("a\x1b[2J.mp4").write_text("not a video")
    assert "no such file" in refused(cli, "none.mp4")
    message = refused(cli, "a\x1b[2J.mp4")
    assert "\x1b" not in message
    assert "is not a video" in message


def test_a_pack_without_models_is_named_before_it_fails(cli: Cli, video: Path, pack: Path):
    result = cli("run", video, "--models", "tiny", "--device", "cpu")
    first, second, *rest = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert first == "model pack: tiny 1.2, on cpu"
    assert second == "  not for commercial use: see 'v2a-foley models info tiny'"
    assert rest[-1].startswith("error: ")
    assert files() == ["clip.mp4"]


def test_spot_checks_first_too(cli: Cli, video: Path, sheet: Path, pack: Path):
    result = cli("spot", video, "--models", "tiny")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "clip.cues.toml: exists already" in result.stderr


def test_deliver_misses_the_stems(cli: Cli, video: Path, sheet: Path):
    result = cli("deliver", sheet)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the stem of scene 001 is missing: run 'v2a-foley render" in result.stderr


def test_render_takes_the_pack_of_the_sheet(cli: Cli, video: Path, sheet: Path, pack: Path):
    result = cli("render", sheet, "--device", "cpu")
    assert result.exit_code == 2
    assert result.stderr.startswith("model pack: tiny 1.2")
    assert "run 'v2a-foley spot' on the video again" in result.stderr
