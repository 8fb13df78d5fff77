from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cuesheet.conftest import TEXT, a_sheet
from v2a_foley import cuesheet, presets
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import CueSheetError, PresetError


def test_artefacts_stand_beside_the_sheet(path: Path):
    assert cuesheet.load(path).artefacts == path.parent / "clip.cues"
    assert a_sheet(path=Path("a.b/other.toml")).artefacts == Path("a.b/other.cues")
    assert a_sheet(path=Path("plain")).artefacts == Path("plain.cues")
    with pytest.raises(CueSheetError, match="no file yet"):
        _ = a_sheet().artefacts


def test_derived_seeds_are_stable_distinct_and_in_range():
    assert cuesheet.derive_seed(0, "001") == 7811000969656102185
    seeds = {cuesheet.derive_seed(seed, f"{n:03}") for seed in range(10) for n in range(100)}
    assert len(seeds) == 1000
    assert all(0 <= seed <= cuesheet.MAX_SEED for seed in seeds)


# Precedence


def test_each_level_goes_before_the_next(path: Path, user_dir: Path):
    def steps(sheet: CueSheet, **levels: dict[str, dict[str, Any]]) -> int:
        return cuesheet.resolve(sheet, sheet.scenes[0], **levels).generation.steps

    def stating(steps: int) -> dict[str, dict[str, Any]]:
        return {"generation": {"steps": steps}}

    (user_dir / "city.toml").write_text("[generation]\nsteps = 3\n")
    full = cuesheet.load(path)
    full = replace(full, defaults=stating(4))
    own = replace(full.scenes[0], overrides=stating(5))
    config, line = stating(2), stating(6)
    full = replace(full, scenes=(own,))
    assert steps(full, user_config=config, command_line=line) == 6
    assert steps(full, user_config=config) == 5
    full = replace(full, scenes=(replace(own, overrides={}),))
    assert steps(full, user_config=config) == 4
    full = replace(full, defaults={})
    assert steps(full, user_config=config) == 3
    (user_dir / "city.toml").write_text("")
    assert steps(full, user_config=config) == 2
    assert steps(full) == 15
    (user_dir / "default.toml").write_text("[generation]\nsteps = 1\n")
    assert steps(full) == 1
    assert steps(full, user_config=config) == 2


def test_a_value_equal_to_the_default_still_counts_as_stated(user_dir: Path):
    sheet = a_sheet(defaults={"generation": {"steps": 30}})
    resolved = cuesheet.resolve(sheet, sheet.scenes[0], command_line={"generation": {"steps": 20}})
    assert resolved.generation.steps == 20


def test_a_resolved_preset_is_named_after_the_scenes(user_dir: Path):
    sheet = a_sheet()
    resolved = cuesheet.resolve(sheet, sheet.scenes[0])
    city = presets.find("city")
    assert (resolved.name, resolved.path, resolved.match) == ("city", city.path, city.match)
    assert (resolved.generation, resolved.timing, resolved.mix) == (
        city.generation,
        city.timing,
        city.mix,
    )


def test_what_holds_for_the_track_comes_from_the_runs_preset(user_dir: Path):
    (user_dir / "loud.toml").write_text("[mix]\nloudness = -9\ngain_db = 9\n")
    sheet = a_sheet(preset="subtle")
    sheet = replace(sheet, scenes=(replace(sheet.scenes[0], preset="loud"),))
    scene = cuesheet.resolve(sheet, sheet.scenes[0]).mix
    track = cuesheet.resolve(sheet, None).mix
    assert (scene.gain_db, scene.mode, scene.loudness, scene.true_peak) == (9.0, "mix", -23, -2)
    assert (track.gain_db, track.mode, track.loudness, track.true_peak) == (-12, "mix", -23, -2)


def test_a_scenes_preset_may_be_a_file_beside_the_sheet(path: Path):
    (path.parent / "own.toml").write_text("[generation]\nsteps = 77\n")
    path.write_text(TEXT.replace('"footsteps"', '"own.toml"'))
    sheet = cuesheet.load(path)
    assert cuesheet.resolve(sheet, sheet.scenes[1]).generation.steps == 77


@pytest.mark.parametrize("level", ["command_line", "user_config"])
def test_overrides_from_elsewhere_are_checked(level: str):
    sheet = a_sheet()
    levels: dict[str, Any] = {level: {"generation": {"stpes": 1}}}
    with pytest.raises(
        PresetError, match=f"{level.replace('_', ' ')}: generation.stpes is unknown"
    ):
        cuesheet.resolve(sheet, sheet.scenes[0], **levels)
