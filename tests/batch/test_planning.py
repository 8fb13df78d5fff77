from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.media.made import H264, lavfi, make
from v2a_foley.batch.job import Job
from v2a_foley.batch.ledger import FOLDER, Record, output_mark, target_of
from v2a_foley.batch.order import Entry, Order, Plan, Shard
from v2a_foley.batch.planning import plan, survey
from v2a_foley.errors import InputError
from v2a_foley.models.bundle import Models

JOB = Job("starter")
SHEET = """\
version = 1
[video]
path = "a.mp4"
duration = 1.0
fingerprint = "abc"
[[scene]]
id = "001"
start = 0.0
end = 1.0
preset = "city"
"""


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    return make(path, *lavfi("testsrc2=s=64x48:r=10:d=1"), *H264)


@pytest.fixture
def folder(tmp_path: Path, short: Path) -> Path:
    """Two clips, one in a folder of its own."""
    for name in ("a.mp4", "sub/b.mp4"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(short, path)
    return tmp_path


def order(folder: Path, **values: object) -> Order:
    return Order(folder / "out", (folder / "in",), **values)  # type: ignore[arg-type]


def planned(given: Order, models: Models, records: dict[str, Record] | None = None) -> Plan:
    return plan(given, survey(given), JOB, models, records or {})


def done(of: Plan, folder: Path) -> dict[str, Record]:
    """The records of a plan that was carried out."""
    records = {}
    for entry in of.entries:
        target = target_of(folder / "out", entry.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("made")
        digest = hashlib.sha256(entry.video.read_bytes()).hexdigest()
        records[entry.key] = Record(
            entry.key, "done", str(entry.video), input_hash=digest, input_mark=entry.input_mark,
            settings=entry.settings, output_mark=output_mark(target), duration=entry.duration,
            seconds={"share": 2.0},
        )  # fmt: skip
    return records


def reasons(of: Plan) -> list[tuple[str, str]]:
    return [(entry.action, entry.reason) for entry in of.entries]


SKIP = ("skip", "done before")
NEW = ("make", "new")


def test_new_files_are_made_and_done_ones_skipped(folder: Path, starter: Models):
    first = planned(order(folder), starter)
    assert [entry.key for entry in first.entries] == ["a.foley.mp4", "sub/b.foley.mp4"]
    assert reasons(first) == [NEW, NEW]
    assert all(entry.duration == pytest.approx(1, abs=0.05) for entry in first.entries)
    assert first.measured == 0
    assert not (folder / "out").exists()
    records = done(first, folder)
    again = planned(order(folder), starter, records)
    assert reasons(again) == [SKIP, SKIP]
    (folder / "out" / "a.foley.mp4").unlink()
    gone = planned(order(folder), starter, records)
    assert reasons(gone) == [("make", "its output is gone"), SKIP]
    assert (gone.measured, gone.estimate) == (2, pytest.approx(2.0))


def touch(folder: Path) -> None:
    os.utime(folder / "in" / "a.mp4", (1, 1))


def recode(folder: Path) -> None:
    make(folder / "in" / "a.mp4", *lavfi("testsrc=s=64x48:r=10:d=1"), *H264)


def sidecar(folder: Path) -> None:
    (folder / "in" / "a.foley.toml").write_text("seed = 3\n")


def add_sheet(folder: Path) -> None:
    (folder / "in" / "a.cues.toml").write_text(SHEET)


def edit_output(folder: Path) -> None:
    (folder / "out" / "a.foley.mp4").write_text("my own edit")


@pytest.mark.parametrize(
    ("change", "becomes"),
    [
        (touch, SKIP),
        (recode, ("make", "input changed")),
        (sidecar, ("make", "settings changed")),
        (add_sheet, ("make", "settings changed")),
        (edit_output, ("skip", "was changed since it was made; --overwrite replaces it")),
    ],
)
def test_what_changed_is_done_again(
    folder: Path, starter: Models, change: Callable[[Path], None], becomes: tuple[str, str]
):
    records = done(planned(order(folder), starter), folder)
    change(folder)
    assert reasons(planned(order(folder), starter, records)) == [becomes, SKIP]


def test_edits_of_sheets_presets_and_references_count(folder: Path, starter: Models):
    add_sheet(folder)
    preset = folder / "mine.toml"
    preset.write_text('name = "mine"\n[generation]\nsteps = 4\n')
    sound = folder / "in" / "sub" / "sea.wav"
    sound.write_bytes(b"one")
    (folder / "in" / "sub" / "v2a-foley.toml").write_text('[generation]\nreference = "sea.wav"\n')
    given = order(folder, preset=str(preset))
    records = done(planned(given, starter), folder)
    assert reasons(planned(given, starter, records)) == [SKIP, SKIP]
    sound.write_bytes(b"two")
    assert reasons(planned(given, starter, records)) == [SKIP, ("make", "settings changed")]
    preset.write_text('name = "mine"\n[generation]\nsteps = 5\n')
    (folder / "in" / "a.cues.toml").write_text(SHEET.replace("city", "nature"))
    assert [action for action, _ in reasons(planned(given, starter, records))] == ["make", "make"]


def test_other_packs_mappers_and_settings_are_other_sounds(folder: Path, starter: Models):
    records = done(planned(order(folder), starter), folder)
    for given, job, models in (
        (order(folder, seed=1), JOB, starter),
        (order(folder), replace(JOB, overrides={"mix": {"loudness": -16.0}}), starter),
        (order(folder), replace(JOB, spotting={"detector": "content"}), starter),
        (order(folder), JOB, Models("starter", "cpu", Path("regression"))),
    ):
        again = plan(given, survey(given), job, models, records)
        assert reasons(again) == [("make", "settings changed")] * 2
    elsewhere = replace(JOB, device="cuda")
    again = plan(order(folder), survey(order(folder)), elsewhere, starter, records)
    assert reasons(again) == [SKIP, SKIP]


def test_what_others_made_is_not_replaced_unless_told(folder: Path, starter: Models):
    target = folder / "out" / "a.foley.mp4"
    target.parent.mkdir()
    target.write_text("precious")
    kept = planned(order(folder), starter)
    assert reasons(kept) == [("skip", "exists already; --overwrite replaces it"), NEW]
    assert reasons(planned(order(folder, overwrite=True), starter)) == [NEW, NEW]


def test_failed_before_is_tried_again(folder: Path, starter: Models):
    records = done(planned(order(folder), starter), folder)
    failed = {key: replace(record, status="failed") for key, record in records.items()}
    again = planned(order(folder), starter, failed)
    assert reasons(again) == [("make", "failed before")] * 2


def test_broken_files_fail_alone(folder: Path, starter: Models):
    (folder / "in" / "c.mp4").write_text("no video")
    add_sheet(folder)
    (folder / "in" / "a.cues.toml").write_text("version = 7\n")
    made = planned(order(folder), starter)
    a, c, b = sorted(made.entries, key=lambda entry: entry.video.name != "a.mp4")
    assert a.action == "fail"
    assert "a.cues.toml" in a.reason
    rest = {entry.video.name: entry for entry in (b, c)}
    assert rest["c.mp4"].action == "fail"
    assert "is not a video file" in rest["c.mp4"].reason
    assert rest["b.mp4"].action == "make"


def test_an_audio_track_must_be_there(folder: Path, starter: Models):
    given = order(folder)
    made = plan(given, survey(given), replace(JOB, audio_track=1), starter, {})
    assert all(e.action == "fail" and "no audio track 1" in e.reason for e in made.entries)


def test_a_mistake_that_holds_for_a_folder_ends_the_batch(folder: Path):
    (folder / "in" / "v2a-foley.toml").write_text("[mix]\nvolume = 3\n")
    with pytest.raises(InputError, match=r"v2a-foley\.toml, line 2: mix\.volume is unknown"):
        survey(order(folder))


def test_what_cannot_be_is_refused_before_work(folder: Path):
    with pytest.raises(InputError, match="is an input itself"):
        survey(Order(folder / "in", (folder / "in" / "a.mp4",), template="{stem}{ext}"))
    with pytest.raises(InputError, match="is not a folder"):
        survey(Order(folder / "in" / "a.mp4", (folder / "in",)))
    with pytest.raises(InputError, match="no preset"):
        survey(order(folder, preset="nope"))
    (folder / "out").mkdir()
    (folder / "out" / "sub").symlink_to(folder)
    with pytest.raises(InputError, match="leads out of the output folder"):
        survey(order(folder))


def test_shards_are_disjoint_and_whole(folder: Path, short: Path):
    for number in range(40):
        os.link(short, folder / "in" / f"{number}.mp4")
    whole = {clip.key for clip in survey(order(folder))}
    shares = [
        {clip.key for clip in survey(order(folder, shard=Shard(number, 3)))} for number in (1, 2, 3)
    ]
    assert set.union(*shares) == whole
    assert sum(map(len, shares)) == len(whole) == 42
    assert all(len(share) > 5 for share in shares)


def test_work_is_done_inside_the_output_folder(folder: Path, starter: Models):
    def inside(entry: Entry) -> bool:
        return Path(entry.task.folder).is_relative_to(folder / "out" / FOLDER)

    made = planned(order(folder, shard=Shard(1, 1)), starter)
    assert all(map(inside, made.entries))
    assert len({entry.task.folder for entry in made.entries}) == 2
