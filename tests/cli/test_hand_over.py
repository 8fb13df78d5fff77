"""Stems, timelines and sidecar from the command line, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import SHEET, Cli
from tests.media.made import H264, lavfi, make

ALL = [
    "--stems", "stems", "--handles", "--timeline", "a.otio", "--timeline", "b.xml",
    "--timeline", "c.fcpxml", "--timeline", "d.edl", "--sidecar", "e.json",
]  # fmt: skip


def listing() -> set[str]:
    return {path.as_posix() for path in Path().rglob("*")}


def test_deliver_hands_over(cli: Cli, video: Path, stems: Path) -> None:
    done = cli("deliver", stems, *ALL, "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert [Path(each).name for each in record["stems"]] == ["001.wav", "002.wav", "track.wav"]
    assert record["timelines"] == ["a.otio", "b.xml", "c.fcpxml", "d.edl"]
    assert record["sidecar"] == "e.json"
    assert all(Path(each).is_file() for each in record["timelines"])
    assert "d.edl: does not hold the video's own sound" in done.stderr


def test_a_plan_shows_what_is_handed_over(cli: Cli, video: Path) -> None:
    before = listing()
    plan = json.loads(cli("run", video, *ALL, "--dry-run", "--json").stdout)
    assert plan["timelines"] == ["a.otio", "b.xml", "c.fcpxml", "d.edl"]
    assert (plan["handles"], plan["sidecar"]) == (True, "e.json")
    words = cli("run", video, *ALL, "--dry-run").stdout
    assert "stems with handles" in words
    assert "d.edl" in words
    assert listing() == before


BAD = {
    "an unknown suffix": (
        ["--stems", "stems", "--timeline", "a.aaf"],
        "a.aaf: no timeline has this suffix; use .otio, .xml, .fcpxml, .edl",
    ),
    "a timeline without stems": (["--timeline", "a.otio"], "say with --stems where they go"),
    "handles without stems": (["--handles"], "only stems have handles"),
    "one timeline twice": (
        ["--stems", "stems", "--timeline", "a.otio", "--timeline", "./a.otio"],
        "a.otio: would be written twice",
    ),
    "names that differ by case": (
        ["--stems", "stems", "--timeline", "a.otio", "--timeline", "A.otio"],
        "A.otio: would be written twice",
    ),
    "a sidecar that is the output": (
        ["-o", "out.mp4", "--sidecar", "out.mp4"], "out.mp4: would be written twice",
    ),
    "a sidecar that is the video": (["--sidecar", "clip.mp4"], "is the input itself"),
    "a timeline that exists": (
        ["--stems", "stems", "--timeline", "there.otio"],
        "there.otio: exists already; remove it or use --overwrite",
    ),
    "a sidecar that is a folder": (["--sidecar", "folder"], "folder: is a folder"),
    "a track that exists": (["--stems", "folder"], "track.wav: exists already"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["run", "deliver"])
@pytest.mark.parametrize("case", BAD)
def test_it_is_refused_before_any_work(
    command: str, case: str, cli: Cli, video: Path, stems: Path
) -> None:
    arguments, words = BAD[case]
    Path("there.otio").write_text("precious")
    Path("folder").mkdir()
    Path("folder/track.wav").write_text("precious")
    before = listing()
    done = cli(command, video if command == "run" else stems, *arguments)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert listing() == before
    assert Path("there.otio").read_text() == "precious"


@pytest.mark.parametrize("command", ["run", "deliver"])
def test_an_edl_cannot_count_a_fast_film(command: str, cli: Cli, stems: Path) -> None:
    make(Path("clip.mp4").absolute(), *lavfi("testsrc2=s=64x48:r=120:d=3"), *H264)
    source = "clip.mp4" if command == "run" else stems
    done = cli(command, source, "--stems", "parts", "--timeline", "a.edl")
    assert done.exit_code == 2
    words = " ".join(done.stderr.split())
    assert "a.edl: an EDL cannot count 120 frames a second; use .otio, .xml or .fcpxml" in words
    assert not Path("parts").exists()


@pytest.mark.parametrize("command", ["run", "deliver"])
def test_a_sidecar_never_replaces_the_cue_sheet(
    command: str, cli: Cli, video: Path, stems: Path
) -> None:
    text = stems.read_text()
    given = [video, "--cue-sheet", stems] if command == "run" else [stems]
    done = cli(command, *given, "--sidecar", stems, "--overwrite")
    assert done.exit_code == 2
    assert "is the input itself" in done.stderr
    assert stems.read_text() == text


def test_a_scene_that_is_called_like_the_track(cli: Cli, video: Path, stems: Path) -> None:
    text = SHEET.replace('id = "002"', 'id = "track"')
    stems.write_text(text)
    (Path("clip.cues/stems/002.wav")).rename("clip.cues/stems/track.wav")
    done = cli("deliver", stems, "--stems", "out")
    assert done.exit_code == 2
    assert "track.wav: would be written twice" in done.stderr
    assert not Path("out").exists()


def test_stems_may_not_replace_what_they_are_made_of(cli: Cli, video: Path, stems: Path) -> None:
    done = cli("deliver", stems, "--stems", "clip.cues/stems", "--overwrite")
    assert done.exit_code == 2
    assert "is the input itself" in done.stderr


def test_a_missing_stem_is_named_before_any_work(cli: Cli, video: Path, stems: Path) -> None:
    Path("clip.cues/stems/002.wav").unlink()
    before = listing()
    done = cli("deliver", stems, *ALL)
    assert done.exit_code == 2
    assert "002.wav: the stem of scene 002 is missing" in " ".join(done.stderr.split())
    assert listing() == before


def test_overwrite_replaces_all(cli: Cli, video: Path, stems: Path) -> None:
    assert cli("deliver", stems, *ALL).exit_code == 0
    assert cli("deliver", stems, *ALL).exit_code == 2
    assert cli("deliver", stems, *ALL, "--overwrite").exit_code == 0
