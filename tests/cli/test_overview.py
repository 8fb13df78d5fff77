from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from v2a_foley.batch.job import Task
from v2a_foley.batch.ledger import Record
from v2a_foley.batch.order import Entry, Plan
from v2a_foley.cli.overview import Lines, OnTerminal
from v2a_foley.cli.progress import Messages

EVIL = "reel 1/\x1b[2Jb.foley.mp4"
DONE = Record("a.foley.mp4", "done", "/in/a.mp4", scenes=3, seconds={"spot": 1.0, "render": 2.5})
FAILED = Record(EVIL, "failed", "/in/b.mp4", error="broken")


def entry(key: str, action: str, reason: str) -> Entry:
    return Entry(key, Path("/in") / key, action, reason, Task(key, f"/in/{key}", "/work", ".mp4"))


PLAN = Plan(
    Path("out"),
    (
        entry(DONE.key, "make", "new"), entry(EVIL, "make", "new"),
        entry("c.foley.mp4", "skip", "done before"), entry("d.foley.mp4", "make", "new"),
    ),
    9.0, 0, ("room is short",),
)  # fmt: skip


def play(lines: Lines) -> None:
    lines.planned(PLAN)
    lines.worker(0, {"event": "ready", "device": "cpu"})
    for stage in ("spot", "wait", "render"):
        lines.worker(0, {"event": "stage", "key": DONE.key, "stage": stage})
    lines.ended(DONE)
    lines.worker(0, {"event": "stage", "key": EVIL, "stage": "deliver"})


def test_lines_for_people_and_names_for_programs(capsys: pytest.CaptureFixture[str]):
    lines = Lines(Messages(), as_json=False)
    play(lines)
    lines.ended(FAILED)
    out, err = capsys.readouterr()
    assert out == "a.foley.mp4\n"
    assert err.splitlines() == [
        "skipped 1: done before",
        "room is short",
        "worker 1: models loaded, on cpu",
        "[1/3] done a.foley.mp4: 3 scenes, 3.5 s",
        "[2/3] failed reel 1/\\x1b[2Jb.foley.mp4: broken",
    ]


def test_json_lines(capsys: pytest.CaptureFixture[str]):
    lines = Lines(Messages(quiet=True), as_json=True)
    play(lines)
    lines.ended(FAILED)
    out, err = capsys.readouterr()
    assert err == ""
    told = [json.loads(line) for line in out.splitlines()]
    assert [each["event"] for each in told] == ["plan", "skipped", "done", "failed"]
    assert told[0] == {
        "event": "plan", "make": 3, "fail": 0, "skip": {"done before": 1}, "estimate": 9.0,
    }  # fmt: skip
    assert (told[1]["reason"], told[3]["error"]) == ("done before", "broken")


def test_the_overview_shows_what_is_at_work():
    shown = OnTerminal(Messages(quiet=True), as_json=True)
    play(shown)
    text = io.StringIO()
    Console(file=text, width=120).print(shown.live.get_renderable())
    counts, bar, worker = text.getvalue().splitlines()
    assert counts.startswith("1/3 files, 3 scenes, ")
    assert counts.rstrip().endswith(" left, 0 failed")
    assert set(bar.strip()) == {"━"}
    assert worker.strip() == "worker 1: deliver reel 1/\\x1b[2Jb.foley.mp4"
