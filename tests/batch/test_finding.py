from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from v2a_foley.batch.finding import (
    Found,
    Patterns,
    check_collisions,
    check_template,
    find,
    output_key,
    read_list,
)
from v2a_foley.batch.sidecars import Stated
from v2a_foley.errors import InputError

TREE = (
    "a.mp4", "b.MKV", "notes.txt", "old.foley.mp4", ".hidden.mp4", ".cache/x.mp4",
    "day 1/c.mov", "day 1/deep/d.mpg", "out/a.foley.mp4", "out/e.mp4",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def keys(found: list[Found], template: str = "{stem}.foley{ext}") -> list[str]:
    return [output_key(each, template, Stated()) for each in found]


def test_a_folder_is_mirrored_without_hidden_names_and_its_own_results(tree: Path):
    found = find([tree], [], tree / "out", Patterns())
    assert keys(found) == [
        "a.foley.mp4", "b.foley.MKV", "day 1/c.foley.mov", "day 1/deep/d.foley.mkv",
    ]  # fmt: skip


def test_the_output_folder_is_left_out_by_any_name(tree: Path):
    link = tree.parent / "link"
    link.symlink_to(tree / "out")
    names = {each.video.name for each in find([tree], [], link, Patterns())}
    assert "e.mp4" not in names
    assert "a.mp4" in names


@pytest.mark.parametrize(
    ("include", "exclude", "names"),
    [
        (("*.mp4",), ("out/*",), ["a.mp4", "old.foley.mp4"]),
        (("day 1/*",), (), ["c.mov", "d.mpg"]),
        ((), ("day*",), ["a.mp4", "b.MKV", "e.mp4"]),
        (("*.m*",), ("*.mp4", "d.*"), ["c.mov"]),
    ],
)
def test_patterns(tree: Path, include: tuple[str, ...], exclude: tuple[str, ...], names: list[str]):
    found = find([tree], [], tree.parent / "out", Patterns(include, exclude))
    assert [each.video.name for each in found] == names


def test_links_to_folders_are_not_followed(tree: Path):
    (tree / "again").symlink_to(tree, target_is_directory=True)
    assert len(find([tree], [], tree / "out", Patterns())) == 4


def test_files_go_on_top_and_lists_keep_their_folders(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tree)
    inputs = [Path("day 1/c.mov"), tree / "a.mp4", Path("a.mp4")]
    assert keys(find(inputs, [], Path("out"), Patterns())) == ["c.foley.mov", "a.foley.mp4"]
    listed = [Path("day 1/c.mov"), tree / "a.mp4", Path("../in/b.MKV"), Path("gone.mp4")]
    assert keys(find([], listed, Path("out"), Patterns())) == [
        "day 1/c.foley.mov", "a.foley.mp4", "b.foley.MKV", "gone.foley.mp4",
    ]  # fmt: skip


def test_what_is_not_there_is_refused(tree: Path):
    with pytest.raises(InputError, match=r"gone: no such file or folder"):
        find([tree / "gone"], [], tree / "out", Patterns())
    with pytest.raises(InputError, match="no videos found"):
        find([tree], [], tree / "out", Patterns(("*.webm",)))


def test_a_list_has_remarks_and_any_bytes(tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"# mine\r\na b.mp4\r\n\n\xff.mp4\n")
    assert read_list(path) == [Path("a b.mp4"), Path(os.fsdecode(b"\xff.mp4"))]
    with pytest.raises(InputError, match="cannot be read as a list"):
        read_list(tmp_path / "none")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{name}.mp4", "unknown field"), ("{stem", "unknown field"), ("a/{stem}.mp4", "one file"),
        ("../{stem}.mp4", "one file"), (".{stem}.mp4", "one file"), ("{stem}\0.mp4", "one file"),
        ("{stem.__class__}.mp4", "unknown field"),
    ],
)  # fmt: skip
def test_templates_that_are_refused(template: str, words: str):
    with pytest.raises(InputError, match=words):
        check_template(template)


def test_a_template_is_filled_once():
    found = Found(Path("in/{seed}.mp4"), Path("in"), PurePosixPath("x"), frozenset())
    template = "{seed}-{preset}-{stem}{ext}"
    check_template(template)
    stated = Stated("presets/city.toml", 7)
    assert output_key(found, template, stated) == "x/7-city-{seed}.mp4"
    with pytest.raises(InputError, match="names no container"):
        output_key(found, "{stem}.txt", stated)
    with pytest.raises(InputError, match="255 bytes"):
        output_key(found, "{stem}" + "x" * 250 + ".mp4", stated)


@pytest.mark.parametrize("other", ["x/A.mp4", "x/\u0061.mp4", "X/a.mp4"])
def test_two_inputs_with_one_output_are_refused(other: str):
    with pytest.raises(InputError, match=r"1 and .*2 would both become"):
        check_collisions([("x/a.mp4", Path("1")), (other, Path("2"))])
    with pytest.raises(InputError, match="both"):
        check_collisions([("\u00e9.mp4", Path("1")), ("e\u0301.mp4", Path("2"))])
    check_collisions([("x/a.mp4", Path("1")), ("x/b.mp4", Path("2"))])
