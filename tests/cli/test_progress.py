from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from v2a_foley.cli import progress
from v2a_foley.cli.progress import InLog, Messages, OnTerminal

REPORTS = """
from v2a_foley.cli.progress import Messages
with Messages().progress() as progress:
    progress.stage("load", 0.0)
    progress.note("a note [b]of[/b] \\x1b[31m" + "x" * 200)
    for share in (0.0, 0.5, 1.0, 1.0):
        progress.stage("render", share)
"""


def test_off_a_terminal_each_stage_is_told_once_at_its_end(capsys: pytest.CaptureFixture[str]):
    with Messages().progress() as reports:
        assert isinstance(reports, InLog)
        for share in (0.0, 0.2, 0.9, 1.0, 1.0):
            reports.stage("spot", share)
        reports.note("skipped 3 \x1b frames")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"spot: done in 0\.\d s\nskipped 3 \\x1b frames\n", captured.err)


def test_a_long_stage_is_told_now_and_then(capsys: pytest.CaptureFixture[str]):
    reports = InLog(every=0.0)
    for share in (0.25, 0.5, 1.0):
        reports.stage("render", share)
    assert capsys.readouterr().err.startswith("render: 25%\nrender: 50%\nrender: done in ")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]):
    messages = Messages(quiet=True, verbose=1)
    with messages.progress() as reports:
        reports.stage("spot", 1.0)
        reports.note("a note")
    messages.say("a message")
    messages.detail("a detail")
    assert capsys.readouterr() == ("", "")


def test_details_are_for_those_who_ask(capsys: pytest.CaptureFixture[str]):
    Messages().detail("a detail")
    Messages(verbose=1).detail("another")
    assert capsys.readouterr().err == "another\n"


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_on_a_terminal_there_are_bars_and_notes_stay_whole():
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, "-c", REPORTS], stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    text = shown.decode()
    assert child.returncode == 0
    assert "a note [b]of[/b] \\x1b[31m" + "x" * 200 in text
    assert "render" in text
    assert "100%" in text
    assert "\x1b[31m" not in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # how Linux tells that the other end has closed
        return b""


def test_bars_take_any_order_of_stages():
    with progress._bars() as bars:
        reports = OnTerminal(bars)
        for name, share in [("spot", 0.0), ("load", 0.0), ("spot", 0.7), ("load", 1.0)]:
            reports.stage(name, share)
        assert [(task.total, task.completed) for task in bars.tasks] == [(1.0, 0.7), (1.0, 1.0)]
