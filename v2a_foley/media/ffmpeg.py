"""The ffmpeg runner: which binary, safe arguments, progress, and errors a user can act on.

Graphs are built with ffmpeg-python; it only compiles them. The command is run here, because
ffmpeg-python has neither progress nor a way to stop its child.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import ffmpeg

from v2a_foley.errors import InputError, MediaError

OVERRIDE = "V2A_FOLEY_FFMPEG"
COMMON = ("-nostdin", "-hide_banner", "-loglevel", "error", "-y")
# Containers that hold their own streams. Playlists and scripts (HLS, DASH, concat, SDP, IMF),
# picture sequences and devices are left out: each makes the demuxer open further files or URLs.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mxf,gif,apng,dv,nut,wtv,ivf,rm,gxf,nsv,"
    "h264,hevc,mpegvideo,m4v,vc1,obu,yuv4mpegpipe,"
    "wav,mp3,flac,aac,aiff,w64,caf,au,wv"  # sound alone: for libraries, and to say so of a video
)
LOG_LINES = 12  # of ffmpeg's last words, shown in an error

Progress = Callable[[float], None]
Piece = bytes | memoryview


def ffmpeg_exe() -> str:
    """Return the ffmpeg to run: ``$V2A_FOLEY_FFMPEG``, else the one on PATH, else the wheel's.

    Raises:
        InputError: the override does not run, or there is no ffmpeg at all.
    """
    return _find_exe(os.environ.get(OVERRIDE, ""), os.environ.get("PATH", ""))


@functools.lru_cache(maxsize=8)
def _find_exe(override: str, search: str) -> str:
    if override:
        if not _runs(override):
            raise InputError(
                f"{OVERRIDE}={override}: this ffmpeg does not run; correct or unset the variable"
            )
        return override
    found = shutil.which("ffmpeg", path=search)
    if found and _runs(found):
        return found
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise InputError(
            f"no ffmpeg found: install ffmpeg, or point {OVERRIDE} at its program"
        ) from error


def _runs(exe: str) -> bool:
    command = [exe, "-version"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def url(path: Path) -> str:
    """Return a name that ffmpeg reads as a plain file, whatever characters are in it.

    Raises:
        InputError: the name is not valid Unicode, which a command line cannot carry.
    """
    name = os.path.abspath(path)  # noqa: PTH100 - a symlink must keep its own name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{name!a}: the name is not valid UTF-8; rename the file") from error
    return f"file:{name}"


def source(path: Path, **options: Any) -> Any:
    """Return ``path`` as an ffmpeg-python input that opens this one local file, and no other.

    ``options`` are ffmpeg's own input options, for example ``itsoffset=0.5``.
    """
    allowed = {"protocol_whitelist": "file,pipe", "format_whitelist": FORMATS}
    return ffmpeg.input(url(path), **allowed, **options)


def run(
    job: Any,
    *,
    subject: Path | str,
    progress: Progress | None = None,
    duration: float | None = None,
) -> None:
    """Run one ffmpeg job to its end.

    Args:
        job: an ffmpeg-python output stream, or the arguments after the program's name.
        subject: the file the work is about, for the error message.
        progress: called with the seconds of output written so far, never more than ``duration``.
        duration: length of the whole output in seconds.

    Raises:
        MediaError: ffmpeg failed; the message ends with its last lines.
    """
    arguments = [*COMMON, "-xerror", "-progress", "pipe:1", *_arguments(job)]
    with _child(arguments, subject) as child:
        for line in child.out:
            seconds = _seconds(line)
            if progress and seconds is not None:
                progress(seconds if duration is None else min(seconds, duration))
    if progress and duration is not None:  # only here: ffmpeg reports its end when it fails, too
        progress(duration)


def pipe(
    job: Any, *, subject: Path | str, feed: Iterable[Piece] = (), block: int = 1 << 20
) -> Iterator[bytes]:
    """Run ffmpeg as a filter: ``feed`` into its stdin, its stdout out in pieces of ``block`` bytes.

    Damaged packets are skipped by ffmpeg, not fatal: the sound around them is still wanted.

    Raises:
        MediaError: ffmpeg failed; the message ends with its last lines.
    """
    with _child([*COMMON, *_arguments(job)], subject) as child:
        writer = threading.Thread(target=child.write_all, args=(feed,), daemon=True)
        writer.start()
        while piece := child.out.read(block):
            yield piece
        writer.join()
        if child.feed_error:
            raise child.feed_error


def _arguments(job: Any) -> list[str]:
    if isinstance(job, Sequence):
        return [str(argument) for argument in job]
    return [str(argument) for argument in ffmpeg.get_args(job)]


def _seconds(line: bytes) -> float | None:
    """Return the output time in one line of ``-progress``, None in any other line."""
    key, _, value = line.strip().partition(b"=")
    # The first reports are "N/A", and out_time_ms holds microseconds by an old mistake.
    if key != b"out_time_us" or not value.lstrip(b"-").isdigit():
        return None
    return max(int(value) / 1e6, 0.0)


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    out: IO[bytes]
    log: deque[str]
    feed_error: BaseException | None = field(default=None)

    def write_all(self, feed: Iterable[Piece]) -> None:
        """Write ``feed`` to the child; runs in a thread, so a failure is kept for the caller."""
        stdin = self.process.stdin
        assert stdin is not None
        try:
            for piece in feed:
                stdin.write(piece)
        except BrokenPipeError:
            pass  # the child has ended early; its exit code tells why
        except BaseException as error:
            self.feed_error = error
        finally:
            with suppress(BrokenPipeError):
                stdin.close()

    def read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.decode("utf-8", "replace").rstrip())


@contextmanager
def _child(arguments: Sequence[str], subject: Path | str) -> Iterator[_Child]:
    """Run ffmpeg around the block: killed if the block fails, judged by its exit code if not."""
    process = subprocess.Popen(
        [ffmpeg_exe(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    child = _Child(process, process.stdout, deque(maxlen=LOG_LINES))
    # stderr is drained beside stdout: a full pipe would stop the child for ever.
    drain = threading.Thread(target=child.read_log, daemon=True)
    drain.start()
    try:
        yield child
        process.wait()
    except BaseException:  # KeyboardInterrupt too: no ffmpeg may outlive us
        process.kill()
        process.wait()
        raise
    finally:
        drain.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
    if process.returncode != 0:
        words = "\n  ".join(child.log) or "it said nothing"
        raise MediaError(f"{subject}: ffmpeg failed (exit {process.returncode}):\n  {words}")
