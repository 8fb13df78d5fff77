"""Decodes a source once and cuts it into windows: sampled frames, each window with its sound."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image as Pictures
from PIL import ImageOps

from v2a_foley.errors import InputError
from v2a_foley.media.audio import RATE, Sound, audio_blocks, to_stereo
from v2a_foley.media.decode import decode
from v2a_foley.media.files import named
from v2a_foley.media.picture import Frame, Image
from v2a_foley.media.probe import probe
from v2a_foley.media.sounds import read_sound
from v2a_foley.pairs.sources import Source, Stretch

LEAST = 0.1  # seconds; a shorter window is no sound
_SHORT_SIDE = 288  # of a picture, as of the frames of a video
_PICTURES = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")  # others may start programs, as EPS does

Emit = Callable[["Window"], None]


@dataclass(slots=True)
class Window:
    """A window of a source, ``start`` to ``end`` in seconds: its frames and its sound.

    ``images`` are uint8 RGB ``(h, w, 3)``; ``sound`` is float32 mono ``(samples,)`` at 48 kHz.
    ``share`` (0 to 1) of the source is done with it.
    """

    stretch: Stretch
    start: float
    end: float
    images: list[Image] = field(default_factory=list)
    sound: Sound = field(default_factory=lambda: np.zeros(0, np.float32))
    share: float = 1.0


class Enough(Exception):
    """Raised by a receiver of windows that wants no more of this source."""


def read(
    source: Source, *, fps: float, window: float, emit: Emit, alive: Callable[[], None]
) -> None:
    """Decode ``source`` in one pass and hand each window to ``emit``, in the order of their ends.

    Windows of ``window`` seconds follow one another over each stretch; the last may be shorter,
    and is left out where it is less than half a window. ``fps`` frames a second are taken, each
    from the middle of its share of the window. ``alive`` is called with every frame and may raise.

    Raises InputError or MediaError when the source is missing, has no sound or is damaged.
    """
    if len(source.files) == 1:
        _read_video(source, fps, window, emit, alive)
    else:
        _read_still(source, window, emit, alive)


def spread(stretch: Stretch, duration: float, window: float) -> list[Window]:
    """The windows of one stretch of a source ``duration`` seconds long.

    Raises InputError when the stretch begins after the source's end.
    """
    end = duration if stretch.end is None else min(stretch.end, duration)
    length = end - stretch.start
    if length < LEAST:
        raise InputError(
            f"the stretch from {stretch.start:g} s is outside its {duration:.2f} s, or too short"
        )
    count = max(1, math.floor(length / window + 0.5))
    starts = [stretch.start + number * window for number in range(count)]
    return [Window(stretch, start, min(start + window, end)) for start in starts]


class WindowSampler:
    """Consumer of a decoding pass that fills windows, given in the order of their ends.

    Each is handed on with its frames and its sound when it ends.

    ``sounds(start, end, keep_from)`` gives the sound of a window that has ended; nothing before
    ``keep_from`` is asked for after it.
    """

    def __init__(
        self,
        windows: list[Window],
        fps: float,
        sounds: Callable[[float, float, float], Sound],
        emit: Emit,
        alive: Callable[[], None],
    ) -> None:
        self._open = deque(windows)
        starts = [each.start for each in reversed(self._open)]
        self._keep_from = deque(reversed(list(accumulate(starts, min))))
        targets = [(at, each) for each in windows for at in _middles(each, fps)]
        self._targets = sorted(targets, key=lambda pair: pair[0])
        self._sounds, self._emit, self._alive = sounds, emit, alive
        self._next = 0

    def add(self, frame: Frame) -> None:
        """Take the frame where it is shown at the time of a pick; a frame is taken once."""
        self._alive()
        shown_until = frame.time + frame.duration
        taken: set[int] = set()
        while self._next < len(self._targets) and self._targets[self._next][0] < shown_until:
            window = self._targets[self._next][1]
            if id(window) not in taken:
                taken.add(id(window))
                window.images.append(frame.image)
            self._next += 1
        while self._open and self._open[0].end <= shown_until:
            self._hand_on()
        if not self._open:
            raise Enough  # the rest is of no use

    def finish(self, duration: float) -> None:
        """Hand on what the picture's end left open."""
        while self._open:
            self._hand_on()

    def _hand_on(self) -> None:
        window, keep_from = self._open.popleft(), self._keep_from.popleft()
        if window.images:
            sound = self._sounds(window.start, window.end, keep_from)
            self._emit(replace(window, sound=sound))
            window.images = []  # the picks still refer to it


