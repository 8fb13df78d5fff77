"""``deliver`` from the command line: needs no model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from v2a_foley import cuesheet, provenance
from v2a_foley.media.probe import probe


@pytest.mark.parametrize(("target", "loudness"), [("podcast", -16.0), ("atsc-a85", -24.0)])
def test_a_target_by_name_and_what_came_of_it(
    cli: Cli, video: Path, stems: Path, target: str, loudness: float
) -> None:
    result = cli("deliver", stems.name, "--target", target, "--json")
    assert result.exit_code == 0, result.stderr
    read = json.loads(result.stdout)["loudness"]
    assert read["integrated"] == pytest.approx(loudness, abs=0.5)
    assert read["true_peak"] <= -1.0
    words = f"{read['integrated']:.1f} LUFS, range {read['range']:.1f} LU, true peak "
    assert words in result.stderr


def test_a_number_goes_before_a_name(cli: Cli, video: Path, stems: Path) -> None:
    result = cli("deliver", stems.name, "--target", "podcast", "--loudness=-20", "--json")
    assert json.loads(result.stdout)["loudness"]["integrated"] == pytest.approx(-20, abs=0.5)


def test_the_original_is_kept_beside_what_it_is_mixed_with(
    cli: Cli, video: Path, stems: Path
) -> None:
    flags = ("--mode", "duck", "--duck-db", "18", "--keep-original", "--pan", "0.5")
    result = cli("deliver", stems.name, *flags)
    assert result.exit_code == 0, result.stderr
    tracks = probe(Path("clip.foley.mp4")).audio
    assert [track.default for track in tracks] == [True, False]


def test_unknown_targets_and_settings_out_of_range(cli: Cli, video: Path, stems: Path) -> None:
    for flags, words in (
        (("--target", "ebu-r12"), 'did you mean "ebu-r128"?'),
        (("--pan", "2"), "must be a number from -1 to 1"),
        (("--high-pass", "5"), 'must be a number from 10 to 20000 or "none"'),
        (("--width", "-0.1"), "must be a number from 0 to 1"),
        (("--fade-in", "x"), "must be a number from 0 to 60"),
    ):
        result = cli("deliver", stems.name, *flags)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{flags[0]} must" in result.stderr
        assert words in result.stderr
    assert not Path("clip.foley.mp4").exists()


def test_scenes_that_are_not_heard_are_not_counted(cli: Cli, video: Path, stems: Path) -> None:
    ids = [scene.id for scene in cuesheet.load(stems).scenes]
    assert cli("cue", "mute", stems.name, ids[0]).exit_code == 0
    result = cli("deliver", stems.name)
    assert f"{len(ids) - 1} of {len(ids)} scenes heard, " in result.stderr


def test_stems_of_before_an_edit_are_told_of(cli: Cli, video: Path, stems: Path) -> None:
    sheet = cuesheet.load(stems)
    keys = ("seed", "start", "end", "pick")
    made = [
        {"scene": each.id, "inputs": {key: getattr(each, key) for key in keys}}
        for each in sheet.scenes
    ]
    provenance.save(sheet.artefacts, made)
    assert "changed since" not in cli("deliver", stems.name).stderr
    assert cli("cue", "reroll", stems.name, sheet.scenes[-1].id).exit_code == 0
    result = cli("deliver", stems.name, "--overwrite")
    assert result.exit_code == 0
    assert f"changed since the stems of {sheet.scenes[-1].id} were rendered" in result.stderr
