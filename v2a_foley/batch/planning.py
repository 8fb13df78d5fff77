"""The plan of a batch: every file looked at before any work, and what is to be done with it."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley import cache, presets
from v2a_foley.batch.finding import (
    TEMPLATE,
    Found,
    Patterns,
    check_collisions,
    check_template,
    find,
    output_key,
)
from v2a_foley.batch.job import Job, Task
from v2a_foley.batch.ledger import FOLDER, Record, mark, output_mark, require_inside, target_of
from v2a_foley.batch.sidecars import Sidecars, Stated, files_of
from v2a_foley.errors import FoleyError, InputError
from v2a_foley.media.files import named

if TYPE_CHECKING:
    from v2a_foley.media.probe import MediaInfo
    from v2a_foley.models.bundle import Models

PROBES = 8  # threads that look at files: opening one waits for the disk more than it works
COLLECT = 500  # files between two collections: PyAV's objects hold each other and much memory
GUESS = (0.5, 0.9)  # seconds of work a file and a second of video, where none were made yet


@dataclass(frozen=True, slots=True)
class Shard:
    """Share ``number`` (from 1) of ``count`` of a batch, for machines that work side by side."""

    number: int = 1
    count: int = 1

    @property
    def name(self) -> str:
        """Names the shard's ledger; empty where there is one alone."""
        return "" if self.count == 1 else f"{self.number}of{self.count}"

    def has(self, key: str) -> bool:
        """Whether a file is this shard's: by its key alone, whatever other files there are."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


@dataclass(frozen=True, slots=True)
class Order:
    """What a batch is to make, as it was asked for.

    ``listed`` are inputs of a list. ``overrides``, ``preset`` and ``seed`` are the command
    line's. ``overwrite``: replace outputs that no record explains.
    """

    output: Path
    inputs: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()
    patterns: Patterns = field(default_factory=Patterns)
    template: str = TEMPLATE
    preset: str | None = None
    seed: int | None = None
    shard: Shard = field(default_factory=Shard)
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a plan. ``action``: make, skip or fail; ``reason`` is why.

    ``duration`` is in seconds, ``size`` in bytes. ``found`` is the mark of what stands under
    the output's name now, ``before`` of what this batch made there; empty for nothing.
    """

    key: str
    video: Path
    action: str
    reason: str
    task: Task
    duration: float = 0.0
    size: int = 0
    input_mark: str = ""
    settings: str = ""
    found: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All files of a batch; ``notes`` are worth telling before it begins.

    ``estimate`` is the seconds of work for one worker; ``measured`` on how many files made
    before it rests.
    """

    output: Path
    entries: tuple[Entry, ...]
    estimate: float
    measured: int
    notes: tuple[str, ...]

    def only(self, action: str) -> list[Entry]:
        """The entries with one action."""
        return [entry for entry in self.entries if entry.action == action]


@dataclass(frozen=True, slots=True)
class Clip:
    """A file with all that names say of it; ``problem`` is why it cannot be used."""

    key: str
    video: Path
    stated: Stated
    sheet: Path | None
    problem: str = ""


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
    look = _Look(order, job, models, records)
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


def made_folder(order: Order, key: str) -> Path:
    """Where the file of a key is made."""
    return work_folder(order) / hashlib.sha256(key.encode()).hexdigest()[:20]


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


def work_folder(order: Order) -> Path:
    """Where the shard's unfinished files are, a folder each."""
    name = order.shard.name
    return order.output / FOLDER / f"work{name and '-'}{name}"


