"""Workers that do as a script says: which file they finish, fail, hang or die at."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from v2a_foley.batch.dispatch import CRASHES, STARTS, Dispatcher, Outcome, Worker
from v2a_foley.batch.job import Task
from v2a_foley.batch.ledger import Record
from v2a_foley.batch.line import Message
from v2a_foley.batch.order import Plan
from v2a_foley.batch.watching import Stop
from v2a_foley.errors import FoleyError, InputError

Events = queue.Queue[tuple[Worker, Message]]
Script = Mapping[str, str]


class Quiet:
    """A watcher that counts what it is told."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()

    def looked(self, done: int, total: int) -> None: ...
    def planned(self, plan: Plan) -> None: ...
    def ended(self, record: Record) -> None: ...

    def worker(self, number: int, message: Message) -> None:
        self.told[message["event"]] += 1

    def note(self, message: str) -> None:
        self.told["note"] += 1


class Actor:
    """Works on all its files at once, as files that are rendered together are."""

    def __init__(self, engine: Scripted, events: Events) -> None:
        self._engine, self._events = engine, events
        self._ended = False
        self._at_work: list[str] = []
        events.put((self, engine.hello))

    def send(self, message: Message) -> None:
        if message["do"] == "drop" or self._ended:
            return
        key = message["task"]["key"]
        self._engine.sent.append((key, len(self._at_work)))
        self._at_work.append(key)
        self._events.put((self, {"event": "stage", "key": key, "stage": "render"}))
        threading.Timer(0.02, self._work, [key]).start()

    def _work(self, key: str) -> None:
        what = self._engine.script.get(key, "made")
        if self._ended or what == "hang":
            return
        if what == "die":
            self._events.put((self, {"event": "died", "why": "SIGSEGV"}))
            self._ended = True
            return
        if what == "full":
            message = {"event": "failed", "key": key, "error": "disk full", "full": True}
        else:
            message = {"event": what, "key": key, "error": "broken"}
        self._at_work.remove(key)
        self._events.put((self, message))

    def kill(self) -> None:
        self._ended = True


class Scripted:
    def __init__(self, script: Script, workers: int = 1, files: int = 4) -> None:
        self.script, self.workers = script, workers
        self.hello: Message = {"event": "ready", "files": files, "device": "cpu"}
        self.sent: list[tuple[str, int]] = []
        self.started: list[Worker] = []

    def start(self, number: int, events: Events) -> Worker:
        self.started.append(Actor(self, events))
        return self.started[-1]

    def close(self) -> None: ...


def tasks(count: int) -> list[Task]:
    return [Task(str(number), f"/in/{number}", "/work", ".mp4") for number in range(count)]


def dispatch(
    engine: Scripted,
    count: int = 10,
    *,
    timeout: float | None = None,
    stop: Stop | None = None,
    each: Callable[[Outcome], None] = lambda outcome: None,
) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    dispatcher = Dispatcher(tasks(count), engine, Quiet(), timeout=timeout, stop=stop or Stop())
    for outcome in dispatcher.run():
        assert outcome.task.key not in found
        found[outcome.task.key] = outcome
        each(outcome)
    engine.full = dispatcher.full  # type: ignore[attr-defined]
    return found


def events(found: Mapping[str, Outcome]) -> Counter[str]:
    return Counter(outcome.event for outcome in found.values())


@pytest.mark.parametrize("workers", [1, 3])
def test_every_file_ends_once(workers: int):
    found = dispatch(Scripted({"3": "failed"}, workers))
    assert events(found) == {"made": 9, "failed": 1}
    assert all(outcome.share >= 0 for outcome in found.values())


def test_a_worker_is_not_given_more_than_it_wants():
    engine = Scripted({}, files=3)
    dispatch(engine)
    assert max(waiting for _, waiting in engine.sent) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_the_file_that_kills_workers_fails_and_its_neighbours_do_not(workers: int):
    engine = Scripted({"2": "die"}, workers)
    found = dispatch(engine)
    assert events(found) == {"made": 9, "failed": 1}
    assert "3 workers died at it (SIGSEGV)" in found["2"].message["error"]
    tries = [waiting for key, waiting in engine.sent if key == "2"]
    assert len(tries) == CRASHES
    assert tries[1:] == [0, 0]  # alone
    assert len(engine.started) == workers + CRASHES


def test_a_file_that_hangs_fails_by_its_time():
    engine = Scripted({"5": "hang"})
    found = dispatch(engine, timeout=0.5)
    assert events(found) == {"made": 9, "failed": 1}
    assert "/in/5: took more than 0.5 s (the last in render)" in found["5"].message["error"]


def test_files_that_hang_together_are_told_apart():
    engine = Scripted({"1": "hang", "2": "hang"})
    found = dispatch(engine, 4, timeout=0.4)
    assert {key for key, outcome in found.items() if outcome.event == "failed"} == {"1", "2"}


def test_a_full_disk_stops_it_without_a_failure():
    engine = Scripted({"3": "full"}, files=1)
    found = dispatch(engine)
    assert events(found) == {"made": 3, "dropped": 1}
    assert engine.full == "disk full"  # type: ignore[attr-defined]


def test_the_first_interrupt_finishes_what_is_begun():
    engine, stop = Scripted({}, files=2), Stop()

    def ask(outcome: Outcome) -> None:
        stop.asked = 1

    found = dispatch(engine, 20, stop=stop, each=ask)
    assert events(found).keys() == {"made"}
    assert 1 <= len(found) <= 4


def test_the_second_interrupt_ends_at_once():
    engine, stop = Scripted({"0": "hang", "1": "hang"}, files=2), Stop()
    threading.Timer(0.2, lambda: setattr(stop, "asked", 2)).start()
    begun = time.monotonic()
    assert dispatch(engine, stop=stop) == {}
    assert time.monotonic() - begun < 30


def test_workers_that_never_start_end_the_batch():
    engine = Scripted({})
    engine.hello = {"event": "died", "why": "exit code 1; no module named torch"}
    with pytest.raises(FoleyError, match=r"do not start \(exit code 1; no module named torch\)"):
        dispatch(engine)
    assert len(engine.started) == STARTS


def test_models_that_do_not_fit_end_the_batch_as_bad_input():
    engine = Scripted({})
    engine.hello = {"event": "unfit", "error": "the pack is damaged", "code": 2}
    with pytest.raises(InputError, match="the pack is damaged"):
        dispatch(engine)


def test_a_worker_too_many_is_done_without():
    class Second(Scripted):
        def start(self, number: int, events: Events) -> Worker:
            if number == 1:
                time.sleep(0.1)
                self.hello = {"event": "unfit", "error": "needs 3 GiB of memory", "code": 2}
            return super().start(number, events)

    engine = Second({}, workers=2)
    assert events(dispatch(engine)) == {"made": 10}
