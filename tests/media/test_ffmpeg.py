from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.media.made import AWKWARD, lavfi, make
from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.ffmpeg import OVERRIDE, ffmpeg_exe, pipe, run, source, url

ENDLESS = ["-re", *lavfi("sine=d=3600"), "-f", "null", "-"]


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]


def test_override_that_does_not_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=OVERRIDE):
        ffmpeg_exe()


def test_override_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ffmpeg_exe()
    monkeypatch.setenv(OVERRIDE, plain)
    assert ffmpeg_exe() == plain


@pytest.mark.skipif(os.name == "nt", reason="makes a shell script")
def test_path_comes_first_unless_it_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(OVERRIDE, raising=False)
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ffmpeg_exe() != str(program)
    other = tmp_path / "good"
    other.mkdir()
    (other / "ffmpeg").symlink_to(ffmpeg_exe())
    monkeypatch.setenv("PATH", str(other))
    assert ffmpeg_exe() == str(other / "ffmpeg")


@pytest.mark.parametrize("name", [AWKWARD, "-y", "http:x", "a%03d"])
def test_awkward_names_are_plain_files(tmp_path: Path, name: str) -> None:
    clip = make(tmp_path / f"{name}.wav", *lavfi("sine=d=0.1"))
    copy = tmp_path / f"{name}.copy.wav"
    run(source(clip).output(url(copy)), subject=clip)
    assert copy.stat().st_size > 1000


def test_name_that_no_command_line_can_carry(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-8"):
        url(tmp_path / os.fsdecode(b"\xff.mp4"))


def test_a_script_cannot_reach_the_network(tmp_path: Path) -> None:
    script = tmp_path / "list.txt"
    script.write_text("ffconcat version 1.0\nfile http://127.0.0.1:9/x.ts\n")
    job = source(script, format="concat", safe=0).output("-", format="null")
    with pytest.raises(MediaError, match="whitelist"):
        run(job, subject=script)


def test_failure_names_the_file_and_ends_with_ffmpegs_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video" * 100)
    with pytest.raises(MediaError, match=r"broken\.mp4: ffmpeg failed[\s\S]*Invalid data"):
        run(source(broken).output("-", format="null"), subject=broken)


def test_progress_rises_to_the_duration() -> None:
    seen: list[float] = []
    job = [*lavfi("sine=d=20"), "-f", "null", "-"]
    run(job, subject="sine", progress=seen.append, duration=10.0)
    assert seen == sorted(seen)
    assert seen[-1] == 10.0


def test_interrupt_kills_the_child() -> None:
    def stop(_: float) -> None:
        assert children()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ENDLESS, subject="endless", progress=stop)
    assert not children()


def test_pipe_filters_what_it_is_fed() -> None:
    audio = np.linspace(-1, 1, 100_000, dtype="<f4")
    raw = ["-f", "f32le", "-ar", "48000", "-ac", "1"]
    job = [*raw, "-i", "pipe:0", "-af", "volume=0.5", "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"]
    parts = (part.tobytes() for part in np.array_split(audio, 7))
    out = np.frombuffer(b"".join(pipe(job, subject="ramp", feed=parts, block=4096)), "<f4")
    np.testing.assert_allclose(out, audio / 2, atol=1e-6)


def test_pipe_passes_on_an_error_of_its_feed() -> None:
    def feed() -> Iterator[bytes]:
        yield bytes(4096)
        raise ValueError("feed")

    job = ["-f", "u8", "-i", "pipe:0", "-f", "u8", "pipe:1"]
    with pytest.raises(ValueError, match="feed"):
        list(pipe(job, subject="feed", feed=feed()))
    assert not children()


def test_pipe_left_early_kills_the_child() -> None:
    pieces = pipe([*ENDLESS[:-3], "-f", "u8", "pipe:1"], subject="endless", block=16)
    assert next(pieces)
    del pieces
    assert not children()
