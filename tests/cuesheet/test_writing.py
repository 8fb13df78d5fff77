from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cuesheet.conftest import TEXT, a_sheet
from v2a_foley import cuesheet
from v2a_foley.cuesheet import Scene
from v2a_foley.errors import CueSheetError, FoleyError
from v2a_foley.presets import Tag


def test_a_new_sheet_is_plain_to_read(tmp_path: Path):
    scene = Scene("001", 0.0, 1 / 3, "city", 9, (Tag('a "b"', "city", 0.43219),))
    sheet = a_sheet(video=tmp_path / "film" / "clip.mp4", scenes=(scene,), preset="subtle")
    cuesheet.save(sheet, tmp_path / "clip.cues.toml")
    assert (tmp_path / "clip.cues.toml").read_text() == (
        "# v2a-foley cue sheet (seconds are presentation time from the start of the video)\n"
        'version = 1\nseed = 0\npreset = "subtle"\n\n'
        '[video]\npath = "film/clip.mp4"\nduration = 10.0\nfingerprint = "f"\n\n'
        '[models]\npack = "starter"\n\n'
        '[[scene]]\nid = "001"\nstart = 0.0\nend = 0.333333\npreset = "city"\nseed = 9\n'
        'tags = [\n    {concept = "a \\"b\\"", group = "city", score = 0.4322},\n]\n'
    )


def test_the_video_is_stated_relative_where_that_helps(tmp_path: Path):
    def stated(video: str, sheet: str) -> str:
        text = cuesheet.dumps(a_sheet(video=Path(video), path=Path(sheet)))
        return text.split('path = "')[1].split('"')[0]

    assert stated("/job/a/clip.mp4", "/job/a/clip.cues.toml") == "clip.mp4"
    assert stated("/job/video/clip.mp4", "/job/sheets/clip.cues.toml") == "../video/clip.mp4"
    assert stated("/media/clip.mp4", "/job/clip.cues.toml") == "/media/clip.mp4"
    assert stated("clip.mp4", "clip.cues.toml") == "clip.mp4"
    assert 'path = "clip.mp4"' in cuesheet.dumps(a_sheet())


def test_saving_what_was_read_changes_no_byte(path: Path):
    before = path.read_bytes()
    assert cuesheet.save(cuesheet.load(path), path) == cuesheet.load(path)
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.cues.toml", "config"]


def test_an_edit_changes_its_own_lines_only(path: Path):
    sheet = cuesheet.load(path)
    first, second = sheet.scenes
    first = replace(
        first, seed=77, overrides={"generation": {"steps": 30}, "mix": {"gain_db": -3.0}}
    )
    cuesheet.save(replace(sheet, scenes=(first, second), preset="subtle"), path)
    assert path.read_text() == (
        TEXT.replace("seed = 7 # lucky\n", 'seed = 7 # lucky\npreset = "subtle"\n')
        .replace("seed = 1234", "seed = 77")
        .replace("steps = 30\n", "steps = 30\n\n[scene.mix]\ngain_db = -3.0\n")
    )


def test_comments_go_with_their_scene(path: Path):
    sheet = cuesheet.load(path)
    second = sheet.scenes[1]
    added = Scene("003", 5.0, 6.0, "water", 3)
    cuesheet.save(replace(sheet, scenes=(second, added)), path)
    text = path.read_text()
    assert "the street" not in text
    assert '\n# the chase\n[[scene]]\nid = "002"\n' in text
    assert text.endswith('seed = 99\n\n[[scene]]\nid = "003"\nstart = 5.0\nend = 6.0\n'
                         'preset = "water"\nseed = 3\n')  # fmt: skip
    assert text.startswith(TEXT[: TEXT.index("# the street")])


def test_a_new_scene_comes_after_the_one_before_it_in_time(path: Path):
    sheet = cuesheet.load(path)
    first, second = sheet.scenes
    added = Scene("001b", 0.5, 1.2, "water", 3)
    cuesheet.save(replace(sheet, scenes=(replace(first, end=0.5), added, second)), path)
    text = path.read_text()
    assert "end = 0.5 # on the cut\n" in text
    assert text.index('"001"') < text.index('"001b"') < text.index("# the chase")
    assert [scene.id for scene in cuesheet.load(path).scenes] == ["001", "001b", "002"]


def test_a_scene_loses_an_override_and_tags(path: Path):
    sheet = cuesheet.load(path)
    bare = replace(sheet.scenes[0], overrides={}, tags=())
    saved = cuesheet.save(replace(sheet, scenes=(bare, sheet.scenes[1]), defaults={}), path)
    text = path.read_text()
    assert cuesheet.load(path) == saved
    assert "defaults" not in text
    assert "generation" not in text
    assert "tags" not in text
    assert "# on the cut" in text


