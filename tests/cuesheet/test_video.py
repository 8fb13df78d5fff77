from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cuesheet.conftest import a_sheet
from v2a_foley import cuesheet
from v2a_foley.cuesheet.video import fingerprint, located, relink
from v2a_foley.errors import CueSheetError, InputError


@pytest.fixture
def video(three_shots: Path, tmp_path: Path) -> Path:
    path = tmp_path / "film" / "clip.mp4"
    path.parent.mkdir()
    path.write_bytes(three_shots.read_bytes())
    return path


@pytest.fixture
def sheet(video: Path, tmp_path: Path) -> cuesheet.CueSheet:
    scene = cuesheet.Scene("001", 0.0, 3.5, "city", 5)
    made = a_sheet(video=video, duration=4.0, fingerprint=fingerprint(video), scenes=(scene,))
    (tmp_path / "job").mkdir()
    return cuesheet.save(made, tmp_path / "job" / "clip.cues.toml")


def test_a_video_in_its_place_is_not_looked_for(sheet: cuesheet.CueSheet, video: Path):
    assert located(sheet) is sheet
    video.write_bytes(b"whatever")  # nor read
    assert located(sheet) is sheet


def test_a_moved_video_is_found_beside_the_sheet_by_its_content(
    sheet: cuesheet.CueSheet, video: Path
):
    assert sheet.path
    moved = video.rename(sheet.path.parent / video.name)
    assert located(sheet) == replace(sheet, video=moved)
    moved.write_bytes(b"another")
    with pytest.raises(CueSheetError, match=r"is another one: put .* v2a-foley cue relink \S+ VID"):
        located(sheet)
    moved.unlink()
    with pytest.raises(CueSheetError, match="is not there: put it back, or say where it is: v2a"):
        located(sheet)
    with pytest.raises(CueSheetError, match="is not there"):
        located(replace(sheet, path=None))


def test_a_folder_that_moves_as_a_whole_needs_no_search(sheet: cuesheet.CueSheet, tmp_path: Path):
    away = tmp_path / "away"
    away.mkdir()
    for name in ("film", "job"):
        (tmp_path / name).rename(away / name)
    loaded = cuesheet.load(away / "job" / "clip.cues.toml")
    assert located(loaded) is loaded
    assert loaded.video == away / "film" / "clip.mp4"


def test_a_video_is_relinked_where_it_is_the_same(
    sheet: cuesheet.CueSheet, video: Path, tmp_path: Path
):
    moved = video.rename(tmp_path / "renamed.mp4")
    made = relink(sheet, moved)
    assert made == replace(sheet, video=moved)
    assert sheet.path
    cuesheet.save(made, sheet.path)
    assert 'path = "../renamed.mp4"' in sheet.path.read_text()


def test_another_video_is_taken_only_as_a_new_version(
    sheet: cuesheet.CueSheet, video: Path, tmp_path: Path
):
    other = tmp_path / "graded.mp4"
    other.write_bytes(video.read_bytes() + b"\0" * 8)
    with pytest.raises(CueSheetError, match="is not the video that was spotted: spot it, or use"):
        relink(sheet, other)
    made = relink(sheet, other, changed=True)
    assert (made.video, made.fingerprint) == (other, fingerprint(other))
    assert made.duration == pytest.approx(4.0, abs=0.05)
    late = replace(sheet, scenes=(replace(sheet.scenes[0], end=9.0),))
    with pytest.raises(CueSheetError, match="after the video"):
        relink(late, other, changed=True)
    other.write_bytes(b"no video")
    with pytest.raises(InputError):
        relink(sheet, other, changed=True)
    with pytest.raises(InputError, match=r"none\.mp4"):
        relink(sheet, tmp_path / "none.mp4")
