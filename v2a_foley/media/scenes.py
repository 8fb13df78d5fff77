"""Scene cuts, found while frames go by: PySceneDetect's detectors on the pass's thumbnails."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.media.picture import Frame

MIN_SCENE = 0.6
# Detectors count frames. Told that a frame is a microsecond long, they count PTS microseconds, so
# that minimum lengths hold at any and at variable frame rate.
_TICKS = 1_000_000
_TICK_SLACK = 2e-6
_WINDOW = 2  # frames on either side that the adaptive detector compares a change with
_FLASH_SPAN = 3  # frames before a cut, and from it on, among which a flash is looked for
_STAND_OUT = 0.73  # share of the adaptive threshold that moving neighbours alone must leave
_HISTORY = 0.35  # seconds; holds two drawings of animation "on threes" and of an 8 fps source


@dataclass(frozen=True, slots=True)
class _Method:
    """``lag`` frames, or ``min_scene`` seconds, pass before a cut is known."""

    threshold: float
    make: Callable[[float, float], Any]
    lag: int = 0
    waits_min_scene: bool = False


def _adaptive(threshold: float, min_scene: float) -> Any:
    from scenedetect.detectors import AdaptiveDetector

    return AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=0, window_width=_WINDOW)


def _content(threshold: float, min_scene: float) -> Any:
    from scenedetect.detectors import ContentDetector

    # It merges a flicker's cuts into one, for which it has to know the length.
    return ContentDetector(threshold=threshold, min_scene_len=max(min_scene - _TICK_SLACK, 0.0))


def _fade(threshold: float, min_scene: float) -> Any:
    from scenedetect.detectors import ThresholdDetector

    # The cut is where the picture returns: the middle of the black is known only afterwards.
    return ThresholdDetector(threshold=threshold, min_scene_len=0, fade_bias=1.0)


def _hash(threshold: float, min_scene: float) -> Any:
    from scenedetect.detectors import HashDetector

    return HashDetector(threshold=threshold, min_scene_len=0)


def _histogram(threshold: float, min_scene: float) -> Any:
    from scenedetect.detectors import HistogramDetector

    return HistogramDetector(threshold=threshold, min_scene_len=0)


_METHODS = {
    "adaptive": _Method(3.0, _adaptive, lag=_WINDOW),
    "content": _Method(27.0, _content, waits_min_scene=True),
    "threshold": _Method(12.0, _fade),
    "hash": _Method(0.395, _hash),
    "histogram": _Method(0.05, _histogram),
}
METHODS = tuple(_METHODS)


@dataclass(frozen=True, slots=True)
class _Look:
    """A recent frame, and how far it was from the one before: mean absolute difference of RGB.

    Colour counts: two shots may well be of the same brightness.
    """

    time: float
    picture: NDArray[np.int16]
    change: float


class SceneDetector:
    """Consumer that finds the cuts between scenes.

    ``method`` is one of :data:`METHODS`: ``adaptive`` (a change far above those around it: hard
    cuts, robust to motion), ``content`` (a change above a fixed threshold), ``threshold`` (fades
    through black), ``hash`` and ``histogram``. ``threshold`` is in the method's own unit; without
    it, the method's usual one. A cut less than ``min_scene`` seconds after the last cut, or after
    the video's start, is none; the last scene may be shorter, since there the file ends.

    ``cuts`` grows while frames are added: each is the time of a new scene's first frame. Every
    cut up to ``settled`` is already in it, so whoever reads both never waits longer than two
    frames (``adaptive``), ``min_scene`` (``content``) or not at all (the others).
    ``scenes`` is there after :meth:`finish`.

    Raises:
        InputError: an unknown method, or a threshold or length that makes no sense.
    """

    def __init__(
        self,
        method: str = "adaptive",
        threshold: float | None = None,
        min_scene: float = MIN_SCENE,
    ) -> None:
        if method not in _METHODS:
            raise InputError(f"scene detector {method!r}: is unknown; use one of {METHODS}")
        if threshold is not None and not threshold > 0:
            raise InputError(f"scene threshold {threshold}: must be above 0")
        if not min_scene >= 0:
            raise InputError(f"shortest scene {min_scene} s: must be 0 or more")
        self.cuts: list[float] = []
        self.settled = 0.0
        self.scenes: list[tuple[float, float]] = []
        self._method = _METHODS[method]
        self._min_scene = min_scene
        self._threshold = threshold or self._method.threshold
        self._detector = self._method.make(self._threshold, min_scene)
        self._verifies = method == "adaptive"
        self._recent: deque[tuple[int, float]] = deque()
        self._looks: list[_Look] = []

    def add(self, frame: Frame) -> None:
        from scenedetect.common import FrameTimecode

        tick = round(frame.time * _TICKS)
        self._recent.append((tick, frame.time))
        if self._verifies:
            self._look(frame)
        blue_first = np.ascontiguousarray(frame.thumbnail[:, :, ::-1])
        timecode = FrameTimecode(tick, Fraction(_TICKS))
        for cut in self._detector.process_frame(timecode, blue_first):
            self._accept(self._time_of(cut.frame_num))
        self._settle(frame.time)

    def finish(self, duration: float) -> None:
        self.settled = duration
        bounds = [0.0, *(cut for cut in self.cuts if cut < duration), duration]
        self.scenes = list(itertools.pairwise(bounds))

    def _accept(self, cut: float) -> None:
        last = self.cuts[-1] if self.cuts else 0.0
        if cut <= 0 or cut - last < self._min_scene - _TICK_SLACK:
            return
        if not self._verifies or (self._stands_out(cut) and not self._is_flash(cut)):
            self.cuts.append(cut)

    def _look(self, frame: Frame) -> None:
        picture = frame.thumbnail.astype(np.int16)
        change = _difference(picture, self._looks[-1].picture) if self._looks else 0.0
        self._looks.append(_Look(frame.time, picture, change))
        while len(self._looks) > 2 * _FLASH_SPAN and self._looks[0].time < frame.time - _HISTORY:
            del self._looks[0]

    def _index_of(self, cut: float) -> int:
        return next(index for index, look in enumerate(self._looks) if look.time >= cut)

    def _time_of(self, tick: int) -> float:
        """The very float of the frame's time; one rounded could fall on its other side."""
        return next((time for known, time in self._recent if known == tick), tick / _TICKS)

    def _settle(self, now: float) -> None:
        if self._method.waits_min_scene:
            self.settled = max(self.settled, now - self._min_scene)
        elif len(self._recent) > self._method.lag:
            self.settled = self._recent[-1 - self._method.lag][1]
        while len(self._recent) > self._method.lag + 1 and self._recent[0][1] < self.settled:
            self._recent.popleft()

    def _is_flash(self, cut: float) -> bool:
        """Whether the picture after the cut is one from just before it: a flash, no new scene."""
        index = self._index_of(cut)
        before = self._looks[max(0, index - _FLASH_SPAN) : index]
        after = self._looks[index : index + _FLASH_SPAN]
        limit = self._looks[index].change / 2
        return any(_difference(a.picture, b.picture) < limit for a in before for b in after)

    def _stands_out(self, cut: float) -> bool:
        """Whether the cut changes more than motion does.

        The adaptive detector compares neighbouring frames, and where frames are repeated (24 fps
        in a 60 fps file, animation on threes) every new picture towers over its still neighbours.
        So it is compared with the neighbours that did move.
        """
        index = self._index_of(cut)
        change = self._looks[index].change
        before = [look.change for look in self._looks[:index] if look.change > change / 10]
        after = [look.change for look in self._looks[index + 1 :] if look.change > change / 10]
        moving = before[-_WINDOW:] + after[:_WINDOW]
        return not moving or change >= _STAND_OUT * self._threshold * sum(moving) / len(moving)


class KnownScenes:
    """Consumer in the detector's place, for scenes ``(start, end)`` that are known beforehand.

    They may leave gaps between them; ``scenes`` is there after :meth:`finish`, without what is
    past the video's end.
    """

    def __init__(self, scenes: Sequence[tuple[float, float]]) -> None:
        self.cuts = sorted({bound for scene in scenes for bound in scene if bound > 0})
        self.settled = math.inf
        self.scenes: list[tuple[float, float]] = []
        self._known = scenes

    def add(self, frame: Frame) -> None:
        """Learn nothing from a frame."""

    def finish(self, duration: float) -> None:
        self.scenes = [
            (start, min(end, duration)) for start, end in self._known if start < duration
        ]


def _difference(a: NDArray[np.int16], b: NDArray[np.int16]) -> float:
    return float(np.abs(a - b).mean())
