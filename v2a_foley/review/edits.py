"""What the page's controls do to the cue sheet: a closed list, every value checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from v2a_foley import presets
from v2a_foley.cuesheet import CueSheet, editing
from v2a_foley.errors import InputError

_Change = Callable[[CueSheet], CueSheet]


def apply(path: Path, request: Mapping[str, Any]) -> str:
    """Make the change ``{"action": ..., "scene": ..., "value": ...}`` in a sheet's file.

    Returns what was done, in words.

    Raises:
        InputError: the request is not one that the page makes.
        CueSheetError: the sheet cannot have it; it stays as it was.
    """
    action, scene, value = (request.get(key) for key in ("action", "scene", "value"))
    if not isinstance(action, str) or action not in _ACTIONS or not isinstance(scene, str):
        raise InputError(f"the page cannot ask for {action!r}; reload it")
    change, words = _ACTIONS[action](scene, value)
    editing.edit(path, change)
    return f"Scene {scene}: {words}"


def _pick(scene: str, value: object) -> tuple[_Change, str]:
    if value is None:
        return partial(editing.pick, scene_id=scene, number=None), "the best candidate is used"
    number = _checked(value, int, "a candidate is a number")
    return partial(editing.pick, scene_id=scene, number=number), f"candidate {number} is used"


def _mute(scene: str, value: object) -> tuple[_Change, str]:
    on = _checked(value, bool, "mute is on or off")
    return partial(editing.mute, ids=[scene], on=on), "muted" if on else "not muted"


def _solo(scene: str, value: object) -> tuple[_Change, str]:
    on = _checked(value, bool, "solo is on or off")
    return partial(editing.solo, ids=[scene], on=on), "solo" if on else "not solo"


def _gain(scene: str, value: object) -> tuple[_Change, str]:
    gain = float(_checked(value, (int, float), "a gain is a number"))
    values = {"mix": {"gain_db": gain}}
    return partial(editing.set_values, ids=[scene], overrides=values), f"{gain:+g} dB"


def _preset(scene: str, value: object) -> tuple[_Change, str]:
    # Never a path: the page must not be a way to have files opened.
    if not isinstance(value, str) or value not in presets.names():
        raise InputError("there is no preset of that name; reload the page")
    return partial(editing.use_preset, ids=[scene], name=value), f"preset {value}"


def _reroll(scene: str, value: object) -> tuple[_Change, str]:
    return partial(editing.reroll, ids=[scene]), "another seed"


def _checked(value: object, kind: type | tuple[type, ...], words: str) -> Any:
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"{words}, not {value!r}")
    return value


_ACTIONS: dict[str, Callable[[str, object], tuple[_Change, str]]] = {
    "pick": _pick,
    "mute": _mute,
    "solo": _solo,
    "gain": _gain,
    "preset": _preset,
    "reroll": _reroll,
}
