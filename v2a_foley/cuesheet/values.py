"""Values for a cue sheet by key, as they are given from outside: found, read and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from v2a_foley import presets
from v2a_foley.cuesheet.document import MAX_SEED, CueSheet, find_preset
from v2a_foley.cuesheet.selection import refusal
from v2a_foley.errors import PresetError
from v2a_foley.presets import Parameter, Value
from v2a_foley.tomltext import suggestion

SCENE_KEYS = ("start", "end", "preset", "seed")
"""What a scene has besides its settings and can be set like them."""

_SETTINGS = {
    f"{each.section}.{each.key}": each
    for each in presets.PARAMETERS
    if each.section in presets.SETTINGS
}


def flat(overrides: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Values by key, whether they are given so or by section."""
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", each) for inner, each in value.items())
        else:
            yield key, value


def parameter_of(sheet: CueSheet, key: str, scene: bool) -> Parameter:
    """The setting of a key; `scene`: it is meant for one scene."""
    found = [each for name, each in _SETTINGS.items() if key in (name, each.key)]
    if len(found) != 1:
        known = [*_SETTINGS, *(each.key for each in _SETTINGS.values()), *SCENE_KEYS]
        hint = suggestion(key, known) or "; 'v2a-foley presets show default' lists all keys"
        raise refusal(sheet, f"{key} is unknown{hint}")
    if scene and found[0].whole_track:
        message = f"{key} holds for the whole track; set it in the sheet's [defaults] instead"
        raise refusal(sheet, f"{message} (cue set --defaults)")
    return found[0]


def value_of(sheet: CueSheet, parameter: Parameter, value: Any) -> Value:
    """A setting's value, read where it is text."""
    try:
        return parameter.read(value) if isinstance(value, str) else parameter.parse(value)
    except ValueError as problem:
        raise refusal(sheet, f"{parameter.section}.{parameter.key} {problem}") from None


def own_values(sheet: CueSheet, given: Mapping[str, Any]) -> dict[str, Any]:
    """A scene's start, end, preset and seed, checked as far as they can be by themselves."""
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key == "preset":
            checked[key] = _preset(sheet, str(value))
        elif key == "seed":
            checked[key] = seed_of(sheet, value)
        else:
            checked[key] = time_of(sheet, key, value)
    return checked


def _preset(sheet: CueSheet, name: str) -> str:
    try:
        find_preset(name, sheet.path.parent if sheet.path else Path())
    except PresetError as problem:
        raise refusal(sheet, str(problem)) from problem
    return name


def seed_of(sheet: CueSheet, value: Any) -> int:
    """A seed that was given as a number or as text."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, str) and re.fullmatch(r"\d{1,19}", value)):
        raise refusal(sheet, f"seed must be a whole number, not {value!r}")
    if not 0 <= int(value) <= MAX_SEED:
        raise refusal(sheet, f"seed must be from 0 to {MAX_SEED}, not {value}")
    return int(value)


def time_of(sheet: CueSheet, key: str, value: Any) -> float:
    """Seconds that were given as a number, or as text like ``62.5`` or ``1:02.5``."""
    try:
        seconds = clock(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise refusal(sheet, f"{key} must be seconds, like 62.5 or 1:02.5, not {value!r}")
    return seconds


def clock(text: str) -> float:
    """Seconds of ``[[hours:]minutes:]seconds``; ValueError when it is none."""
    if not re.fullmatch(r"-?(\d+:){0,2}\d+(\.\d*)?", text.strip()):
        raise ValueError(f"{text!r} is no time")
    parts = text.strip().removeprefix("-").split(":")
    seconds = sum(float(part) * 60**place for place, part in enumerate(reversed(parts)))
    return -seconds if text.strip().startswith("-") else seconds


def over(under: presets.Overrides, values: presets.Overrides) -> dict[str, dict[str, Value]]:
    """Settings with others laid over them."""
    sections = {name: dict(stated) for name, stated in under.items()}
    for section, stated in values.items():
        sections[section] = sections.get(section, {}) | dict(stated)
    return sections


def without(stated: presets.Overrides, gone: set[str]) -> dict[str, dict[str, Value]]:
    """Settings without some keys (``mix.pan``) and sections (``mix``); no empty sections."""
    left = {
        section: {key: value for key, value in values.items() if f"{section}.{key}" not in gone}
        for section, values in stated.items()
        if section not in gone
    }
    return {section: values for section, values in left.items() if values}
