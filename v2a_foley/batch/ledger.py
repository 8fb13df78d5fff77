"""The ledger: one durable record a file, in the output folder, that outlives any crash.

A finished file is staged first: it stands whole in the work folder, and its record with its hash
is on the disk. Then it is renamed, then the record says done. A crash between any two of these
steps is repaired by :meth:`Ledger.recover`, so that nothing is made twice and nothing is lost.

Each shard has a ledger of its own, as SQLite's log cannot be shared over a network disk; reading
takes all of them together.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from v2a_foley.errors import DiskFullError, InputError
from v2a_foley.media.files import named, sync_folder

FOLDER = ".v2a-foley"
VERSION = 1
_JSON = ("loudness", "seconds", "versions")
_STATES = ("staged", "done", "failed")
_KINDS: dict[str, type | tuple[type, ...]] = {
    "seed": int, "scenes": int, "duration": (int, float), "started": (int, float),
    "finished": (int, float),
}  # fmt: skip
_TABLE = """CREATE TABLE IF NOT EXISTS files (
    key TEXT PRIMARY KEY, status TEXT NOT NULL, input TEXT NOT NULL, error TEXT NOT NULL,
    output_hash TEXT NOT NULL, output_mark TEXT NOT NULL,
    input_hash TEXT NOT NULL, input_mark TEXT NOT NULL, settings TEXT NOT NULL,
    preset TEXT, seed INTEGER NOT NULL, cue_sheet TEXT,
    pack TEXT NOT NULL, mapper TEXT NOT NULL, versions TEXT NOT NULL,
    scenes INTEGER NOT NULL, duration REAL NOT NULL, loudness TEXT NOT NULL,
    seconds TEXT NOT NULL, started REAL NOT NULL, finished REAL NOT NULL
) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one file.

    ``key``: its output below the output folder. ``status``: staged, done or failed. ``*_hash``:
    SHA-256; ``*_mark``: size and times, which tell cheaply that nothing has changed.
    ``settings``: a key of all that the sound depends on besides the input. ``seconds``: wall time
    by stage; ``started`` and ``finished``: seconds since 1970. ``loudness``: as delivered.
    """

    key: str
    status: str
    input: str
    error: str = ""
    output_hash: str = ""
    output_mark: str = ""
    input_hash: str = ""
    input_mark: str = ""
    settings: str = ""
    preset: str | None = None
    seed: int = 0
    cue_sheet: str | None = None
    pack: str = ""
    mapper: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    scenes: int = 0
    duration: float = 0.0
    loudness: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    started: float = 0.0
    finished: float = 0.0


_NAMES = tuple(each.name for each in fields(Record))


def mark(path: Path) -> str:
    """Size and times of a file, empty if there is none: any write to it changes them."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def output_mark(path: Path) -> str:
    """As :func:`mark` without the time that renaming changes."""
    return mark(path).rpartition(" ")[0]


