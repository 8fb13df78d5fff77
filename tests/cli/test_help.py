from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from tests.cli.conftest import Cli
from v2a_foley.cli import app
from v2a_foley.presets import PARAMETERS

HEAVY = ("torch", "numpy", "av", "scenedetect", "cv2", "soundfile", "soxr", "ffmpeg", "diffusers")


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = list(commands(typer.main.get_command(app)))


def test_the_command_line_imports_nothing_heavy():
    code = f"import sys, v2a_foley.cli; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_all_commands_are_there():
    assert {" ".join(path) for path in COMMANDS} == {
        "", "run", "spot", "render", "deliver", "scenes", "review", "doctor",
        "models", "models list", "models info", "models check", "models pull", "models convert",
        "presets", "presets list", "presets show", "presets new", "presets check",
        "mapper", "mapper embed", "mapper train",
        "cue", "cue show", "cue set", "cue unset", "cue split", "cue merge", "cue move",
        "cue mute", "cue unmute", "cue solo", "cue unsolo", "cue pick", "cue reroll", "cue relink",
        "library", "library add", "library refresh", "library list", "library info",
        "library search", "library remove",
        "batch", "batch run", "batch status", "batch failed", "batch report",
        "evaluate", "evaluate mapper", "evaluate sounds", "evaluate export",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(cli: Cli, path: tuple[str, ...]):
    long, short = cli(*path, "--help"), cli(*path, "-h")
    assert (long.exit_code, long.stderr) == (0, "")
    assert long.stdout == short.stdout
    assert "Usage: " in long.stdout


@pytest.mark.parametrize(
    "path", [(), ("models",), ("presets",), ("mapper",), ("evaluate",), ("batch",)]
)
def test_a_group_alone_shows_its_help(cli: Cli, path: tuple[str, ...]):
    result = cli(*path)
    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_every_setting_of_a_preset_is_an_option_of_run(cli: Cli):
    words = re.sub(r"[\s│]+", " ", cli("run", "--help").stdout)
    for each in PARAMETERS:
        flag = f"--{each.key.replace('_', '-')} "
        assert (flag in words) == (each.section != "match"), flag
    assert "Denoising steps (a whole number from 1 to 1000)." in words
    assert "--mode replace|mix|duck" in words


@pytest.mark.parametrize(
    "arguments",
    [("nope",), ("run",), ("run", "a", "b"), ("run", "a", "--nope"), ("run", "a", "--seed", "x")],
)
def test_wrong_usage_is_2(cli: Cli, arguments: tuple[str, ...]):
    result = cli(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


def test_version(cli: Cli):
    result = cli("--version")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"v2a-foley \d+\.\d+\.\d+\S*\n", result.stdout)


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "v2a_foley", "presets", "show", "none"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('error: there is no preset "none"')
