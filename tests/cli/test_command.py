from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from v2a_foley.cli.command import register
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import FoleyError, InputError, MediaError


def ending(problem: Callable[[], object], *arguments: str) -> Result:
    """Runs a command that does nothing but what `problem` does."""

    def fails(*, messages: Messages) -> None:
        problem()

    app = typer.Typer(pretty_exceptions_enable=False)
    register(app, fails, "fails")
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def raising(error: BaseException) -> Callable[[], object]:
    def problem() -> None:
        raise error

    return problem


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a.mp4: no such file"), 2, "error: a.mp4: no such file\n"),
        (MediaError("a.mp4: broken"), 1, "error: a.mp4: broken\n"),
        (FoleyError("ffmpeg failed:\nerror: b\n"), 1, "error: ffmpeg failed:\n  error: b\n"),
        (InputError("a\x1b[2J\u202e\udcff.mp4"), 2, "error: a\\x1b[2J\\u202e\\udcff.mp4\n"),
        (
            ValueError("boom\nand more"),
            1,
            "error: unexpected ValueError: boom (run it again with --debug to see where)\n",
        ),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
    ],
)
def test_whatever_goes_wrong_is_a_line_and_an_exit_code(error: BaseException, code: int, line: str):
    result = ending(raising(error))
    assert (result.exit_code, result.stderr, result.stdout) == (code, line, "")


@pytest.mark.parametrize("flags", [("--debug",), ("-v", "-v"), ("-vv",)])
@pytest.mark.parametrize("error", [InputError("bad"), ValueError("bad")])
def test_a_traceback_is_shown_when_asked_for(error: Exception, flags: tuple[str, ...]):
    result = ending(raising(error), *flags)
    assert "Traceback (most recent call last)" in result.stderr
    assert "in problem" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("bad")


def test_one_v_shows_no_traceback():
    assert "Traceback" not in ending(raising(ValueError("bad")), "-v").stderr


def test_an_interrupt_ends_with_130():
    def waits() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    result = ending(waits)
    assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")


INTERRUPTED = """\
import sys
from v2a_foley.cli.app import app, main
from v2a_foley.cli.command import register
def stop() -> None:
    exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)\\nwhile True: pass")
register(app, stop, "stop")
sys.argv[1:] = ["stop"]
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_an_interrupt_within_exec_ends_with_130_too():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


def test_a_reader_who_has_gone_is_no_error():
    code = "input(); from v2a_foley.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "presets", "list"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    _, errors = child.communicate(b"\n", timeout=60)
    assert (child.returncode, errors) == (0, b"")
