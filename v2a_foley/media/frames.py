"""Which frames of each scene the image encoder sees, chosen while the video is decoded."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.media.picture import Frame

Sink = Callable[[list[NDArray[np.uint8]], list[float]], None]

_GUARD = 0.1  # seconds; nearer to a cut, frames are often blends of two scenes
_FLAT = 8.0  # standard deviation of luma in 0..255; below are fades, black and plain colour
_LONG_STEP = 2.0  # seconds between frames late in a long scene
_PER_PICK = 4  # candidates kept for each frame that a scene's opening gives
_UNRENDERED = 4  # frames kept as decoded pictures, which may be 25 MB each, while cuts are unknown


class CutSource(Protocol):
    """Where the sampler learns of cuts, such as a scene detector placed before it in the pass.

    Every cut at or before ``settled`` seconds is in ``cuts``, in rising order.
    """

    @property
    def cuts(self) -> list[float]: ...

    @property
    def settled(self) -> float: ...


class FrameSampler:
    """Consumer that picks frames for the image encoder and hands them to ``sink`` in batches.

    A scene gives ``rate`` frames a second, each from the middle of its stretch: at least
    ``min_frames`` (all there are, if fewer), spread over a short scene; after ``max_frames`` one
    every 2 s, so that every window of a long scene has frames of its own. Frames within 0.1 s of
    a cut and flat ones (fades, black) are used only where the scene has nothing better.

    ``sink`` gets up to ``batch`` images (uint8 RGB) with their times in seconds, in nearly rising
    order: sort by time. :attr:`times` holds all of them, sorted, after :meth:`finish`. No more
    images are held than one scene's opening needs, whatever the video's length.

    Raises:
        InputError: a rate or a count that makes no sense.
    """

    def __init__(
        self,
        cuts: CutSource,
        sink: Sink,
        *,
        rate: float = 2.0,
        min_frames: int = 3,
        max_frames: int = 24,
        batch: int = 16,
    ) -> None:
        if not 0 < rate < math.inf:
            raise InputError(f"frame rate {rate}: must be above 0 frames a second")
        if not 1 <= min_frames <= max_frames:
            raise InputError(
                f"frames a scene {min_frames} to {max_frames}: must be 1 or more, and rise"
            )
        self.times: list[float] = []
        self._cuts = cuts
        self._sink = sink
        self._rate = rate
        self._min_frames = min_frames
        self._max_frames = max_frames
        self._batch_size = batch
        self._next_cut = 0
        self._unsettled: deque[Frame] = deque()
        self._batch: list[Frame] = []
        self._open(0.0)

    def add(self, frame: Frame) -> None:
        self._unsettled.append(frame)
        if len(self._unsettled) > _UNRENDERED:
            _ = self._unsettled[-1 - _UNRENDERED].image  # rendered small, it lets go of the picture
        self._take_up_to(self._cuts.settled)

    def finish(self, duration: float) -> None:
        self._take_up_to(math.inf)
        self._close(duration)
        self._flush()
        self.times.sort()

    def _take_up_to(self, settled: float) -> None:
        while self._unsettled and self._unsettled[0].time <= settled:
            frame = self._unsettled.popleft()
            cuts = self._cuts.cuts
            while self._next_cut < len(cuts) and cuts[self._next_cut] <= frame.time:
                self._close(cuts[self._next_cut])
                self._open(cuts[self._next_cut])
                self._next_cut += 1
            self._offer(frame)

    def _open(self, start: float) -> None:
        """Begin a scene. Its first ``min_frames / rate`` seconds, the opening, are held until
        either they are over or the scene is: only then is it known how to spread the picks."""
        self._start = start
        self._opening: list[Frame] | None = []
        self._stride = 1  # of the opening's frames, every how many-th is held
        self._seen = 0
        self._slot = 0  # number of the next pick
        self._held: Frame | None = None  # picked, and waiting to be clear of a cut
        self._spare: list[Frame] = []  # poor frames, for want of better ones
        self._sent = 0
        self._last = start  # time of the scene's last pick

    def _offer(self, frame: Frame) -> None:
        if self._opening is not None:
            if frame.time - self._start < self._min_frames / self._rate:
                self._hold_opening(frame)
                return
            self._end_opening(self._start + self._min_frames / self._rate)
        if self._held is not None and frame.time - self._held.time >= _GUARD:
            self._release()
        shown_until = frame.time + frame.duration
        if shown_until <= self._target(self._slot):
            return
        if _is_flat(frame) and shown_until - self._last < _LONG_STEP:
            return  # the next frame may be a better one
        while self._target(self._slot) < shown_until:
            self._slot += 1
        self._release()
        _ = frame.image
        self._held, self._last = frame, frame.time

    def _hold_opening(self, frame: Frame) -> None:
        assert self._opening is not None
        if self._seen % self._stride == 0:
            _ = frame.image
            self._opening.append(frame)
            if len(self._opening) > _PER_PICK * self._min_frames:
                self._opening = self._opening[::2]
                self._stride *= 2
        self._seen += 1

    def _end_opening(self, end: float) -> None:
        """Send the good ones of the opening's picks, and keep the others in case."""
        opening, self._opening = self._opening or [], None
        good = [frame for frame in opening if self._is_good(frame, end)]
        poor = [frame for frame in opening if frame not in good]
        step = (end - self._start) / self._min_frames
        for pick in range(self._min_frames):
            target = self._start + (pick + 0.5) * step
            if good:
                self._send(_take_nearest(good, target))
            elif poor:
                self._spare.append(_take_nearest(poor, target))
        self._slot = self._min_frames

    def _is_good(self, frame: Frame, end: float) -> bool:
        # A frame that stays on the screen stands for its time, even right after a cut.
        near_start = frame.time + frame.duration - self._start < _GUARD
        return not (near_start or end - frame.time < _GUARD or _is_flat(frame))

    def _close(self, end: float) -> None:
        if self._opening is not None:
            self._end_opening(end)
        if self._held is not None and end - self._held.time < _GUARD:
            self._spare.insert(0, self._held)
            self._held = None
        self._release()
        for frame in self._spare[: max(0, self._min_frames - self._sent)]:
            self._send(frame)

    def _release(self) -> None:
        if self._held is not None:
            self._send(self._held)
            self._held = None

    def _target(self, slot: int) -> float:
        """The middle of a pick's stretch, in seconds."""
        late = slot - self._max_frames
        if late < 0:
            return self._start + (slot + 0.5) / self._rate
        step = max(_LONG_STEP, 1 / self._rate)
        return self._start + self._max_frames / self._rate + (late + 0.5) * step

    def _send(self, frame: Frame) -> None:
        self._sent += 1
        self._last = max(self._last, frame.time)
        self._batch.append(frame)
        if len(self._batch) >= self._batch_size:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            times = [frame.time for frame in self._batch]
            self._sink([frame.image for frame in self._batch], times)
            self.times += times
            self._batch = []


def _is_flat(frame: Frame) -> bool:
    return float(frame.luma.std()) < _FLAT


def _take_nearest(frames: list[Frame], target: float) -> Frame:
    nearest = min(frames, key=lambda frame: abs(frame.time - target))
    frames.remove(nearest)
    return nearest
