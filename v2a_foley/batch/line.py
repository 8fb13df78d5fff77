"""A worker's line: spot, render and deliver at once, each at work on other files.

Bounded queues stand between the stages, so that no stage runs far ahead. Scenes of all files that
wait for rendering share the generator's batches.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from v2a_foley.batch import stages
from v2a_foley.batch.job import Job, Task
from v2a_foley.errors import DiskFullError, FoleyError
from v2a_foley.media.files import FULL_ERRNO

if TYPE_CHECKING:
    from v2a_foley.cuesheet import CueSheet
    from v2a_foley.models.bundle import Models
    from v2a_foley.rendering import RenderedScene

Message = dict[str, Any]
SCENES = {"cpu": 16, "mps": 16, "cuda": 64}  # given to the generator at once, if so many wait
WAITING = 8  # files between two stages


@dataclass(slots=True)
class _Piece:
    """A file on the line; ``seconds`` are those that its stages took."""

    task: Task
    sheet: CueSheet
    seconds: dict[str, float]
    scenes: list[RenderedScene] = field(default_factory=list)


class Line:
    """Makes files with one set of models and tells of each.

    Messages have an ``event``: ``ready`` once, with the number of ``files`` it wants at a time;
    ``stage`` with a file's ``key`` and ``stage``, which is ``wait`` between two; ``made``,
    ``dropped`` and ``failed``, with ``error`` and whether the disk is ``full``.
    """

    def __init__(self, models: Models, job: Job, tell: Callable[[Message], None]) -> None:
        self._models, self._job, self._tell = models, job, tell
        self._asked: queue.Queue[Task] = queue.Queue()
        self._spotted: queue.Queue[_Piece] = queue.Queue(WAITING)
        self._rendered: queue.Queue[_Piece] = queue.Queue(WAITING)
        self._dropping = False

    def start(self) -> None:
        """Load the models and begin.

        Raises FoleyError when they do not load.
        """
        stages.load(self._models)
        hands = max(1, (os.cpu_count() or 1) // 4)
        for work in [self._spot] * hands + [self._render] + [self._deliver] * hands:
            threading.Thread(target=_or_end, args=(work,), daemon=True).start()
        device = str(self._models.device)
        self._tell({"event": "ready", "device": device, "files": 2 * WAITING})

    def make(self, task: Task) -> None:
        """Take on a file."""
        self._asked.put(task)

    def drop(self) -> None:
        """Finish what is being rendered or delivered; all else is dropped."""
        self._dropping = True

    def _spot(self) -> None:
        while True:
            task = self._asked.get()
            if self._drops(task):
                continue
            begun = self._begin("spot", task)
            try:
                sheet = stages.frugal(lambda: stages.spotted(task, self._job, self._models))  # noqa: B023
            except Exception as error:
                self._fail(task, error)
                continue
            self._wait(task)
            self._spotted.put(_Piece(task, sheet, {"spot": time.perf_counter() - begun}))

    def _render(self) -> None:
        while True:
            group = self._group()
            begun = time.perf_counter()
            for piece in group:
                self._begin("render", piece.task)
            pieces = {id(piece.sheet): piece for piece in group}
            sheets = [piece.sheet for piece in group]
            for sheet, made in stages.rendered(sheets, self._job, self._models):
                piece = pieces[id(sheet)]
                now = time.perf_counter()
                piece.seconds["render"], begun = now - begun, now
                if isinstance(made, Exception):
                    self._fail(piece.task, made)
                else:
                    piece.scenes = made
                    self._wait(piece.task)
                    self._rendered.put(piece)

    def _group(self) -> list[_Piece]:
        """The next files to render together: all that wait, up to a number of scenes."""
        group: list[_Piece] = []
        scenes, limit = 0, SCENES[self._models.device.type]
        while scenes < limit:
            try:
                piece = self._spotted.get(block=not group)
            except queue.Empty:
                break
            if not self._drops(piece.task):
                group.append(piece)
                scenes += len(piece.sheet.scenes)
        return group

    def _deliver(self) -> None:
        while True:
            piece = self._rendered.get()
            begun = self._begin("deliver", piece.task)
            try:
                made = stages.delivered(piece.task, self._job, piece.sheet)
                summary = stages.summary(piece.sheet, piece.scenes, made)
            except Exception as error:
                self._fail(piece.task, error)
                continue
            piece.seconds["deliver"] = time.perf_counter() - begun
            done = {"event": "made", "key": piece.task.key, "seconds": piece.seconds}
            self._tell(done | summary)

    def _drops(self, task: Task) -> bool:
        if self._dropping:
            self._tell({"event": "dropped", "key": task.key})
        return self._dropping

    def _begin(self, stage: str, task: Task) -> float:
        self._tell({"event": "stage", "key": task.key, "stage": stage})
        return time.perf_counter()

    def _wait(self, task: Task) -> None:
        self._tell({"event": "stage", "key": task.key, "stage": "wait"})

    def _fail(self, task: Task, error: Exception) -> None:
        full = isinstance(error, DiskFullError)
        full = full or (isinstance(error, OSError) and error.errno in FULL_ERRNO)
        known = isinstance(error, FoleyError)
        reason = str(error) if known else f"unexpected {type(error).__name__}: {error}"
        self._tell({"event": "failed", "key": task.key, "error": reason, "full": full})


def _or_end(work: Callable[[], None]) -> None:
    """End the whole worker where one of its threads does: its files are then tried again."""
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
