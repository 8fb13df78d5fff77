"""Presets: named settings for sound of one kind, and the rules by which a scene picks one.

A preset is a TOML file that states only what differs from the ``default`` preset. `PARAMETERS`
is the one table of what a preset may say; validation, help and defaults all come from it.
Presets are looked up in the user's folder first and then among those that ship.
"""

from __future__ import annotations

from v2a_foley.presets.schema import (
    DEFAULT,
    GROUPS,
    PARAMETERS,
    SETTINGS,
    Generation,
    Match,
    Mix,
    Overrides,
    Parameter,
    Preset,
    PresetEntry,
    Tag,
    Timing,
    check,
    merge,
    parameters,
    settings,
    with_overrides,
)
from v2a_foley.presets.store import (
    available,
    config_dir,
    create,
    find,
    load,
    load_all,
    match,
    names,
    new,
)
from v2a_foley.tomltext import Value

__all__ = [
    "DEFAULT", "GROUPS", "PARAMETERS", "SETTINGS", "Generation", "Match", "Mix", "Overrides",
    "Parameter", "Preset", "PresetEntry", "Tag", "Timing", "Value", "available", "check",
    "config_dir", "create", "find", "load", "load_all", "match", "merge", "names", "new",
    "parameters", "settings", "with_overrides",
]  # fmt: skip