class SoundReader:
    """Gives out parts of a stream of mono blocks, which may be hours long."""

    def __init__(self, blocks: Iterator[Sound]) -> None:
        self._blocks = blocks
        self._held = np.zeros(0, np.float32)
        self._first = 0  # sample that _held begins with

    def __call__(self, start: float, end: float, keep_from: float) -> Sound:
        """The samples from ``start`` to ``end`` seconds; fewer where the stream ends.

        What lies before ``keep_from`` is not asked for any more.
        """
        gone = min(max(0, round(keep_from * RATE) - self._first), len(self._held))
        self._held, self._first = self._held[gone:], self._first + gone
        first, last = round(start * RATE), round(end * RATE)
        while self._first + len(self._held) < last:
            block = next(self._blocks, None)
            if block is None:
                break
            self._held = np.concatenate([self._held, block])
        return self._held[max(0, first - self._first) : max(0, last - self._first)].copy()


def _read_video(
    source: Source, fps: float, window: float, emit: Emit, alive: Callable[[], None]
) -> None:
    info = probe(source.files[0])
    if not info.audio:
        raise InputError(f"{named(info.path)}: has no sound; name a video that has")
    windows = _windows(source, info.duration, window)
    # Closed here, with its ffmpeg: left to the garbage collector it may meet the program's end.
    with closing(audio_blocks(info)) as blocks, suppress(Enough):
        sounds = SoundReader(to_stereo(block).mean(1) for block in blocks)
        decode(info, [WindowSampler(windows, fps, sounds, emit, alive)])


def _read_still(source: Source, window: float, emit: Emit, alive: Callable[[], None]) -> None:
    picture, path = source.files
    image = read_picture(picture)
    sound = read_sound(path, alive)
    for each in _windows(source, len(sound) / RATE, window):
        each.images = [image]
        each.sound = sound[round(each.start * RATE) : round(each.end * RATE)]
        emit(each)


def _windows(source: Source, duration: float, window: float) -> list[Window]:
    try:
        found = [each for part in source.stretches for each in spread(part, duration, window)]
    except InputError as error:
        raise InputError(f"{named(source.files[-1])}: {error}; mend the table") from None
    found.sort(key=lambda each: (each.end, each.start))
    for number, each in enumerate(found, 1):
        each.share = number / len(found)
    return found


def read_picture(path: Path) -> Image:
    """Read a picture upright, on white where it is transparent, as small as a video's frames.

    Returns uint8 RGB ``(h, w, 3)``. Raises InputError when it cannot be read.
    """
    try:
        with Pictures.open(path, formats=_PICTURES) as file:
            file.draft("RGB", (2 * _SHORT_SIDE, 2 * _SHORT_SIDE))
            picture = ImageOps.exif_transpose(file)
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                white = Pictures.new("RGBA", picture.size, "white")
                picture = Pictures.alpha_composite(white, picture)
            picture = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Pictures.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged, or of an unknown kind"
        raise InputError(f"{named(path)}: cannot be read as a picture ({reason})") from None
    scale = _SHORT_SIDE / min(picture.size)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Pictures.Resampling.BOX)
    return np.asarray(picture, np.uint8)


def _middles(window: Window, fps: float) -> list[float]:
    """The times of a window's picks: the middles of equal parts, at least one."""
    length = window.end - window.start
    count = max(1, math.floor(length * fps + 0.5))
    return [window.start + (number + 0.5) * length / count for number in range(count)]
