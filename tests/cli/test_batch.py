"""The command line of batches without models: plans, refusals, and what the ledger tells."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.refusal import refused
from v2a_foley.batch.ledger import Ledger, Record

TINY = ("--models", "tiny")


@pytest.fixture
def clips(cli: Cli, clip: Path, pack: Path) -> Path:
    """A folder with two clips and a text that is called one."""
    folder = Path("clips").absolute()
    for name in ("a.mp4", "sub/b.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, folder / name)
    (folder / "c.mkv").write_text("no video")
    return folder


@pytest.fixture
def ledger(cli: Cli) -> Path:
    """The output folder of a batch that has ended."""
    folder = Path("done").absolute()
    with Ledger(folder) as ledger:
        ledger.write([
            Record("a.foley.mp4", "done", "/in/a.mp4", scenes=2, duration=3.0, finished=61.0),
            Record("c.foley.mkv", "failed", "/in/c.mkv", error="is not a video", finished=60.0),
        ])  # fmt: skip
    return folder


@pytest.mark.parametrize("command", [("batch",), ("batch", "run")])
def test_a_plan_is_shown_and_nothing_written(cli: Cli, clips: Path, command: tuple[str, ...]):
    before = sorted(Path().rglob("*"))
    result = cli(*command, "clips", "-o", "out", *TINY, "--dry-run", "--preset", "city")
    assert result.exit_code == 0, result.stderr
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == [
        "ACTION", "INPUT", "OUTPUT", "DURATION", "PRESET", "SEED", "REASON",
    ]  # fmt: skip
    assert [row.split()[:3] for row in rows] == [
        ["make", "clips/a.mp4", "out/a.foley.mp4"],
        ["fail", "clips/c.mkv", "out/c.foley.mkv"],
        ["make", "clips/sub/b.mp4", "out/sub/b.foley.mp4"],
    ]
    assert "2 to make, 0 to skip, 1 that cannot be used; about 1 min" in result.stderr
    assert sorted(Path().rglob("*")) == before


def test_a_plan_as_json(cli: Cli, clips: Path):
    Path("list.txt").write_text("clips/sub/b.mp4\n")
    result = cli("batch", "--input-list", "list.txt", "-o", "out", *TINY, "--dry-run", "--json")
    plan = json.loads(result.stdout)
    assert (plan["make"], plan["skip"], plan["fail"], plan["measured"]) == (1, 0, 0, 0)
    (row,) = plan["files"]
    assert row["output"] == "out/clips/sub/b.foley.mp4"
    assert row["duration"] == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clips",), "name the folder for the outputs: -o DIR"),
        (("-o", "out"), "name videos or folders"),
        (("gone", "-o", "out"), "gone: no such file or folder"),
        (("clips", "-o", "clips/a.mp4"), "is not a folder"),
        (("clips", "clips/sub", "-o", "out", "--name", "all.mp4"), "would both become all.mp4"),
        (("clips", "-o", "out", "--name", "{x}.mp4"), "unknown field"),
        (("clips", "-o", "out", "--preset", "nope"), 'there is no preset "nope"'),
        (("clips", "-o", "out", "--shard", "0/3"), "--shard must be like 3/8"),
        (("clips", "-o", "out", "--shard", "4/3"), "--shard must be like 3/8"),
        (("clips", "-o", "out", "--engine", "cloud"), "--engine must be local or ray"),
        (("clips", "-o", "out", "--address", "auto"), "--address means nothing"),
        (("clips", "-o", "out", "--steps", "0"), "--steps must be"),
        (("clips", "-o", "out", "--detector", "magic"), "magic"),
        (("clips", "-o", "out", "--device", "abacus"), "unknown device 'abacus'"),
        (("clips", "-o", "out", "--mapper", "gone.safetensors"), "cannot be read as a mapper"),
        (("--input-list", "gone.txt", "-o", "out"), "cannot be read as a list"),
    ],
)
def test_bad_usage_is_refused_and_leaves_nothing(
    cli: Cli, clips: Path, arguments: tuple[str, ...], words: str
):
    assert words in refused(cli, "batch", *arguments, *TINY)


def test_status_failed_and_report(cli: Cli, ledger: Path):
    assert "done     1\nfailed   1\n" in cli("batch", "status", "done").stdout
    assert json.loads(cli("batch", "status", "done", "--json").stdout)["files"] == 2
    failed = cli("batch", "failed", "done")
    assert failed.stdout == "INPUT      WHY\n/in/c.mkv  is not a video\n"
    assert json.loads(cli("batch", "failed", "done", "--json").stdout)[0]["key"] == "c.foley.mkv"
    rows = list(csv.DictReader(io.StringIO(cli("batch", "report", "done").stdout)))
    assert [row["status"] for row in rows] == ["done", "failed"]
    page = cli("batch", "report", "done", "-f", "html", "-o", "page.html")
    assert (page.exit_code, page.stdout) == (0, "")
    assert "is not a video" in Path("page.html").read_text(encoding="utf-8")
    assert "--format must be one of csv, json, html" in refused(
        cli, "batch", "report", "done", "-f", "pdf"
    )


def test_a_folder_without_a_batch_and_a_damaged_ledger(cli: Cli, ledger: Path):
    assert "holds no batch" in refused(cli, "batch", "status", "nowhere")
    (ledger / ".v2a-foley" / "ledger.sqlite").write_bytes(b"not a ledger at all" * 99)
    for command in ("status", "failed", "report"):
        assert "this ledger is damaged" in refused(cli, "batch", command, "done")