class _Look:
    """Looks at files, from several threads."""

    def __init__(
        self, order: Order, job: Job, models: Models, records: Mapping[str, Record]
    ) -> None:
        self._order, self._job, self._records = order, job, records
        kinds = [[each.name, each.stated, asdict(each.match)] for each in presets.load_all()]
        common = {**asdict(job), "pack": models.pack.id, "mapper": models.mapper_id}
        del common["device"]
        self._common = cache.key("batch", 1, common, kinds)
        self._fits: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()

    def at(self, clip: Clip) -> Entry:
        """What is to be done with a clip."""
        target = target_of(self._order.output, clip.key)
        task = Task(
            key=clip.key,
            video=str(clip.video.absolute()),
            folder=str(made_folder(self._order, clip.key).absolute()),
            suffix=target.suffix,
            sheet=str(clip.sheet.absolute()) if clip.sheet else None,
            preset=clip.stated.preset,
            seed=clip.stated.seed or 0,
            settings={section: dict(values) for section, values in clip.stated.settings.items()},
        )
        record = self._records.get(clip.key)
        entry = Entry(
            clip.key, clip.video, "make", "new", task,
            size=_size(clip.video), input_mark=mark(clip.video), found=output_mark(target),
            before=record.output_mark if record else "",
        )  # fmt: skip
        try:
            if clip.problem:
                raise InputError(clip.problem)
            entry = replace(entry, settings=self._settings(task))
            action, reason = self._due(entry, record)
            if action == "make":
                return replace(entry, reason=reason, duration=self._probed(clip, target))
            return replace(entry, action=action, reason=reason)
        except FoleyError as error:
            return replace(entry, action="fail", reason=str(error))

    def _due(self, entry: Entry, record: Record | None) -> tuple[str, str]:
        """Whether a file is to be made, and why or why not."""
        ours = entry.found == entry.before
        if entry.found and not ours and not self._order.overwrite:
            why = "was changed since it was made" if entry.before else "exists already"
            return "skip", f"{why}; --overwrite replaces it"
        if record is None:
            return "make", "new"
        if record.status == "failed":
            return "make", "failed before"
        if not entry.found:
            return "make", "its output is gone"
        if not ours:
            return "make", "overwritten"
        if entry.settings != record.settings:
            return "make", "settings changed"
        if entry.input_mark != record.input_mark and _hash(entry.video) != record.input_hash:
            return "make", "input changed"
        return "skip", "done before"

    def _settings(self, task: Task) -> str:
        """A key of all that the sound of a file depends on besides its content."""
        own = asdict(task)
        for key in ("key", "video", "folder"):
            del own[key]
        read = [task.preset] if task.preset and task.preset.endswith(".toml") else []
        if task.sheet:
            del own["sheet"]
            read += [task.sheet, *_named_by(Path(task.sheet))]
        for stated in (task.settings, self._job.overrides):
            read += files_of(stated)
        return cache.key(self._common, own, [_hash(Path(path)) for path in read if path])

    def _probed(self, clip: Clip, target: Path) -> float:
        """Look into the file; its duration in seconds."""
        from v2a_foley.media.probe import probe

        info = probe(clip.video)
        if self._job.audio_track >= max(1, len(info.audio)):
            raise InputError(
                f"{named(clip.video)}: has no audio track {self._job.audio_track}; it has "
                f"{len(info.audio)}, and --audio-track counts from 0"
            )
        self._check_container(info, target)
        return info.duration

    def _check_container(self, info: MediaInfo, target: Path) -> None:
        """Let ffmpeg try it once for files of one kind: it takes longer than all else."""
        from v2a_foley.media.containers import check_container

        kind = (info.container, info.codec, target.suffix.lower())
        if kind not in self._fits:
            with self._lock:
                if kind not in self._fits:
                    check_container(info, target)
                    self._fits.add(kind)


def _named_by(sheet: Path) -> list[str]:
    """Files that a cue sheet names: presets by path and references; refuses a bad sheet."""
    from v2a_foley import cuesheet

    loaded = cuesheet.load(sheet)
    names = [loaded.preset or "", *(scene.preset for scene in loaded.scenes)]
    files = {name for name in names if name.endswith(".toml")}
    for stated in (loaded.defaults, *(scene.overrides for scene in loaded.scenes)):
        files.update(files_of(stated))
    return [str(sheet.parent / name) for name in sorted(files)]


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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _hash(path: Path) -> str:
    """SHA-256 of a file's bytes; empty where it cannot be read, of which its user will tell."""
    with suppress(OSError, ValueError):
        if path.is_file():  # a pipe would be waited for
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


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
