"""Loudness targets: a name states loudness and true peak, at the level at which it is stated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cuesheet.conftest import a_sheet
from v2a_foley import cuesheet
from v2a_foley.presets.schema import TARGETS

PODCAST, STREAMING = {"target": "podcast"}, {"target": "streaming"}


@pytest.mark.parametrize("name", TARGETS)
def test_a_name_states_loudness_and_true_peak(name: str, user_dir: Path) -> None:
    mix = cuesheet.resolve(a_sheet(), None, command_line={"mix": {"target": name}}).mix
    assert (mix.target, (mix.loudness, mix.true_peak)) == (name, TARGETS[name])


def test_the_default_is_ebu_r128(user_dir: Path) -> None:
    mix = cuesheet.resolve(a_sheet(), None).mix
    assert (mix.target, mix.loudness, mix.true_peak) == ("ebu-r128", -23.0, -1.0)


@pytest.mark.parametrize(
    ("preset", "sheet", "line", "holds"),
    [
        ('target = "podcast"', {}, {}, (-16.0, -1.0)),
        ('target = "podcast"\nloudness = -18.0', {}, {}, (-18.0, -1.0)),
        ('target = "atsc-a85"', {"true_peak": -3.0}, {}, (-24.0, -3.0)),
        ('target = "podcast"', {"loudness": -20.0}, {}, (-20.0, -1.0)),
        ('target = "podcast"', {}, {"loudness": -20.0}, (-20.0, -1.0)),
        ("loudness = -20.0\ntrue_peak = -4.0", {}, PODCAST, (-16.0, -1.0)),
        ("loudness = -20.0", PODCAST, {}, (-16.0, -1.0)),
        ("", {"loudness": -20.0, "true_peak": -4.0}, STREAMING, (-14.0, -1.0)),
        ("", PODCAST, STREAMING, (-14.0, -1.0)),
        ("", PODCAST | {"loudness": -17.0}, {"true_peak": -2.0}, (-17.0, -2.0)),
        ("", {"loudness": -20.0}, {"target": "none"}, (None, -1.0)),
        ("", {"target": "none"}, {"loudness": -20.0}, (-20.0, -1.0)),
        ("", {"target": "none"}, {}, (None, -1.0)),
        ("", STREAMING, {"loudness": None}, (None, -1.0)),
        ("", {}, PODCAST | {"loudness": -18.0, "true_peak": -2.0}, (-18.0, -2.0)),
    ],
)
def test_a_level_goes_before_those_below_it_whether_it_names_or_counts(
    preset: str,
    sheet: dict[str, Any],
    line: dict[str, Any],
    holds: tuple[float | None, float],
    user_dir: Path,
) -> None:
    (user_dir / "mine.toml").write_text(f"[mix]\n{preset}\n")
    stated = replace(a_sheet(), preset="mine", defaults={"mix": sheet} if sheet else {})
    mix = cuesheet.resolve(stated, None, command_line={"mix": line} if line else None).mix
    assert (mix.loudness, mix.true_peak) == holds


def test_the_users_own_default_preset_may_name_a_target(user_dir: Path) -> None:
    (user_dir / "default.toml").write_text('[mix]\ntarget = "podcast"\n')
    assert cuesheet.resolve(a_sheet(), None).mix.loudness == -16.0
    line = {"mix": {"loudness": -20.0}}
    assert cuesheet.resolve(a_sheet(), None, command_line=line).mix.loudness == -20.0


def test_what_holds_for_a_scene_does_not_change_the_track(user_dir: Path) -> None:
    (user_dir / "loud.toml").write_text('[mix]\ntarget = "streaming"\npan = 0.5\n')
    sheet = a_sheet()
    sheet = replace(sheet, scenes=tuple(replace(each, preset="loud") for each in sheet.scenes))
    own = cuesheet.resolve(sheet, sheet.scenes[0]).mix
    assert (own.pan, own.loudness) == (0.5, -23.0)
    assert cuesheet.resolve(sheet, None).mix.loudness == -23.0