class Ledger:
    """The ledger of one shard, open for writing; only one batch at a time may hold it.

    Raises InputError when it is damaged, not a ledger, or in use.
    """

    def __init__(self, output: Path, shard: str = "") -> None:
        self.output = output
        folder = folder_of(output)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{named(folder)}: cannot be made ({error.strerror}); choose another output folder"
            ) from None
        self.path = folder / f"ledger{shard and '-'}{shard}.sqlite"
        self._lock = _lock(folder / f"lock{shard and '-'}{shard}.sqlite", output)
        try:
            self._base = _open(self.path)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.execute(_TABLE)
            self._base.execute(f"PRAGMA user_version={VERSION}")
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let go of the ledger."""
        self._base.close()
        self._lock.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, records: Iterable[Record]) -> None:
        """Write records; they are on the disk when this returns.

        Raises DiskFullError when there is no room for them.
        """
        marks = ", ".join("?" * len(_NAMES))
        command = f"REPLACE INTO files ({', '.join(_NAMES)}) VALUES ({marks})"  # noqa: S608
        try:
            with self._base:
                self._base.executemany(command, [_row(record) for record in records])
        except sqlite3.OperationalError as error:
            raise DiskFullError(
                f"{named(self.path)}: the record of a file cannot be written ({error}); free some "
                "space there"
            ) from None

    def forget(self, key: str) -> None:
        """Remove a record."""
        with self._base:
            self._base.execute("DELETE FROM files WHERE key = ?", (key,))

    def records(self) -> list[Record]:
        """This ledger's records in order of their keys."""
        return _records(self._base)

    def finish(self, record: Record, made: Path) -> Record:
        """Give a finished file its name and record it; see the module's docstring."""
        staged = replace(record, status="staged", output_mark=output_mark(made))
        self.write([staged])
        return self._named(staged, made)

    def recover(self, made: Callable[[str], Path | None]) -> int:
        """Bring what a crash left staged to its end; how many files that was.

        ``made`` gives the file that stands for a key in the work folder.
        """
        repaired = 0
        for record in self.records():
            if record.status != "staged":
                continue
            target, waiting = target_of(self.output, record.key), made(record.key)
            if waiting and output_mark(waiting) == record.output_mark:
                self._named(record, waiting)
                repaired += 1
            elif output_mark(target) == record.output_mark:
                self.write([replace(record, status="done")])
                repaired += 1
            else:
                self.forget(record.key)
        return repaired

    def _named(self, record: Record, made: Path) -> Record:
        target = target_of(self.output, record.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        require_inside(self.output, target)
        os.replace(made, target)  # noqa: PTH105 - a link in its place is replaced, not followed
        sync_folder(target.parent)
        done = replace(record, status="done", output_mark=output_mark(target))
        self.write([done])
        return done


def folder_of(output: Path) -> Path:
    """Where an output folder's ledgers and unfinished files are.

    Raises:
        InputError: a link leads it elsewhere.
    """
    folder = output / FOLDER
    require_inside(output, folder / "ledger")
    return folder


def target_of(output: Path, key: str) -> Path:
    """The output that a key stands for."""
    return output.joinpath(*key.split("/"))


def require_inside(output: Path, target: Path) -> None:
    """Refuse a target that a link leads out of the output folder.

    Raises:
        InputError: naming the folder that does.
    """
    if not target.parent.resolve().is_relative_to(output.resolve()):
        raise InputError(
            f"{named(target.parent)}: leads out of the output folder by a link; remove the link"
        )


def read_all(output: Path) -> dict[str, Record]:
    """The records of all ledgers of an output folder by key, the latest where two have one.

    Raises:
        InputError: a ledger is damaged or of a newer version.
    """
    found: dict[str, Record] = {}
    for path in sorted(folder_of(output).glob("ledger*.sqlite")):
        with closing(_open(path)) as base:
            if base.execute("PRAGMA user_version").fetchone()[0] == 0:
                continue  # another process is just making it
            for record in _records(base):
                known = found.get(record.key)
                if known is None or known.finished <= record.finished:
                    found[record.key] = record
    return found


def _open(path: Path) -> sqlite3.Connection:
    base = None
    try:
        base = sqlite3.connect(path, timeout=30)
        state = base.execute("PRAGMA quick_check(1)").fetchone()[0]
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if version:
            _records(base)
    except (sqlite3.Error, ValueError) as error:
        state, version = str(error), 0
    if state != "ok" or base is None:
        if base is not None:
            base.close()
        raise InputError(
            f"{named(path)}: this ledger is damaged ({state}); nothing was changed. Put back a "
            "copy of it, or move it away: finished outputs are then left as they are, unknown"
        )
    if version > VERSION:
        base.close()
        raise InputError(f"{named(path)}: a newer v2a-foley wrote this ledger: update this one")
    return base


def _lock(path: Path, output: Path) -> sqlite3.Connection:
    """A lock that ends with its process, however that ends: an open SQLite transaction."""
    lock = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error:
        lock.close()
        raise InputError(
            f"{named(output)}: another batch is at work in this output folder; wait for its end, "
            "or give each its own --shard"
        ) from None
    return lock


def _row(record: Record) -> list[Any]:
    values = {name: getattr(record, name) for name in _NAMES}
    return [json.dumps(value) if name in _JSON else value for name, value in values.items()]


def _records(base: sqlite3.Connection) -> list[Record]:
    rows = base.execute(f"SELECT {', '.join(_NAMES)} FROM files ORDER BY key")  # noqa: S608
    return [Record(**dict(zip(_NAMES, map(_value, _NAMES, row), strict=True))) for row in rows]


def _value(name: str, stored: Any) -> Any:
    """A stored value, which must be of its kind: SQLite keeps any in any column."""
    value = json.loads(stored) if name in _JSON else stored
    kind = dict if name in _JSON else _KINDS.get(name, str)
    unset = value is None and name in ("preset", "cue_sheet")
    if not (unset or isinstance(value, kind)) or (name == "status" and value not in _STATES):
        raise ValueError(f"{name} cannot be {value!r}")
    return value