def test_any_layout_that_toml_allows_can_be_updated(path: Path):
    path.write_text(
        "version = 1\nvideo.path = 'clip.mp4' # here\nvideo.duration = 10\n"
        "video.fingerprint = 'f'\nscene = [{id = 'a', start = 0, end = 1}]\n"
        "[defaults.timing]\ncrossfade = 1\n[models]\npack = 'p'\n[defaults.mix]\ngain_db = 1"
    )
    sheet = cuesheet.load(path)
    assert sheet.scenes[0].id == "a"
    changed = replace(sheet, pack="q", seed=4)
    cuesheet.save(changed, path)
    assert cuesheet.load(path) == changed


def test_what_is_unstated_stays_so_where_nothing_changes_it(path: Path):
    bare = "version = 1\n[video]\npath = './clip.mp4'\nduration = 10\nfingerprint = 'f'\n"
    scenes = "".join(f"[[scene]]\nid = '{n}'\nstart = {n}\nend = {n + 1}\n" for n in range(3))
    path.write_text(bare + scenes + "mute = false\n")
    sheet = cuesheet.load(path)
    first, second, third = sheet.scenes
    cuesheet.save(replace(sheet, scenes=(first, replace(second, end=1.5), third)), path)
    assert path.read_text() == bare + scenes.replace("end = 2", "end = 1.5") + "mute = false\n"
    cuesheet.save(replace(sheet, pack="big", scenes=(first, replace(third, mute=True))), path)
    text = path.read_text()
    assert '[models]\npack = "big"\n\n[[scene]]' in text
    assert text.endswith("end = 3\nmute = true\n")
    assert "seed" not in text
    changed = replace(cuesheet.load(path), seed=4, preset="city")
    assert cuesheet.save(changed, path) == cuesheet.load(path)


def test_windows_line_ends_are_kept(path: Path):
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    sheet = cuesheet.load(path)
    cuesheet.save(replace(sheet, seed=8), path)
    assert path.read_bytes().decode() == TEXT.replace("seed = 7", "seed = 8").replace("\n", "\r\n")


def test_a_broken_sheet_is_not_written_over(path: Path):
    sheet = cuesheet.load(path)
    path.write_text("version = 1\noops")
    with pytest.raises(CueSheetError, match="line 2: not valid TOML"):
        cuesheet.save(sheet, path)
    assert path.read_text() == "version = 1\noops"


def test_a_sheet_that_could_not_be_read_again_is_not_written(path: Path):
    sheet = cuesheet.load(path)
    overlapping = replace(sheet.scenes[1], start=1.0)
    with pytest.raises(CueSheetError, match="scenes must not overlap"):
        cuesheet.save(replace(sheet, scenes=(sheet.scenes[0], overlapping)), path)
    assert path.read_text() == TEXT


def test_a_name_that_is_not_text_is_refused(tmp_path: Path):
    with pytest.raises(CueSheetError, match="not UTF-8 text; rename the video"):
        cuesheet.save(a_sheet(video=tmp_path / "bad\udcff.mp4"), tmp_path / "x.cues.toml")
    assert not (tmp_path / "x.cues.toml").exists()


def test_a_folder_that_is_not_there_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(FoleyError, match="cannot be written: No such file") as raised:
        cuesheet.save(a_sheet(), tmp_path / "none" / "x.cues.toml")
    assert raised.value.exit_code == 1


def test_two_who_save_at_once_leave_one_whole_sheet(path: Path):
    sheet = cuesheet.load(path)
    seeds = range(20)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: cuesheet.save(replace(sheet, seed=seed), path), seeds))
    assert cuesheet.load(path).seed in seeds
    assert sorted(each.name for each in path.parent.iterdir()) == ["clip.cues.toml", "config"]


@pytest.mark.skipif(os.name != "posix", reason="links and modes are those of POSIX")
def test_a_link_to_a_sheet_stays_a_link_and_its_mode_stays(path: Path):
    path.chmod(0o640)
    folder = path.parent / "links"
    folder.mkdir()
    link = folder / "clip.cues.toml"
    link.symlink_to(path)
    cuesheet.save(replace(cuesheet.load(path), seed=8), link)
    assert link.is_symlink()
    assert cuesheet.load(path).seed == 8
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in folder.iterdir()] == ["clip.cues.toml"]


def test_a_sheets_name_may_be_as_long_as_names_go(tmp_path: Path):
    path = tmp_path / ("\u00e9" * 122 + ".cues.toml")
    assert cuesheet.load(cuesheet.save(a_sheet(video=tmp_path / "clip.mp4"), path).path)
