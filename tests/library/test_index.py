from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from v2a_foley.errors import InputError, MediaError
from v2a_foley.library import vectors
from v2a_foley.library.index import NAME, Index
from v2a_foley.library.records import Entry, File
from v2a_foley.library.searching import Library
from v2a_foley.models.bundle import Models

DIM = 6


def unit(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def entry(name: str, embedding: np.ndarray) -> Entry:
    return Entry(File(name, 10, 20, f"hash of {name}", 1.5, "", ""), [(0.0, 1.5)], [embedding])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An index of three files."""
    with Index.create(tmp_path / "index", DIM, pack="made-1") as index:
        folder = index.put_folder(tmp_path / "sounds", "sounds", "")
        index.write(folder, [entry(f"{n}.wav", row) for n, row in enumerate(unit(3))])
    return tmp_path / "index"


def test_what_is_written_is_read(place: Path):
    with Index(place) as index:
        assert index.meta["pack"] == "made-1"
        assert isinstance(index.embeddings, np.memmap)
        rows = [index.embeddings[piece.row] for piece in index.pieces()]
    assert (np.stack(rows) == unit(3)).all()
    assert sorted(path.name for path in place.iterdir()) == ["embeddings-1.npy", NAME]
    assert (np.load(place / "embeddings-1.npy", allow_pickle=False) == unit(3)).all()


def test_a_file_of_embeddings_grows(tmp_path: Path):
    path = tmp_path / "rows.npy"
    vectors.create(path, DIM)
    assert vectors.opened(path).shape == (0, DIM)
    rows = unit(1234)
    for start in range(0, len(rows), 100):
        before = vectors.opened(path)
        assert vectors.append(path, rows[start : start + 100]) == start == len(before)
    assert (np.load(path) == rows).all()


def test_killed_between_embeddings_and_rows(place: Path):
    path = place / "embeddings-1.npy"
    with path.open("ab") as file:  # before the header
        file.write(bytes(100))
    with Index(place) as index:
        assert len(index.embeddings) == 3
        index.write(index.folders()[0], [entry("3.wav", unit(4)[3])])
    vectors.append(path, unit(2, seed=9))  # before the rows
    with Index(place) as index:
        index.write(index.folders()[0], [entry("4.wav", unit(5)[4])])
        rows = index.embeddings
        assert (np.stack([rows[piece.row] for piece in index.pieces()]) == unit(5)).all()


def test_two_write_at_once(place: Path):
    def write(first: int) -> None:
        with Index(place) as index:
            folder = index.folders()[0]
            for number in range(first, first + 20):
                index.write(folder, [entry(f"{number}.wav", unit(200)[number])])

    threads = [Thread(target=write, args=(first,)) for first in (100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Index(place) as index:
        rows, found = index.embeddings, index.pieces()
        assert len(found) == 43
        for piece in found[3:]:
            number = int(piece.file.path.removesuffix(".wav"))
            if number >= 100:
                assert (rows[piece.row] == unit(200)[number]).all()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:] = np.random.default_rng(0).bytes(len(data) - 100)
    path.write_bytes(data)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def other_shape(path: Path) -> None:
    np.save(path, unit(3).astype(np.float64))


def fewer(path: Path) -> None:
    np.save(path, unit(2))


def pickled(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def zeros(path: Path) -> None:
    np.save(path, np.zeros((3, DIM), np.float32))


EMBEDDINGS = (garble, nothing, other_shape, fewer, pickled, zeros, Path.unlink)


@pytest.mark.parametrize(
    ("name", "harm"),
    [(NAME, cut), (NAME, garble), *(("embeddings-1.npy", h) for h in EMBEDDINGS)],
)
def test_a_damaged_index_is_refused_by_name(
    place: Path, starter: Models, name: str, harm: Callable[[Path], None]
):
    Library(place, starter)
    harm(place / name)
    with pytest.raises(InputError, match=r"index.*damaged.*delete .*add your sound folders again"):
        Library(place, starter)


def test_killed_while_it_was_made(tmp_path: Path):
    place = tmp_path / "index"
    place.mkdir()
    (place / NAME).touch()
    with pytest.raises(InputError, match="holds no sound library"):
        Index(place)
    Index.create(place, DIM).close()
    with Index(place) as index:
        assert index.pieces() == []


def test_a_place_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match=r"cannot be written \(Not a directory\)"):
        Index.create(tmp_path / "file" / "index", DIM)


def test_an_index_of_another_version_is_refused(place: Path):
    with closing(sqlite3.connect(place / NAME)) as db, db:
        db.execute("UPDATE meta SET value = '2' WHERE key = 'format'")
    with pytest.raises(InputError, match=r"has format 2, this version reads 1"):
        Index(place)


def test_an_index_that_another_program_holds(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("v2a_foley.library.index._PATIENCE", 0.1)
    with closing(sqlite3.connect(place / NAME, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"cannot be used \(database is locked\)"):
            Index(place)
    Index(place).close()
