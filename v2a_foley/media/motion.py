"""How much the picture moves over time: a curve to place sounds by."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from v2a_foley.media.picture import Frame

_LEAST = 0.95 / 30  # seconds between two frames; containers round time stamps to milliseconds


class MotionCurve:
    """Consumer that measures the change from frame to frame, about 30 times a second at most.

    Each value is the mean absolute difference of luma on the thumbnail, 0..1 of full scale, over
    the time between the two frames: full scales a second. It belongs to the later frame.
    """

    def __init__(self) -> None:
        self._times = array("f")
        self._values = array("f")
        self._last: tuple[float, NDArray[np.float32]] | None = None

    def add(self, frame: Frame) -> None:
        if self._last is not None:
            time, luma = self._last
            if frame.time - time < _LEAST:  # every second frame of 60 a second: evenly apart
                return
            change = float(np.abs(frame.luma - luma).mean()) / 255
            self._times.append(frame.time)
            self._values.append(change / (frame.time - time))
        self._last = frame.time, frame.luma

    def finish(self, duration: float) -> None:
        """Nothing is left to do: the curve is complete with the last frame."""

    @property
    def times(self) -> NDArray[np.float32]:
        """Seconds from the video's start, float32 ``(n,)``, rising; empty for a single frame."""
        return np.array(self._times, np.float32)

    @property
    def values(self) -> NDArray[np.float32]:
        """Full scales of luma a second, float32 ``(n,)``."""
        return np.array(self._values, np.float32)


def without_cuts(
    times: NDArray[np.float32], values: NDArray[np.float32], cuts: Sequence[float]
) -> NDArray[np.float32]:
    """``values`` with those that span a cut replaced from their neighbours on either side.

    A cut changes the whole picture, which is no motion. Returns a new float32 ``(n,)``.
    """
    # The value that spans a cut is that of the first measured frame at or after it.
    spanning = np.searchsorted(times, np.asarray(cuts, np.float32))
    moving = np.ones(len(times), bool)
    moving[spanning[spanning < len(times)]] = False
    if not moving.any():
        return np.zeros_like(values)
    return np.interp(times, times[moving], values[moving]).astype(np.float32)
