"""Brings the index in line with the folders: what is new is embedded, what is gone is dropped."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.errors import FoleyError, InputError, MediaError
from v2a_foley.library.index import Index
from v2a_foley.library.records import Entry, File, Folder
from v2a_foley.library.scanning import Licences, Scan, scan
from v2a_foley.library.shaping import is_silent, sounding
from v2a_foley.media.files import named
from v2a_foley.models.packs import sha256
from v2a_foley.progress import Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

WINDOW = 10.0  # seconds of a long file that are embedded at once: what CLAP was trained on
_REST = 1.0  # seconds; a shorter end of a long file has no window of its own
_SHORTEST = 0.1  # seconds; what is shorter is no sound
_BATCH = 32  # files, or windows, that are written at once
_PATIENCE = 5.0  # seconds after which a batch is written anyway


@dataclass(slots=True)
class Report:
    """What was done. Counts are of files.

    ``added`` were embedded, ``changed`` embedded again, ``moved`` had been known by their content
    from another place, ``dropped`` are not there any more. ``skipped`` files have no sound to find
    and ``failed`` ones cannot be read: each with the reason.
    """

    folders: list[Folder] = field(default_factory=list)
    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    dropped: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def update(index: Index, folders: Sequence[Folder], models: Models, progress: Progress) -> Report:
    """Embed what is new or was changed in ``folders``, and drop what is not there any more."""
    return _Update(index, models, progress).run(folders)


class _Update:
    """One run over folders."""

    def __init__(self, index: Index, models: Models, progress: Progress) -> None:
        self._index, self._models, self._progress = index, models, progress
        self._report = Report()
        self._broken: list[File] = []

    def run(self, folders: Sequence[Folder]) -> Report:
        self._progress.stage("index", 0.0)
        for number, folder in enumerate(folders):
            share = (number / len(folders), 1 / len(folders))
            self._report.folders.append(folder)
            self._folder(folder, *share)
        self._progress.stage("index", 1.0)
        return self._report

    def _folder(self, folder: Folder, base: float, part: float) -> None:
        found = scan(folder.path) if folder.path.is_dir() else Scan()
        for where, reason in found.failed:
            self._fail(where, reason)
        licences = Licences(folder.path, folder.licence)
        before = {each.path: each for each in self._index.files(folder)}
        if not found.paths and not found.failed:
            # A disk that is not connected is no reason to forget what is on it.
            self._fail(folder.path, "holds no sounds: connect its disk, or remove the library")
            return
        batch = _Batch(self._index, folder)
        try:
            for number, path in enumerate(found.paths):
                self._file(folder, path, licences.of(path), before.get(path), batch)
                self._progress.stage("index", base + part * min(number / len(found.paths), 0.999))
        finally:  # interrupted, too
            batch.write()
        there = set(found.paths)
        gone = [
            each
            for path, each in before.items()
            if path not in there and not path.startswith(tuple(found.hidden))
        ]
        self._index.drop([*gone, *self._broken])
        self._report.dropped += len(gone)

    def _file(
        self, folder: Folder, path: str, licence: str, before: File | None, batch: _Batch
    ) -> None:
        full = folder.path / path
        try:
            status = full.stat()
            if before and (before.size, before.mtime) == (status.st_size, status.st_mtime_ns):
                if before.licence != licence:
                    batch.touched.append(replace(before, licence=licence))
                self._report.unchanged += 1
                return
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{named(full)}: is not a regular file; copy it to one")
            digest = sha256(full)
            now = File(path, status.st_size, status.st_mtime_ns, digest, 0.0, licence, "")
            if before and before.hash == digest:
                batch.touched.append(replace(now, id=before.id))
                self._report.unchanged += 1
                return
            entry = self._entry(full, now)
        except OSError as error:
            self._fail(full, f"cannot be read ({error.strerror}); see that it is there and yours")
            return
        except FoleyError as error:
            self._fail(full, str(error).removeprefix(f"{named(full)}: "))
            self._broken += [before] if before else []
            return
        batch.add(entry)
        kind = "moved" if entry.known else "changed" if before else "added"
        setattr(self._report, kind, getattr(self._report, kind) + 1)

    def _entry(self, path: Path, file: File) -> Entry:
        twin = self._index.known(file.hash)
        if twin is not None:
            made = replace(file, seconds=twin.seconds, note=twin.note)
            entry = Entry(made, known=True)
        else:
            entry = self._embedded(path, file)
        if entry.file.note:
            self._report.skipped.append((path, entry.file.note))
            self._progress.note(f"skipped: {named(path)}: {entry.file.note}")
        return entry

    def _embedded(self, path: Path, file: File) -> Entry:
        from v2a_foley.media.audio import RATE

        spans, made, seconds = [], [], 0.0
        for start, wave in windows(path):
            seconds = start + len(wave) / RATE
            if len(wave) < (_REST if start else _SHORTEST) * RATE or is_silent(wave, RATE):
                continue
            part = sounding(wave, RATE)
            embedding = self._models.clap.sounds([wave[part]], RATE)[0]
            if not np.isfinite(embedding).all():
                raise MediaError(f"{named(path)}: CLAP makes nothing of it; export it again")
            spans.append((start + part.start / RATE, start + part.stop / RATE))
            made.append(embedding)
        note = "" if made else "is shorter than 0.1 s" if seconds < _SHORTEST else "is silent"
        return Entry(replace(file, seconds=seconds, note=note), spans, made)

    def _fail(self, path: Path, reason: str) -> None:
        self._report.failed.append((path, reason))


class _Batch:
    """Files of one folder that wait to be written together."""

    def __init__(self, index: Index, folder: Folder) -> None:
        self._index, self._folder = index, folder
        self._entries: list[Entry] = []
        self._last = time.monotonic()
        self.touched: list[File] = []

    def add(self, entry: Entry) -> None:
        """Take a file; some files together are written."""
        self._entries.append(entry)
        size = sum(max(1, len(each.spans)) for each in self._entries)
        if size >= _BATCH or time.monotonic() - self._last > _PATIENCE:
            self.write()

    def write(self) -> None:
        """Write what waits."""
        if self._entries:
            self._index.write(self._folder, self._entries)
        if self.touched:
            self._index.touch(self.touched)
        self._entries, self.touched, self._last = [], [], time.monotonic()


def windows(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Cut a sound file into windows: each its start in seconds and its wave at 48 kHz.

    Raises InputError or MediaError when the file cannot be read.
    """
    from v2a_foley.media.audio import RATE
    from v2a_foley.media.sounds import sound_blocks

    held: list[np.ndarray] = []
    size, start, whole = 0, 0, round(WINDOW * RATE)
    with closing(sound_blocks(path)) as blocks:
        for block in blocks:
            held.append(block)
            size += len(block)
            while size >= whole:
                wave = np.concatenate(held)
                yield start / RATE, wave[:whole]
                held, size, start = [wave[whole:]], size - whole, start + whole
    if size:
        yield start / RATE, np.concatenate(held)
