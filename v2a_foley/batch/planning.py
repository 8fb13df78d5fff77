"""The plan of a batch: every file looked at before any work, and what is to be done with it."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley import presets
from v2a_foley.batch.finding import Found, check_collisions, check_template, find, output_key
from v2a_foley.batch.job import Job
from v2a_foley.batch.ledger import FOLDER, Record, require_inside, target_of
from v2a_foley.batch.looking import Look
from v2a_foley.batch.order import Clip, Entry, Order, Plan
from v2a_foley.batch.sidecars import Sidecars, Stated
from v2a_foley.errors import FoleyError, InputError
from v2a_foley.media.files import named

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

PROBES = 8  # threads that look at files: opening one waits for the disk more than it works
COLLECT = 500  # files between two collections: PyAV's objects hold each other and much memory
GUESS = (0.5, 0.9)  # seconds of work a file and a second of video, where none were made yet


def survey(order: Order) -> list[Clip]:
    """Find the files of this shard, and refuse what makes the batch as a whole impossible.

    Raises:
        InputError: before anything is written.
    """
    check_template(order.template)
    if order.preset is not None:
        presets.find(order.preset)
    _check_output(order.output)
    sidecars = Sidecars(Stated(order.preset, order.seed))
    clips = [
        _clip(each, sidecars, order.template)
        for each in find(order.inputs, order.listed, order.output, order.patterns)
    ]
    check_collisions([(clip.key, clip.video) for clip in clips])
    for target in {target_of(order.output, clip.key).parent: clip.key for clip in clips}.values():
        require_inside(order.output, target_of(order.output, target))
    _check_inputs(clips, order.output)
    return [clip for clip in clips if order.shard.has(clip.key)]


def plan(
    order: Order,
    clips: Sequence[Clip],
    job: Job,
    models: Models,
    records: Mapping[str, Record],
    looked: Callable[[int, int], None] = lambda done, total: None,
) -> Plan:
    """Look at each file and say what is to be done with it.

    ``records`` are what the ledgers know. ``looked`` is told how many of the files were looked
    at. A file that cannot be used is planned to fail with its reason; it stops nothing.
    """
    look = Look(order, job, models, records)
    entries = []
    pool = ThreadPoolExecutor(PROBES)
    try:
        for entry in pool.map(look.at, clips):
            entries.append(entry)
            looked(len(entries), len(clips))
            if len(entries) % COLLECT == 0:
                gc.collect()
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
    estimate, measured = _estimate(entries, records)
    return Plan(order.output, tuple(entries), estimate, measured, _notes(entries, order.output))


def _clip(found: Found, sidecars: Sidecars, template: str) -> Clip:
    stated = sidecars.folder(found.video.parent, found.root)  # a mistake in it ends the batch
    sheet, problem = None, ""
    try:
        stated, sheet = sidecars.clip(found.video, found.root, found.beside)
    except FoleyError as error:
        problem = str(error)
    key = output_key(found, template, stated)
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        key = os.fsencode(key).decode("utf-8", "backslashreplace")
        problem = f"{named(found.video)}: the name is not valid UTF-8; rename the file"
    return Clip(key, found.video, stated, sheet, problem)


def _check_output(output: Path) -> None:
    from v2a_foley.media.files import check_output

    if os.path.lexists(output) and not output.is_dir():
        raise InputError(f"{named(output)}: is not a folder; name one for the outputs")
    check_output(output / FOLDER / "ledger.sqlite", overwrite=True)


def _check_inputs(clips: Sequence[Clip], output: Path) -> None:
    """Refuse to write over an input, whatever it is called."""
    targets = {os.path.realpath(target_of(output, clip.key)): clip.key for clip in clips}
    for clip in clips:
        key = targets.get(os.path.realpath(clip.video))
        if key is not None:
            raise InputError(
                f"{named(target_of(output, key))}: is an input itself; choose another -o or --name"
            )


def _estimate(entries: Sequence[Entry], records: Mapping[str, Record]) -> tuple[float, int]:
    """Seconds of work that are left for one worker, by what was measured here before."""
    made = [entry for entry in entries if entry.action == "make"]
    known = [r for r in records.values() if r.status == "done" and r.seconds.get("share")]
    length = sum(entry.duration for entry in made)
    if not known:
        return GUESS[0] * len(made) + GUESS[1] * length, 0
    spent = sum(record.seconds["share"] for record in known)
    before = sum(record.duration for record in known)
    return length * spent / max(before, 1e-9), len(known)


def _notes(entries: Sequence[Entry], output: Path) -> tuple[str, ...]:
    while not output.exists():
        output = output.parent
    need = sum(entry.size for entry in entries if entry.action == "make")
    free = shutil.disk_usage(output).free
    if need <= free:
        return ()
    return (
        f"the outputs need about {need / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free in "
        f"{named(output)}: what does not fit is left for the next run",
    )


def as_rows(made: Plan) -> list[dict[str, Any]]:
    """The plan's entries as plain values."""
    return [
        {
            "input": entry.video,
            "output": target_of(made.output, entry.key),
            "action": entry.action,
            "reason": entry.reason,
            "duration": entry.duration,
            "cue_sheet": entry.task.sheet,
            "preset": entry.task.preset,
            "seed": entry.task.seed,
        }
        for entry in made.entries
    ]
