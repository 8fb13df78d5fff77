"""Files that are closed, disks that are full, and Ctrl-C: nothing half-made is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SHEET, Cli
from tests.cli.refusal import listing, refused_child
from tests.media.made import H264, lavfi, make
from tests.rights import bound

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes, signals and sh are POSIX's")


# Rights and room ---------------------------------------------------------------------------------


def test_files_that_may_not_be_read(cli: Cli, video: Path, sheet: Path):
    for path in (video, sheet):
        path.chmod(0)
    video_line, times_line, sheet_line = refused_child(
        bound(), ("run", "clip.mp4"), ("scenes", "--no-tags", "clip.mp4"), ("render", sheet.name)
    )
    assert video_line.startswith("clip.mp4: no permission to read it; change that")
    assert times_line == video_line
    assert sheet_line == "clip.cues.toml: cannot be read: Permission denied"


def test_folders_that_may_not_be_written(cli: Cli, video: Path, stems: Path):
    prefix = bound()
    Path("shut").mkdir(mode=0)
    Path().chmod(0o555)
    try:
        below, stem, beside, new = refused_child(
            prefix,
            ("run", "clip.mp4", "-o", "shut/a.mp4"),
            ("deliver", "../work/clip.cues.toml", "-o", "../a.mp4", "--stems", "shut"),
            ("run", "clip.mp4"),
            ("run", "clip.mp4", "-o", "new/a.mp4"),
        )
    finally:
        Path().chmod(0o755)
    assert below.startswith("shut/a.mp4: cannot be written (Permission denied); choose another")
    assert stem.startswith("shut/001.wav: cannot be written (Permission denied); choose another")
    reason = "cannot write into . (Permission denied); choose another output folder"
    assert (beside, new) == (f"clip.foley.mp4: {reason}", f"new/a.mp4: {reason}")


def test_a_file_larger_than_allowed(cli: Cli, video: Path, stems: Path):
    limited = ("sh", "-c", 'ulimit -f 400 && exec "$@"', "sh")
    (line,) = refused_child(limited, ("deliver", stems.name), code=1)
    assert line.startswith("clip.foley.mp4: cannot be written")
    assert line.endswith("check that there is room for it")


def test_a_full_disk(cli: Cli, video: Path, stems: Path):
    """600 KiB are too few for 3 s of WAV; and enough for 1 s of it, but not for the video too."""
    script = 'mount -t tmpfs -o size=600k tmpfs full && "$@" && ls -A full'
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    prefix = ("unshare", "--mount", *rights, "sh", "-c", script, "sh")
    Path("full").mkdir()
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"]).returncode:
        pytest.skip("no disk of its own can be mounted here")
    noisy = "testsrc=s=320x240:r=25:d=1,noise=alls=90:allf=t"
    make(Path("large.mp4").absolute(), *lavfi(noisy), *H264, "-qp", "5")
    short = SHEET.replace("3.0", "1.0").replace("1.5", "0.5").replace("clip.mp4", "large.mp4")
    Path("large.cues.toml").write_text(short)
    Path("large.cues").symlink_to("clip.cues")
    deliveries = [
        ("deliver", f"{name}.cues.toml", "-o", f"full/{name}.mp4") for name in ("clip", "large")
    ]
    sound, muxed = refused_child(prefix, *deliveries, code=1)
    reason = f"the disk is full; free some space in {Path('full').absolute()}"
    assert sound == f"full/clip.mp4: {reason}"
    assert muxed == f"full/large.mp4: {reason}"


# Ctrl-C ------------------------------------------------------------------------------------------


def interrupted(begun: Callable[[str], bool], *arguments: str) -> str:
    """Start the command line as a shell does, press Ctrl-C once it has begun; what it said."""
    command = [sys.executable, "-m", "v2a_foley", *arguments]
    before = listing(Path().absolute())
    with Path("../log").open("w+") as log:
        # As in a terminal, the signal goes to ffmpeg too: all are in one group.
        process = subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)
        while not begun(Path("../log").read_text()):
            assert process.poll() is None, Path("../log").read_text()
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert listing(Path().absolute()) == before
    return Path("../log").read_text()


def test_ctrl_c_while_sound_is_made(cli: Cli, video: Path):
    flags = ("--models", "starter", "--device", "cpu", "--steps", "1000")
    said = interrupted(lambda text: "\nspot: done" in text, "run", "clip.mp4", *flags)
    assert said.endswith("error: interrupted\n")


def test_ctrl_c_while_the_video_is_written(cli: Cli, video: Path, stems: Path):
    make(video, *lavfi("testsrc2=s=64x48:r=5:d=60"), *H264)
    stems.write_text(SHEET.replace("3.0", "60.0").replace("end = 60.0", "end = 3.0"))
    part = Path(".clip.foley.part.mp4")
    said = interrupted(lambda _: part.exists(), "deliver", "clip.cues.toml")
    assert said == "error: interrupted\n"


# What is printed ---------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_no_room_for_what_is_printed(cli: Cli, sheet: Path):
    command = [sys.executable, "-m", "v2a_foley", "scenes", sheet.name]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    reason = "cannot be written (No space left on device); send it elsewhere"
    assert (done.returncode, done.stderr) == (1, f"error: stdout: {reason}\n")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*command, "-v"], stdout=subprocess.PIPE, stderr=full, text=True)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)


def test_nowhere_to_print(cli: Cli, video: Path):
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh"]
    command = [sys.executable, "-m", "v2a_foley", "scenes", "--no-tags", video.name]
    assert subprocess.run([*closed, *command]).returncode == 0
