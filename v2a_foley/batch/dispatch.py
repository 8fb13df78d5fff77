"""Hands the files of a batch to workers, and sees to it that each ends one way or the other.

A worker that dies or is killed for a file that takes too long is started anew. Which of its files
was at fault is found by trying those it was at work on again, each alone.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from v2a_foley.batch.job import Task
from v2a_foley.batch.line import Message
from v2a_foley.batch.watching import Stop, Watcher
from v2a_foley.errors import FoleyError, InputError

CRASHES = 3  # of workers at work on a file, after which it has failed
STARTS = 3  # of workers that die before they are ready, after which the batch has failed
TICK = 0.2


class Worker(Protocol):
    """A worker as the dispatcher sees it."""

    def send(self, message: Message) -> None:
        """Tell the worker what to do."""

    def kill(self) -> None:
        """End the worker at once."""


class Engine(Protocol):
    """Where workers come from."""

    workers: int

    def start(self, number: int, events: queue.Queue[tuple[Worker, Message]]) -> Worker:
        """Start a worker; what it tells, and last that it ``died``, goes to ``events``."""

    def close(self) -> None:
        """Give back what the engine holds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: ``event`` is made, failed or dropped, with what the worker told.

    ``share`` are the wall seconds that the file took of its worker's time.
    """

    task: Task
    event: str
    message: Message
    share: float


@dataclass(slots=True)
class _Flight:
    """A file with a worker; ``spent`` are the seconds that its stages took so far."""

    task: Task
    stage: str = "wait"
    since: float = 0.0
    spent: float = 0.0

    def enter(self, stage: str) -> None:
        self.spent = self.active()
        self.stage, self.since = stage, time.monotonic()

    def active(self) -> float:
        at_work = self.stage != "wait"
        return self.spent + (time.monotonic() - self.since if at_work else 0.0)


@dataclass(slots=True)
class _Slot:
    """A worker's place; ``files`` is how many it wants at a time, 0 until it is ready."""

    number: int
    worker: Worker
    files: int = 0
    alone: bool = False
    flights: dict[str, _Flight] = field(default_factory=dict)
    ended: float = field(default_factory=time.monotonic)


