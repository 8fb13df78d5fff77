"""A look at each file of a batch: whether it can be used, and whether it is to be made."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley import cache, presets
from v2a_foley.batch.job import Job, Task
from v2a_foley.batch.ledger import Record, mark, output_mark, target_of
from v2a_foley.batch.order import Clip, Entry, Order, made_folder
from v2a_foley.batch.sidecars import files_of
from v2a_foley.errors import FoleyError, InputError
from v2a_foley.media.files import named

if TYPE_CHECKING:
    from v2a_foley.media.probe import MediaInfo
    from v2a_foley.models.bundle import Models


class Look:
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
