from __future__ import annotations

from pathlib import Path

import pytest

from v2a_foley.errors import InputError
from v2a_foley.pairs.sources import find_sources


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_videos_below_a_folder_by_name(tmp_path: Path):
    videos = [tmp_path / name for name in ("b.MP4", "a/z.mkv", "a/b/c.webm")]
    touch(*videos, tmp_path / "a.txt", tmp_path / ".hidden.mp4", tmp_path / ".cache" / "x.mp4")
    found = find_sources(tmp_path)
    assert [each.name for each in found] == sorted(map(str, videos))
    assert [each.stretches[0].group for each in found] == ["a/b/c.webm", "a/z.mkv", "b.MP4"]


def test_nothing_to_embed(tmp_path: Path):
    with pytest.raises(InputError, match="holds no videos"):
        find_sources(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        find_sources(tmp_path / "nothing")
    touch(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="is no folder"):
        find_sources(tmp_path, tmp_path / "a.mp4")


def test_a_table_whose_media_are_elsewhere(tmp_path: Path):
    table = tmp_path / "table.csv"
    table.write_text("video\nx/a.mp4\nx/b.mp4\n")
    with pytest.raises(InputError, match="none of the files it lists is there"):
        find_sources(table)
    touch(tmp_path / "media" / "x" / "b.mp4")
    found = find_sources(table, tmp_path / "media")
    assert [each.files[0].name for each in found] == ["a.mp4", "b.mp4"]
    assert found[0].origin == "table.csv, row 2"
    assert found[0].stretches[0].group == "x/a.mp4"
