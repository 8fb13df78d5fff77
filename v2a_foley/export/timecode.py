"""Timecode: the frames that a timeline counts, and the timecode that a video starts with."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from v2a_foley.errors import InputError
from v2a_foley.media.audio import RATE
from v2a_foley.media.files import named
from v2a_foley.media.probe import MediaInfo, open_media

NTSC = Fraction(1000, 1001)
USUAL = tuple(Fraction(rate) for rate in (24, 25, 30, 48, 50, 60, 100, 120))
CLOSE = Fraction(1, 5000)  # by how much containers round a rate; 30 and 29.97 are 1/1000 apart
MOST_FRAMES = 100  # a second, that two digits count
DAY = 24 * 60 * 60

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d)")


@dataclass(frozen=True, slots=True)
class Clock:
    """How a timeline counts: frames a second, and the picture's first frame since midnight.

    Frames are counted from the picture's first; only :meth:`timecode` and
    :meth:`since_midnight` add ``start``. ``drop`` is drop-frame timecode.
    """

    rate: Fraction
    start: int = 0
    drop: bool = False

    @property
    def nominal(self) -> int:
        """The frame numbers in a second of timecode: 30 at 29.97."""
        return round(self.rate)

    def frame(self, seconds: float) -> int:
        """The frame that begins nearest to a time."""
        return round(Fraction(seconds) * self.rate)

    def sample(self, frame: int) -> int:
        """The sample, at 48 kHz, nearest to the beginning of a frame."""
        return round(frame * RATE / self.rate)

    def since_midnight(self, frame: int) -> int:
        """Samples from timecode 00:00:00:00 to a frame, within a day of timecode."""
        return self.sample((self.start + frame) % self._frames_a_day)

    def timecode(self, frame: int) -> str:
        """A frame's timecode, ``HH:MM:SS:FF``, with ``;`` before the frames of drop-frame."""
        count = (self.start + frame) % self._frames_a_day
        if self.drop:
            count += self._dropped_before(count)
        seconds, frames = divmod(count, self.nominal)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours:02}:{minutes:02}:{seconds:02}{';' if self.drop else ':'}{frames:02}"

    @property
    def _frames_a_day(self) -> int:
        return DAY * self.nominal - (24 * 54 * self._drop_each if self.drop else 0)

    @property
    def _drop_each(self) -> int:
        """The frame numbers left out each minute but every tenth: SMPTE ST 12-1."""
        return self.nominal // 15

    def _dropped_before(self, count: int) -> int:
        minute = 60 * self.nominal - self._drop_each
        tens, rest = divmod(count, 10 * minute + self._drop_each)
        # The first of ten minutes is longer: it drops nothing.
        return self._drop_each * (9 * tens + max(0, rest - self._drop_each) // minute)


def clock_of_timeline(info: MediaInfo) -> tuple[Clock, tuple[str, ...]]:
    """How a timeline of this video counts, and what is worth telling of it, in words."""
    rate, notes = timeline_rate(info.rate), []
    if info.vfr:
        notes.append(
            f"its frames come at uneven times; timelines count {_words(rate)} frames a second and "
            "the sound lies right in time, but a program may show a picture some frames off"
        )
    elif abs(info.rate / rate - 1) > CLOSE:
        notes.append(
            f"{float(info.rate):.6g} frames a second is no rate of timelines; they count "
            f"{_words(rate)}"
        )
    stated = start_timecode(info)
    if stated is None:
        return Clock(rate), tuple(notes)
    clock = parsed(stated, rate)
    if clock is None:
        notes.append(
            f"its timecode {stated!a} is none at {_words(rate)} frames a second: 0 is used"
        )
        return Clock(rate), tuple(notes)
    return clock, tuple(notes)


def timeline_rate(rate: Fraction) -> Fraction:
    """The frame rate that a timeline counts at: whole, or whole times 1000/1001.

    A rate that is neither gets a usual one of which it is a part, else the next higher.
    """
    whole = max(1, round(rate))
    for exact in (Fraction(whole), whole * NTSC):
        if abs(rate / exact - 1) <= CLOSE and whole <= USUAL[-1]:
            return exact
    multiples = [usual for usual in USUAL if usual % rate == 0]
    higher = [usual for usual in USUAL if usual >= rate]
    return (multiples or higher or [USUAL[-1]])[0]


def check_rate(rate: Fraction, path: Path) -> None:
    """Refuse a frame rate of which an EDL's timecode has no two digits for each frame.

    Raises:
        InputError: naming the EDL.
    """
    if round(timeline_rate(rate)) > MOST_FRAMES:
        raise InputError(
            f"{named(path)}: an EDL cannot count {float(rate):g} frames a second; use .otio, .xml "
            "or .fcpxml"
        )


def start_timecode(info: MediaInfo) -> str | None:
    """The timecode that the file states for its first picture, None where it states none.

    The picture's own comes first, then a timecode track's, then the container's.
    """
    with open_media(info.path) as container:
        streams = sorted(container.streams, key=lambda stream: stream.index != info.stream)
        for tags in (*(stream.metadata for stream in streams), container.metadata):
            for key, value in tags.items():
                if key.lower() == "timecode" and value.strip():
                    return str(value).strip()
    return None


def parsed(text: str, rate: Fraction) -> Clock | None:
    """The clock that begins at a timecode; None where the text is none at this rate."""
    match = _TIMECODE.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
    clock = Clock(rate, 0, match[4] != ":" and _drops(rate))
    if hours > 23 or minutes > 59 or seconds > 59 or frames >= clock.nominal:
        return None
    passed = 60 * hours + minutes
    start = (60 * passed + seconds) * clock.nominal + frames
    if clock.drop:
        start -= clock.nominal // 15 * (passed - passed // 10)
    return Clock(rate, start, clock.drop)


def _drops(rate: Fraction) -> bool:
    return rate.denominator == 1001 and round(rate) % 30 == 0


def _words(rate: Fraction) -> str:
    return f"{math.floor(float(rate) * 1000 + 0.5) / 1000:g}"
