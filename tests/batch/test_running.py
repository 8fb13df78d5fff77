"""Batches by the command line, with the models that ship: whole, killed, interrupted, on Ray."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.batch.mixed import BROKEN, Mixed, mixed
from tests.media.clips import shots
from v2a_foley import cuesheet
from v2a_foley.batch.ledger import FOLDER, read_all
from v2a_foley.media.probe import probe
from v2a_foley.models.bundle import Models
from v2a_foley.spotting import spot

QUICK = ("--models", "starter", "--device", "cpu", "--steps", "2", "--candidates", "1")
COMMAND = (sys.executable, "-m", "v2a_foley")


def start(*arguments: str | Path, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments), *QUICK], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"V2A_FOLEY_CACHE_DIR": str(cache)},
    )  # fmt: skip


def events(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def outputs(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.glob("reel*/*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, starter: Models) -> Mixed:
    """Twelve clips, two of them broken; one has a cue sheet, one folder settings."""
    made = mixed(tmp_path_factory.mktemp("clips") / "in", 10)
    reason = "truncated or damaged"  # found while it is made, not before
    made.broken[BROKEN[reason](made.folder / "reel 1", 90)] = reason
    video = shots(made.folder / "reel 1" / "own.mp4", [0.8, 1.2])
    sheet = spot(video, video.with_name("own.cues.toml"), models=starter, preset="city", seed=3)
    cuesheet.save(sheet, sheet.path)
    made.good.append(video)
    (made.folder / "reel 2" / "v2a-foley.toml").write_text('preset = "subtle"\nseed = 4\n')
    return made


@pytest.fixture(scope="module")
def whole(
    clips: Mixed, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """The output of a batch that nothing disturbed, and what it told."""
    folder = tmp_path_factory.mktemp("whole")
    child = start("batch", clips.folder, "-o", folder / "out", "--json", cache=folder / "cache")
    stdout, stderr = child.communicate()
    assert child.returncode == 1, stderr
    return folder / "out", events(stdout)


def test_every_clip_is_made_or_explained(clips: Mixed, whole: tuple[Path, list[dict[str, Any]]]):
    folder, told = whole
    assert [told[0]["event"], told[-1]["event"]] == ["plan", "end"]
    assert told[-1]["counts"] == {"done": len(clips.good), "failed": 2, "skipped": 0, "left": 0}
    records = {record.input: record for record in read_all(folder).values()}
    for path in clips.good:
        record = records[str(path)]
        assert record.status == "done"
        assert record.loudness["integrated"] == pytest.approx(-23, abs=1.5)
        assert record.seconds.keys() == {"spot", "render", "deliver", "share"}
        assert record.versions.keys() >= {"v2a-foley", "torch"}
        made = probe(folder / record.key)
        assert made.duration == pytest.approx(probe(path).duration, abs=0.1)
        assert len(made.audio) == 1
    for path, reason in clips.broken.items():
        assert reason in records[str(path)].error
    assert len(outputs(folder)) == len(clips.good)
    assert {path.suffix for path in (folder / FOLDER).iterdir()} == {".sqlite"}


def test_folders_and_sheets_have_their_say(whole: tuple[Path, list[dict[str, Any]]]):
    folder, _ = whole
    records = read_all(folder)
    stated = {(r.preset, r.seed) for key, r in records.items() if key.startswith("reel 2/")}
    assert stated == {("subtle", 4)}
    own = records["reel 1/own.foley.mp4"]
    assert own.cue_sheet is not None
    assert own.scenes == 2


def test_a_clip_sounds_as_it_does_alone(
    clips: Mixed, whole: tuple[Path, list[dict[str, Any]]], tmp_path: Path
):
    clip = clips.good[0]
    alone = tmp_path / "alone.mp4"
    child = start("run", clip, "-o", alone, cache=tmp_path / "cache")
    _, stderr = child.communicate()
    assert child.returncode == 0, stderr
    assert alone.read_bytes() == outputs(whole[0])[f"reel 0/{clip.stem}.foley{clip.suffix}"]


def test_again_makes_nothing_and_starts_no_worker(
    clips: Mixed, whole: tuple[Path, list[dict[str, Any]]], tmp_path: Path
):
    folder, _ = whole
    before = outputs(folder)
    failed = ["--exclude", "*090*"]  # what failed at work would be tried again
    child = start("batch", clips.folder, "-o", folder, "--json", *failed, cache=tmp_path / "cache")
    stdout, stderr = child.communicate()
    assert child.returncode == 1
    assert "models loaded" not in stderr
    told = events(stdout)
    assert told[0]["skip"] == {"done before": len(clips.good)}
    assert told[-1]["counts"] == {"done": 0, "failed": 1, "skipped": len(clips.good), "left": 0}
    assert f"skipped {len(clips.good)}: done before" in stderr
    assert outputs(folder) == before


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_killed_with_9_it_goes_on_and_ends_the_same(
    clips: Mixed, whole: tuple[Path, list[dict[str, Any]]], tmp_path: Path
):
    folder, cache = tmp_path / "out", tmp_path / "cache"
    first: dict[str, int] = {}
    for wanted in (1, 5):
        child = start("batch", clips.folder, "-o", folder, cache=cache)
        while child.poll() is None and len(outputs(folder)) < wanted:
            time.sleep(0.02)
        child.kill()
        child.communicate()
        for key in outputs(folder):
            path = folder / key
            assert probe(path).audio
            assert first.setdefault(key, path.stat().st_ino) == path.stat().st_ino
    child = start("batch", clips.folder, "-o", folder, "--workers", "2", cache=cache)
    _, stderr = child.communicate()
    assert child.returncode == 1, stderr
    assert "done before" in stderr
    assert outputs(folder) == outputs(whole[0])
    assert all((folder / key).stat().st_ino == inode for key, inode in first.items())
    assert {path.suffix for path in (folder / FOLDER).iterdir()} == {".sqlite"}


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("times", [1, 2])
def test_interrupts(clips: Mixed, tmp_path: Path, times: int):
    child = start("batch", clips.folder, "-o", tmp_path / "out", cache=tmp_path / "cache")
    assert child.stderr is not None
    while "models loaded" not in child.stderr.readline():
        assert child.poll() is None
    for _ in range(times):
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
    stdout, stderr = child.communicate()
    assert child.returncode == 130
    assert stderr.endswith("error: interrupted; the same command goes on from here\n")
    made = outputs(tmp_path / "out")
    assert sorted(made) == sorted(stdout.splitlines())
    assert len(made) < len(clips.good)
    done = [key for key, record in read_all(tmp_path / "out").items() if record.status == "done"]
    assert sorted(made) == done


def test_a_full_disk_stops_it_cleanly(clips: Mixed, tmp_path: Path):
    """One MiB holds the ledger and hardly a clip with its stem and track."""
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && "$@"; code=$?; find "$0"/*/* >&2; exit $code'
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    prefix = ("unshare", "--mount", *rights, "sh", "-c", script, str(tmp_path / "full"))
    (tmp_path / "full").mkdir()
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"]).returncode:
        pytest.skip("no disk of its own can be mounted here")
    batch = ("batch", str(clips.folder), "-o", str(tmp_path / "full" / "out"), "--json")
    done = subprocess.run(
        [*prefix, *COMMAND, *batch, *QUICK], capture_output=True, text=True,
        env=os.environ | {"V2A_FOLEY_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 1
    assert "the disk is full; free some space in" in done.stderr
    assert "then the same command goes on from here" in done.stderr
    end = events(done.stdout)[-1]
    assert end["counts"]["left"] > 0
    assert end["counts"]["failed"] <= len(clips.broken)  # what had no room has not failed
    assert "part" not in done.stderr
    assert "made." not in done.stderr


@pytest.mark.slow
def test_two_ray_workers_of_which_one_is_killed(
    clips: Mixed, whole: tuple[Path, list[dict[str, Any]]], tmp_path: Path
):
    pytest.importorskip("ray")
    folder, flags = tmp_path / "out", ("--engine", "ray", "--workers", "2")
    child = start("batch", clips.folder, "-o", folder, *flags, cache=tmp_path / "cache")
    while child.poll() is None and not outputs(folder):
        time.sleep(0.05)
    members = [
        each for each in psutil.Process(child.pid).children(recursive=True)
        if each.cmdline()[:1] and each.cmdline()[0].startswith("ray::Member")
    ]  # fmt: skip
    assert len(members) == 2
    members[0].kill()
    _, stderr = child.communicate()
    assert child.returncode == 1, stderr
    assert outputs(folder) == outputs(whole[0])
    records = read_all(folder)
    assert sum(record.status == "done" for record in records.values()) == len(clips.good)
    assert sum(record.status == "failed" for record in records.values()) == len(clips.broken)
