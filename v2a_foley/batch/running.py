"""A batch from its plan to its end: workers make the files, the ledger records each."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley.batch.dispatch import Dispatcher, Engine, Outcome
from v2a_foley.batch.job import Job
from v2a_foley.batch.ledger import FOLDER, Ledger, Record, output_mark, read_all, target_of
from v2a_foley.batch.order import Entry, Order, Plan, made_folder, work_folder
from v2a_foley.batch.planning import plan, survey
from v2a_foley.batch.watching import Stop, Watcher
from v2a_foley.errors import DiskFullError, InputError
from v2a_foley.media.files import named

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

PACKAGES = ("v2a-foley", "torch", "diffusers", "transformers", "open_clip_torch", "numpy", "av")


@dataclass(slots=True)
class Summary:
    """How a batch ended. ``counts``: files that are done, failed, skipped and left.

    ``busy``: seconds that the stages took of all files, ``scenes`` and ``duration``: of what was
    made, ``seconds``: wall time. ``full``: why the disk is, if it is.
    """

    counts: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)
    scenes: int = 0
    duration: float = 0.0
    seconds: float = 0.0
    interrupted: bool = False
    full: str = ""


def preview(order: Order, job: Job, models: Models, watcher: Watcher) -> Plan:
    """The plan alone; nothing is written."""
    clips = survey(order)
    known = read_all(order.output) if (order.output / FOLDER).is_dir() else {}
    return plan(order, clips, job, models, known, watcher.looked)


def batch(
    order: Order,
    job: Job,
    *,
    models: Models,
    engine: Callable[[Path], Engine],
    watcher: Watcher,
    timeout: float | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Make all that is due; every file ends with a record in the ledger, or is left for later.

    ``models`` are looked at, not loaded. ``engine`` is made, with the folder for workers' logs,
    once there is something to do. ``timeout``: a file's time in seconds. ``stop`` is where the
    user's wish to end arrives.

    Raises:
        InputError: bad input or usage, before any work.
        FoleyError: workers do not start.
    """
    begun = time.perf_counter()
    stop = stop or Stop()
    clips = survey(order)
    with Ledger(order.output, order.shard.name) as ledger:
        work = work_folder(order)
        repaired = ledger.recover(lambda key: _staged(made_folder(order, key)))
        if repaired:
            watcher.note(f"{repaired} files that a crash had left without a record are done")
        shutil.rmtree(work, ignore_errors=True)
        known = read_all(order.output)
        planned = plan(order, clips, job, models, known, watcher.looked)
        watcher.planned(planned)
        run = _Run(order, models, ledger, planned, watcher)
        tasks = [entry.task for entry in planned.only("make")]
        try:
            run.fail_planned()
            if tasks:
                work.mkdir(parents=True, exist_ok=True)  # a dying worker may still hold it
                with closing(engine(work)) as started, stop.listening():
                    dispatcher = Dispatcher(tasks, started, watcher, timeout=timeout, stop=stop)
                    for outcome in dispatcher.run():
                        run.take(outcome)
                run.summary.full = dispatcher.full
        except DiskFullError as error:
            run.summary.full = str(error)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return run.end(time.perf_counter() - begun, interrupted=stop.asked > 0)


class _Run:
    """Takes what becomes of each file to the ledger, the watcher and the summary."""

    def __init__(
        self, order: Order, models: Models, ledger: Ledger, planned: Plan, watcher: Watcher
    ) -> None:
        self._order, self._ledger, self._watcher = order, ledger, watcher
        self._entries = {entry.key: entry for entry in planned.entries}
        self._planned = planned
        self._common = {
            "pack": models.pack.id,
            "mapper": models.mapper_id,
            "versions": _versions(),
        }
        self.summary = Summary()

    def fail_planned(self) -> None:
        """Record the files that cannot be used."""
        now = time.time()
        bad = self._planned.only("fail")
        failed = [self._record(entry, "failed", error=entry.reason, finished=now) for entry in bad]
        self._ledger.write(failed)
        for record in failed:
            self._ended(record)

    def take(self, outcome: Outcome) -> None:
        """Give a finished file its name, and record what became of it."""
        if outcome.event == "dropped":
            return
        entry, message = self._entries[outcome.task.key], outcome.message
        now = time.time()
        times = {"started": now - outcome.share, "finished": now}
        if outcome.event == "failed":
            record = self._record(entry, "failed", error=message["error"], **times)
            self._ledger.write([record])
        else:
            told = {key: message[key] for key in _TOLD}
            seconds = message["seconds"] | {"share": outcome.share}
            record = self._record(entry, "done", seconds=seconds, **times, **told)
            record = self._finish(entry, record)
        shutil.rmtree(outcome.task.folder, ignore_errors=True)
        self._ended(record)

    def end(self, seconds: float, *, interrupted: bool) -> Summary:
        """The summary of it all."""
        made = self.summary
        made.seconds, made.interrupted = seconds, interrupted
        made.counts.update(done=0, failed=0, skipped=len(self._planned.only("skip")))
        made.counts["left"] = len(self._entries) - sum(made.counts.values())
        return made

    def _finish(self, entry: Entry, record: Record) -> Record:
        target = target_of(self._order.output, entry.key)
        try:
            if output_mark(target) != entry.found and not self._order.overwrite:
                raise InputError(
                    f"{named(target)}: was written by something else meanwhile, and was left so; "
                    "--overwrite replaces it"
                )
            return self._ledger.finish(record, entry.task.made)
        except InputError as error:
            failed = self._record(entry, "failed", error=str(error), finished=record.finished)
            self._ledger.write([failed])
            return failed

    def _record(self, entry: Entry, status: str, **values: object) -> Record:
        sheet = entry.task.sheet
        given = {
            "key": entry.key,
            "status": status,
            "input": _text(entry.task.video),
            "output_mark": entry.before,  # what stands there stays this batch's if this try fails
            "input_mark": entry.input_mark,
            "settings": entry.settings,
            "preset": entry.task.preset,
            "seed": entry.task.seed,
            "cue_sheet": _text(sheet) if sheet else None,
        }
        return Record(**given | self._common | values)  # type: ignore[arg-type]

    def _ended(self, record: Record) -> None:
        made = self.summary
        made.counts[record.status] += 1
        if record.status == "done":
            made.busy.update({k: s for k, s in record.seconds.items() if k != "share"})
            made.scenes += record.scenes
            made.duration += record.duration
        self._watcher.ended(record)


_TOLD = ("input_hash", "output_hash", "scenes", "duration", "loudness")


def _staged(folder: Path) -> Path | None:
    """The finished file in a file's work folder, if there is one."""
    with suppress(OSError):
        return next((path for path in folder.iterdir() if path.stem == "made"), None)
    return None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _text(path: str) -> str:
    """A path as text that can be stored, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
