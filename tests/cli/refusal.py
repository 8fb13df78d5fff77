"""Commands that must fail: with one line that says what to do, and without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cli.conftest import Cli

TINY = ("--models", "tiny")
COMMANDS = (
    ("run", *TINY),
    ("run", *TINY, "--dry-run", "--json"),
    ("spot", *TINY),
    ("scenes", *TINY),
    ("scenes", "--no-tags"),
)
CHILD = """\
import json, sys
from typer.testing import CliRunner
from v2a_foley.cli import app
for arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, arguments)
    print(json.dumps([result.exit_code, result.stdout, result.stderr]))
"""


def listing(folder: Path) -> dict[Path, tuple[object, ...]]:
    """All that is below a folder: which inode, of which kind and mode, with which bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else b""
        found[path] = (status.st_ino, status.st_mode, data)
    return found


def judged(code: int, stdout: str, stderr: str, due: int) -> str:
    """The one line of an error, after the word; fails where there is anything but it."""
    assert (code, stdout) == (due, ""), stderr
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "unexpected" not in line
    return line.removeprefix("error: ")


def refused(cli: Cli, *arguments: str | Path, code: int = 2) -> str:
    """The error of a command that must fail without leaving anything behind."""
    before = listing(Path().absolute().parent)
    result = cli(*arguments)
    line = judged(result.exit_code, result.stdout, result.stderr, code)
    assert listing(Path().absolute().parent) == before
    return line


def refused_child(prefix: Sequence[str], *commands: Sequence[str], code: int = 2) -> list[str]:
    """As `refused`, for some commands in one process of their own, which ``prefix`` starts."""
    before = listing(Path().absolute().parent)
    command = [*prefix, sys.executable, "-c", CHILD, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    results = done.stdout.splitlines()
    assert len(results) == len(commands)
    assert listing(Path().absolute().parent) == before
    return [judged(*json.loads(result), code) for result in results]