class Dispatcher:
    """Runs tasks on an engine's workers. ``timeout`` is a file's time in seconds, if any."""

    def __init__(
        self,
        tasks: Sequence[Task],
        engine: Engine,
        watcher: Watcher,
        *,
        timeout: float | None,
        stop: Stop,
    ) -> None:
        self._pending = deque(tasks)
        self._suspects: deque[Task] = deque()
        self._crashes: dict[str, int] = {}
        self._failed_starts = 0
        self._engine, self._timeout, self._stop, self._watcher = engine, timeout, stop, watcher
        self._events: queue.Queue[tuple[Worker, Message]] = queue.Queue()
        self._slots: list[_Slot] = []
        self._dropping = False
        self.full = ""  # why the disk is full, once it is

    def run(self) -> Iterator[Outcome]:
        """Yield what becomes of each file; those that are not begun when it stops, do not come.

        Raises FoleyError when workers do not start.
        """
        try:
            for number in range(min(self._engine.workers, len(self._pending))):
                self._slots.append(_Slot(number, self._engine.start(number, self._events)))
            while self._pending or self._suspects or any(slot.flights for slot in self._slots):
                if self._stop.asked > 1:
                    return
                if self._stop.asked or self.full:
                    self._drop()
                self._fill()
                yield from self._next()
                yield from self._overdue()
        finally:
            for slot in self._slots:
                slot.worker.kill()

    def _drop(self) -> None:
        if not self._dropping:
            self._dropping = True
            begun = sum(len(self._at_work(slot)) for slot in self._slots)
            if not self.full:
                again = "; Ctrl-C again ends at once" if begun else ""
                self._watcher.note(f"ending: {begun} files are at work, and finish{again}")
            for slot in self._slots:
                slot.worker.send({"do": "drop"})
        self._pending.clear()
        self._suspects.clear()

    def _fill(self) -> None:
        for slot in self._slots:
            if slot.files and not slot.flights:
                slot.alone = bool(self._suspects)
                if slot.alone:
                    self._send(slot, self._suspects.popleft())
            while self._pending and not slot.alone and len(slot.flights) < slot.files:
                self._send(slot, self._pending.popleft())

    def _send(self, slot: _Slot, task: Task) -> None:
        if not slot.flights:
            slot.ended = time.monotonic()
        slot.flights[task.key] = _Flight(task)
        slot.worker.send({"do": "make", "task": asdict(task)})

    def _next(self) -> Iterator[Outcome]:
        """Wait a moment for a message and act on it."""
        try:
            worker, message = self._events.get(timeout=TICK)
        except queue.Empty:
            return
        slot = next((each for each in self._slots if each.worker is worker), None)
        if slot is None:  # a last word of one that was killed
            return
        event = message["event"]
        if event == "unfit":
            self._unfit(slot, message)
        elif event == "ready":
            slot.files = message["files"]
            self._failed_starts = 0
            self._watcher.worker(slot.number, message)
        elif event == "died":
            yield from self._died(slot, message["why"])
        elif message["key"] in slot.flights:
            yield from self._told(slot, message)

    def _unfit(self, slot: _Slot, message: Message) -> None:
        """A worker's models do not load; others may have had the memory that it lacks."""
        if not any(each.files for each in self._slots):
            kind = InputError if message["code"] == InputError.exit_code else FoleyError
            raise kind(message["error"])
        self._watcher.note(f"worker {slot.number + 1} does without: {message['error']}")
        slot.worker.kill()
        self._slots.remove(slot)

    def _told(self, slot: _Slot, message: Message) -> Iterator[Outcome]:
        flight = slot.flights[message["key"]]
        if message["event"] == "stage":
            flight.enter(message["stage"])
            self._watcher.worker(slot.number, message)
            return
        if message.get("full"):
            self.full = message["error"]
            message = {**message, "event": "dropped"}
        yield self._end(slot, flight, message)

    def _end(self, slot: _Slot, flight: _Flight, message: Message) -> Outcome:
        del slot.flights[flight.task.key]
        now = time.monotonic()
        share, slot.ended = now - slot.ended, now
        return Outcome(flight.task, message["event"], message, share)

    def _died(self, slot: _Slot, why: str) -> Iterator[Outcome]:
        if not slot.files:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise FoleyError(f"workers do not start ({why}): see 'v2a-foley doctor'")
        for flight in self._at_work(slot):
            crashes = self._crashes[flight.task.key] = self._crashes.get(flight.task.key, 0) + 1
            if crashes >= CRASHES:
                error = f"{flight.task.video}: {crashes} workers died at it ({why})"
                yield self._fail(slot, flight, error)
            else:
                self._suspects.append(flight.task)
                del slot.flights[flight.task.key]
        self._restart(slot)

    def _overdue(self) -> Iterator[Outcome]:
        """End workers with a file that takes too long; the file too, if it is known which."""
        if self._timeout is None:
            return
        for slot in self._slots:
            late = [each for each in self._at_work(slot) if each.active() > self._timeout]
            if not late:
                continue
            if len(late) == 1:
                error = (
                    f"{late[0].task.video}: took more than {self._timeout:g} s (the last in "
                    f"{late[0].stage}); give it more --timeout, or leave it out"
                )
                yield self._fail(slot, late[0], error)
            else:  # rendered together: one of them, or their number, is at fault
                for flight in late:
                    self._suspects.append(flight.task)
                    del slot.flights[flight.task.key]
            slot.worker.kill()
            self._restart(slot)

    def _fail(self, slot: _Slot, flight: _Flight, error: str) -> Outcome:
        return self._end(slot, flight, {"event": "failed", "error": error})

    def _at_work(self, slot: _Slot) -> list[_Flight]:
        return [flight for flight in slot.flights.values() if flight.stage != "wait"]

    def _restart(self, slot: _Slot) -> None:
        """A new worker, unless all ends; what is left of the old one's files waits again."""
        left = [flight.task for flight in slot.flights.values()]
        slot.flights.clear()
        slot.files, slot.alone = 0, False
        if not self._dropping:
            self._pending.extendleft(reversed(left))
            slot.worker = self._engine.start(slot.number, self._events)
