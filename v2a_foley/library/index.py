"""The index of recordings: what is known of them in SQLite, their embeddings in a ``.npy``.

Embeddings are written before the rows that refer to them, in one transaction: killed at any time,
the index is as it was after its last batch. Who only reads needs no lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from v2a_foley.errors import InputError, MediaError
from v2a_foley.library import vectors
from v2a_foley.library.records import Entry, File, Folder, Piece

FORMAT = "1"
NAME = "library.sqlite"
_FIRST = "embeddings-1.npy"
_PATIENCE = 60.0  # seconds that one who writes waits for another
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE folders (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
    licence TEXT NOT NULL
);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, folder INTEGER NOT NULL REFERENCES folders ON DELETE CASCADE,
    path TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, hash TEXT NOT NULL,
    seconds REAL NOT NULL, licence TEXT NOT NULL, note TEXT NOT NULL, UNIQUE (folder, path)
);
CREATE TABLE windows (
    file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    start REAL NOT NULL, "end" REAL NOT NULL, row INTEGER NOT NULL
);
CREATE INDEX files_by_hash ON files (hash);
CREATE INDEX windows_by_file ON windows (file);
"""


class Index:
    """The index in one folder. A context manager, of one thread."""

    def __init__(self, folder: Path) -> None:
        """Open the index in ``folder``.

        Raises InputError when there is none, it is damaged, or made by another version.
        """
        self._folder, self._path = folder, folder / NAME
        if not exists(folder):
            raise InputError(f"{folder}: holds no sound library: add a folder of sounds first")
        with _judged(self._path):
            self._db = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
            try:
                self._db.execute("PRAGMA foreign_keys = ON")
                (state,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
                if state != "ok":
                    raise sqlite3.DatabaseError(state)
                self._check_format()
            except BaseException:
                self._db.close()
                raise

    def _check_format(self) -> None:
        found = self.meta.get("format")
        if found != FORMAT:
            raise InputError(
                f"{self._path}: has format {found}, this version reads {FORMAT}: install the "
                f"v2a-foley that made it, or delete the folder {self._folder} and add your sound "
                "folders again"
            )

    @classmethod
    def create(cls, folder: Path, dim: int, **meta: str) -> Index:
        """Open the index in ``folder``, made first where there is none, for ``dim`` dimensions."""
        path = folder / NAME
        with _judged(path):
            folder.mkdir(parents=True, exist_ok=True)
            if not exists(folder):
                with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as db:
                    db.execute("BEGIN IMMEDIATE")
                    if not db.execute("SELECT 1 FROM sqlite_master").fetchone():  # nobody else did
                        vectors.create(folder / _FIRST, dim)
                        for statement in _TABLES.split(";"):
                            db.execute(statement)
                        values = meta | {"format": FORMAT, "embeddings": _FIRST}
                        db.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
                    db.execute("COMMIT")
        return cls(folder)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._db.close()

    @property
    def meta(self) -> dict[str, str]:
        """What is stated of the whole index."""
        return dict(self._all("SELECT key, value FROM meta"))

    @property
    def embeddings(self) -> np.ndarray:
        """All embeddings ``(n, dim)``, mapped; rows that nothing refers to are among them."""
        return vectors.opened(self._vectors)

    @property
    def _vectors(self) -> Path:
        return self._folder / Path(self.meta["embeddings"]).name

    def folders(self) -> list[Folder]:
        """The folders that were added, by name."""
        rows = self._all("SELECT id, path, name, licence FROM folders ORDER BY name")
        return [Folder(number, Path(path), *rest) for number, path, *rest in rows]

    def files(self, folder: Folder) -> list[File]:
        """The files of a folder, by path."""
        query = f"SELECT {_FILE} FROM files WHERE folder = ? ORDER BY path"  # noqa: S608
        return [File(*row) for row in self._all(query, folder.id)]

    def known(self, digest: str) -> File | None:
        """A file with these bytes, wherever it is."""
        query = f"SELECT {_FILE} FROM files WHERE hash = ? LIMIT 1"  # noqa: S608
        return next((File(*row) for row in self._all(query, digest)), None)

    def pieces(self) -> list[Piece]:
        """All windows, by folder's name, path and time."""
        folders = {each.id: each for each in self.folders()}
        query = f"SELECT folder, {_FILE} FROM files"  # noqa: S608
        files = {row[-1]: (folders[row[0]], File(*row[1:])) for row in self._all(query)}
        rows = self._all('SELECT file, start, "end", row FROM windows')
        found = [Piece(*files[number], *rest) for number, *rest in rows]
        return sorted(found, key=lambda p: (p.folder.name, p.file.path, p.start))

    def put_folder(self, path: Path, name: str, licence: str) -> Folder:
        """Note a folder, or another name or licence of one."""
        known = next((each for each in self.folders() if each.path == path), None)
        if known and (known.name, known.licence) == (name, licence):
            return known
        with self._writing():
            self._db.execute(
                "INSERT INTO folders (path, name, licence) VALUES (?, ?, ?) "
                "ON CONFLICT (path) DO UPDATE SET name = excluded.name, licence = excluded.licence",
                (str(path), name, licence),
            )
        return next(each for each in self.folders() if each.path == path)

    def drop_folder(self, folder: Folder) -> None:
        """Forget a folder and its files."""
        with self._writing():
            self._db.execute("DELETE FROM folders WHERE id = ?", (folder.id,))
        self._compact()

    def write(self, folder: Folder, batch: Sequence[Entry]) -> None:
        """Take in files of a folder; what was known of them is replaced."""
        made = [embedding for entry in batch for embedding in entry.embeddings]
        with self._writing():
            row = vectors.append(self._vectors, np.stack(made)) if made else 0
            # Before anything is replaced: files may have swapped names.
            twins = [self._all(_WINDOWS, each.file.hash) if each.known else [] for each in batch]
            for entry, windows in zip(batch, twins, strict=True):
                for start, end in entry.spans:
                    windows.append((start, end, row))
                    row += 1
                number = self._put(folder, entry.file)
                self._db.executemany(
                    "INSERT INTO windows VALUES (?, ?, ?, ?)", [(number, *each) for each in windows]
                )

    def _put(self, folder: Folder, file: File) -> int:
        where = (folder.id, file.path)
        self._db.execute("DELETE FROM files WHERE folder = ? AND path = ?", where)
        what = (file.size, file.mtime, file.hash, file.seconds, file.licence, file.note)
        done = self._db.execute(
            "INSERT INTO files (folder, path, size, mtime, hash, seconds, licence, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            where + what,
        )
        return int(done.lastrowid or 0)

    def touch(self, files: Sequence[File]) -> None:
        """Note new times and licences of files whose bytes are as they were."""
        values = [(each.size, each.mtime, each.licence, each.id) for each in files]
        with self._writing():
            self._db.executemany(
                "UPDATE files SET size = ?, mtime = ?, licence = ? WHERE id = ?", values
            )

    def drop(self, files: Sequence[File]) -> None:
        """Forget files."""
        with self._writing():
            self._db.executemany("DELETE FROM files WHERE id = ?", [(each.id,) for each in files])
        self._compact()

    def _compact(self) -> None:
        """Write the embeddings anew, under another name, once most are of what is gone.

        Who has the old ones open keeps them.
        """
        with self._writing():
            old, kept = self._vectors, [r for (r,) in self._all(_ROWS)]
            whole = self.embeddings
            if 2 * len(kept) >= len(whole):
                return
            new = old.with_name(f"embeddings-{int(old.stem.rpartition('-')[2]) + 1}.npy")
            vectors.create(new, whole.shape[1])
            vectors.append(new, whole[kept])
            self._db.execute("CREATE TEMP TABLE moves (old INTEGER PRIMARY KEY, new INTEGER)")
            moves = [(row, number) for number, row in enumerate(kept)]
            self._db.executemany("INSERT INTO moves VALUES (?, ?)", moves)
            self._db.execute("UPDATE windows SET row = (SELECT new FROM moves WHERE old = row)")
            self._db.execute("DROP TABLE moves")
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'embeddings'", (new.name,))
        del whole
        with suppress(OSError):  # where a system does not delete what is open
            old.unlink()

    def _all(self, query: str, *values: Any) -> list[Any]:
        with _judged(self._path):
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _judged(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def exists(folder: Path) -> bool:
    """Whether ``folder`` holds an index; one that was killed while it was made is none."""
    try:
        return (folder / NAME).stat().st_size > 0
    except OSError:
        return False


@contextmanager
def _judged(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the index at ``path`` into words."""
    try:
        yield
    except OSError as error:
        raise MediaError(
            f"{path}: the sound library cannot be written ({error.strerror}); see that its folder "
            "may be written and has room"
        ) from None
    except sqlite3.DatabaseError as error:
        reason = " ".join(str(error).split())
        if isinstance(error, sqlite3.OperationalError) and "no such" not in reason:
            raise InputError(
                f"{path}: the sound library cannot be used ({reason}); see that no other "
                "program holds it, that it may be written, and that the disk has room"
            ) from None
        raise InputError(
            f"{path}: the sound library is damaged ({reason}): delete the folder {path.parent} "
            "and add your sound folders again"
        ) from None


_FILE = "path, size, mtime, hash, seconds, licence, note, id"
_ROWS = "SELECT DISTINCT row FROM windows ORDER BY row"
_WINDOWS = """
SELECT start, "end", row FROM windows
WHERE file = (SELECT file FROM windows JOIN files ON id = file WHERE hash = ? LIMIT 1)
"""
