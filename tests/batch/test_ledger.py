from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from v2a_foley.batch.ledger import (
    FOLDER,
    Ledger,
    Record,
    output_mark,
    read_all,
    require_inside,
    target_of,
)
from v2a_foley.errors import DiskFullError, InputError

FULL = Record(
    "sub/a.mp4", "done", "/in/a.mp4", output_hash="f00", input_mark="1 2 3", preset="city", seed=7,
    pack="starter", versions={"torch": "2"}, scenes=3, duration=1.5, finished=9.0,
    loudness={"integrated": -23.0, "true_peak": None}, seconds={"spot": 0.5},
)  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A finished file that has no name yet."""
    path = tmp_path / FOLDER / "work" / "made.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"finished")
    return path


def test_records_come_back_as_they_were(tmp_path: Path):
    failed = Record("b.mp4", "failed", "/in/b.mp4", error='it\'s "broken"\n; DROP TABLE files')
    with Ledger(tmp_path) as ledger:
        ledger.write([FULL, failed])
        ledger.write([failed])
        assert ledger.records() == [failed, FULL]
    assert read_all(tmp_path) == {"b.mp4": failed, "sub/a.mp4": FULL}


def test_a_finished_file_gets_its_name_and_then_its_record(tmp_path: Path, made: Path):
    with Ledger(tmp_path) as ledger:
        done = ledger.finish(FULL, made)
    target = tmp_path / "sub" / "a.mp4"
    assert target.read_bytes() == b"finished"
    assert not made.exists()
    assert (done.status, done.output_mark) == ("done", output_mark(target))
    assert read_all(tmp_path) == {"sub/a.mp4": done}


@pytest.mark.parametrize("renamed", [False, True])
def test_a_crash_between_the_steps_is_repaired(tmp_path: Path, made: Path, renamed: bool):
    target = target_of(tmp_path, FULL.key)
    with Ledger(tmp_path) as ledger:
        ledger.write([replace(FULL, status="staged", output_mark=output_mark(made))])
        if renamed:
            target.parent.mkdir()
            made.rename(target)
    with Ledger(tmp_path) as ledger:
        assert ledger.recover(lambda key: made if made.exists() else None) == 1
        (record,) = ledger.records()
    assert record == replace(FULL, output_mark=output_mark(target))
    assert target.read_bytes() == b"finished"


def test_what_was_staged_and_is_gone_is_forgotten(tmp_path: Path):
    with Ledger(tmp_path) as ledger:
        ledger.write([replace(FULL, status="staged", output_mark="8 1")])
        assert ledger.recover(lambda key: None) == 0
        assert ledger.records() == []


def test_one_batch_at_a_time_and_a_shard_beside_it(tmp_path: Path):
    with Ledger(tmp_path) as first:
        with pytest.raises(InputError, match="another batch is at work"):
            Ledger(tmp_path)
        with Ledger(tmp_path, "2of3") as other:
            other.write([replace(FULL, finished=10.0, scenes=4)])
        first.write([FULL])
        assert read_all(tmp_path)[FULL.key].scenes == 4  # the later one
    Ledger(tmp_path).close()


@pytest.mark.parametrize("where", [0, 20, 40, 100, 4096])
def test_a_damaged_ledger_is_refused_and_left_as_it_is(tmp_path: Path, where: int):
    with Ledger(tmp_path) as ledger:
        ledger.write([replace(FULL, key=f"{n}.mp4") for n in range(50)])
        path = ledger.path
    data = bytearray(path.read_bytes())
    data[where : where + 60] = bytes(range(200, 140, -1))
    path.write_bytes(data)
    for attempt in (lambda: Ledger(tmp_path), lambda: read_all(tmp_path)):
        with pytest.raises(InputError, match=r"ledger\.sqlite: (this ledger is damaged|a newer)"):
            attempt()
    assert path.read_bytes() == data
    path.unlink()
    Ledger(tmp_path).close()


def test_other_files_are_no_ledger(tmp_path: Path):
    path = tmp_path / FOLDER / "ledger.sqlite"
    path.parent.mkdir()
    path.write_text("this is no ledger, but a text of some length that nobody wants to lose\n" * 9)
    with pytest.raises(InputError, match="damaged"):
        Ledger(tmp_path)
    path.unlink()
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA user_version=1")
        base.execute("CREATE TABLE other (x)")
    with pytest.raises(InputError, match="damaged"):
        Ledger(tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("finished", "soon"), ("seconds", "[1]"), ("seconds", "{"), ("status", "fine"), ("key", b"3")],
)
def test_values_that_cannot_be_are_damage(tmp_path: Path, column: str, value: object):
    with Ledger(tmp_path) as ledger:
        ledger.write([FULL])
        path = ledger.path
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(f"UPDATE files SET {column} = ?", (value,))
    with pytest.raises(InputError, match="damaged"):
        read_all(tmp_path)


def test_a_newer_ledger_asks_for_an_update(tmp_path: Path):
    with Ledger(tmp_path) as ledger:
        path = ledger.path
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA user_version=99")
    with pytest.raises(InputError, match="a newer v2a-foley wrote this ledger"):
        Ledger(tmp_path)


def test_no_room_for_a_record_is_a_full_disk(tmp_path: Path):
    with Ledger(tmp_path) as ledger:
        pages = ledger._base.execute("PRAGMA page_count").fetchone()[0]
        ledger._base.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(DiskFullError, match="cannot be written"):
            ledger.write([replace(FULL, error="x" * 100_000)])
        assert ledger.records() == []


def test_links_do_not_lead_out_of_the_output_folder(tmp_path: Path, made: Path):
    elsewhere = tmp_path / "elsewhere"
    output = tmp_path / "out"
    elsewhere.mkdir()
    output.mkdir()
    (output / "sub").symlink_to(elsewhere)
    with pytest.raises(InputError, match="leads out of the output folder"):
        require_inside(output, output / "sub" / "a.mp4")
    with Ledger(output) as ledger, pytest.raises(InputError, match="leads out"):
        ledger.finish(FULL, made)
    assert not list(elsewhere.iterdir())
    (output / "linked.mp4").symlink_to(elsewhere / "a.mp4")  # a link itself is replaced
    with Ledger(output) as ledger:
        ledger.finish(replace(FULL, key="linked.mp4"), made)
    assert not (output / "linked.mp4").is_symlink()
    assert not list(elsewhere.iterdir())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FOLDER).symlink_to(elsewhere)
    with pytest.raises(InputError, match="leads out"):
        Ledger(tmp_path / "other")
