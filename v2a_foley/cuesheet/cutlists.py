"""Scenes that another program has cut: PySceneDetect's CSV, EDL, OTIO, FCP7 XML and FCPXML.

A scene is a clip's place in its timeline, counted from the timeline's start. Gaps, black and
sound are no scenes; of several picture tracks the first one counts.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from v2a_foley.cuesheet import cutxml
from v2a_foley.cuesheet.cutxml import Cut
from v2a_foley.cuesheet.document import END_TOLERANCE
from v2a_foley.cuesheet.values import clock
from v2a_foley.errors import InputError

_CSV_COLUMNS = (("start time (seconds)", "end time (seconds)"), ("start", "end"))
_EVENT = re.compile(
    r"\s*\d+\s+(?P<reel>\S+)\s+(?P<track>\S+)\s+\S+(?:\s+\d+)?(?:\s+\d\d[:;.]\S+){2}"
    r"\s+(?P<start>\d\d[:;.]\S+)\s+(?P<end>\d\d[:;.]\S+)\s*"
)
_TIMECODE = re.compile(r"(\d{2})[:;.](\d{2})[:;.](\d{2})([:;.,])(\d{2,3})")
_PICTURE = re.compile(r"(\S*/)?V1?|B")


def read(path: Path, duration: float, rate: Fraction) -> tuple[tuple[float, float], ...]:
    """The scenes of a cut list as ``(start, end)`` seconds, in order of time.

    ``duration`` (seconds) and ``rate`` (frames a second) are the video's; an EDL counts in its
    frames. Where an EDL's times are past the video's end, they count from the full hour at
    which its programme starts.

    Raises:
        InputError: naming file and line, for what cannot be read, and for scenes that overlap
            or leave the video.
    """
    readers: dict[str, Callable[[], Sequence[Cut]]] = {
        ".csv": lambda: _csv(path),
        ".edl": lambda: _edl(path, duration, rate),
        ".otio": lambda: _otio(path),
        ".xml": lambda: cutxml.read(path),
        ".fcpxml": lambda: cutxml.read(path),
    }
    if path.suffix.lower() not in readers:
        known = ", ".join(readers)
        raise InputError(f"{path}: is no list of scenes; name a file that ends in one of {known}")
    cuts = sorted(readers[path.suffix.lower()](), key=lambda cut: cut.start)
    if not cuts:
        raise InputError(f"{path}: has no scene in it; name another file")
    _check(path, cuts, duration)
    return tuple((cut.start, min(cut.end, duration)) for cut in cuts)


def _check(path: Path, cuts: Sequence[Cut], duration: float) -> None:
    for cut in cuts:
        span = f"the scene from {cut.start:.3f} to {cut.end:.3f} s"
        if not 0 <= cut.start < cut.end:
            raise InputError(f"{path}, {cut.place}: {span} has no length, or starts before 0")
        if cut.end > duration + END_TOLERANCE:
            raise InputError(
                f"{path}, {cut.place}: {span} ends after the video ({duration:.3f} s); is it the"
                " list of another video?"
            )
    for before, after in pairwise(cuts):
        if after.start < before.end - 1e-6:
            raise InputError(
                f"{path}, {after.place}: the scene starts at {after.start:.3f} s, before the end"
                f" of the one of {before.place} ({before.end:.3f} s); scenes must not overlap"
            )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from problem


# CSV ---------------------------------------------------------------------------------------------


def _csv(path: Path) -> list[Cut]:
    """PySceneDetect's columns, or ``start`` and ``end``, after at most one line of other things."""
    lines = _text(path).splitlines()
    for number, line in enumerate(lines[:2]):
        marks = max(",;\t", key=line.count)
        header = [name.strip().lower() for name in next(csv.reader([line], delimiter=marks), [])]
        for start, end in _CSV_COLUMNS:
            if start in header and end in header:
                columns = (header.index(start), header.index(end))
                return list(_rows(path, lines[number + 1 :], number + 2, marks, columns))
    raise InputError(
        f"{path}, line 1: names no columns of times; there must be 'Start Time (seconds)' and 'End"
        " Time (seconds)', as PySceneDetect's list-scenes writes them, or 'start' and 'end'"
    )


def _rows(
    path: Path, lines: list[str], first: int, marks: str, columns: tuple[int, int]
) -> Iterator[Cut]:
    for number, line in enumerate(lines, first):
        row = next(csv.reader([line], delimiter=marks), [])
        if not any(cell.strip() for cell in row):
            continue
        try:
            start, end = (clock(row[column]) for column in columns)
        except (IndexError, ValueError):
            message = f"{path}, line {number}: has no start and end in seconds: {line[:80]!r}"
            raise InputError(message) from None
        yield Cut(start, end, f"line {number}")


# EDL ---------------------------------------------------------------------------------------------


def _edl(path: Path, duration: float, rate: Fraction) -> list[Cut]:
    """CMX 3600; the record times of the picture's events."""
    events: list[tuple[int, int, str]] = []
    hour = 0
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not re.match(r"\s*\d+\s", line):
            continue  # a title, a comment, a speed
        event = _EVENT.fullmatch(line)
        if event is None:
            raise InputError(f"{path}, line {number}: is no event of a CMX 3600 EDL: {line[:80]!r}")
        if event["reel"] in ("BL", "BLACK") or not _PICTURE.fullmatch(event["track"]):
            continue
        start, end = (_frames(path, number, event[key], rate) for key in ("start", "end"))
        if start == end:
            continue  # a dissolve's first half
        if not events:
            hour = _frames(path, number, f"{event['start'][:2]}:00:00{event['start'][8]}00", rate)
        events.append((start, end, f"line {number}"))
    late = max((end for _, end, _ in events), default=0) / rate > duration + END_TOLERANCE
    zero = hour if late else 0
    return [
        Cut(float((start - zero) / rate), float((end - zero) / rate), place)
        for start, end, place in events
    ]


def _frames(path: Path, line: int, text: str, rate: Fraction) -> int:
    """SMPTE timecode as a count of frames; ``;`` before them drops numbers at 29.97 and 59.94."""
    match = _TIMECODE.fullmatch(text)
    if match is None:
        raise InputError(f"{path}, line {line}: {text!r} is no timecode")
    hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
    nominal = round(rate)
    if frames >= nominal:
        raise InputError(
            f"{path}, line {line}: {text} counts more frames a second than the video has"
            f" ({float(rate):.6g})"
        )
    minutes += 60 * hours
    count = (60 * minutes + seconds) * nominal + frames
    if match[4] in ";," and nominal % 30 == 0 and rate != nominal:
        count -= nominal // 15 * (minutes - minutes // 10)
    return count


# OpenTimelineIO ----------------------------------------------------------------------------------


def _otio(path: Path) -> list[Cut]:
    _text(path)  # its own words for what cannot be read
    # -P: a module of the folder that the command runs in is none of ours
    command = [sys.executable, "-P", "-m", "v2a_foley.cuesheet.cutotio", str(path.absolute())]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    try:
        return [Cut(*row) for row in json.loads(done.stdout)]
    except (ValueError, TypeError):
        words = done.stderr.strip().rpartition("\n")[2] or "its parser gave up"
        raise InputError(f"{path}: cannot be read as OpenTimelineIO: {words}") from None
