"""Changes to a cue sheet: each a function from sheet to sheet, and `edit` to make them in a file.

Settings go by ``key`` where one section alone has it, else by ``section.key``. Besides them a
scene has ``start`` and ``end`` in seconds, ``preset`` and ``seed``. Where scenes are named by
None, the sheet's ``[defaults]`` are meant.
"""

from __future__ import annotations

import itertools
import os
import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from v2a_foley import presets
from v2a_foley.cuesheet.document import CueSheet, Scene, derive_seed
from v2a_foley.cuesheet.lock import locked
from v2a_foley.cuesheet.reading import MOST_CANDIDATES, load
from v2a_foley.cuesheet.selection import checked, refusal, scene_of
from v2a_foley.cuesheet.values import (
    SCENE_KEYS,
    flat,
    over,
    own_values,
    parameter_of,
    seed_of,
    time_of,
    value_of,
    without,
)
from v2a_foley.cuesheet.writing import save
from v2a_foley.presets import Value


def edit(path: str | os.PathLike[str], change: Callable[[CueSheet], CueSheet]) -> CueSheet:
    """Make a change in a cue sheet's file; comments, order and all that is not meant stay.

    The sheet is read again under a lock, so that of two who edit at once neither loses a write.
    Whatever goes wrong, the file stays as it was.

    Raises:
        CueSheetError: when the sheet is not valid, or the change would make it so.
        FoleyError: when it cannot be written, or another program does not let go of it.
    """
    path = Path(path)
    load(path)  # what is wrong with it is told before anything is locked
    with locked(path):
        before = load(path)
        after = change(before)
        return before if after == before else save(after, path)


# Settings ----------------------------------------------------------------------------------------


def set_values(
    sheet: CueSheet, ids: Iterable[str] | None, overrides: Mapping[str, Any]
) -> CueSheet:
    """State values for scenes, or for the sheet's ``[defaults]``.

    ``overrides`` are by key, ``{"gain_db": "-3"}``, or by section, ``{"mix": {"gain_db": -3}}``;
    a text may stand for any value. A new ``target`` takes the place of a loudness and a true
    peak stated before.

    Raises:
        CueSheetError: for an unknown key or scene, a value that does not fit, scenes that would
            overlap, or a key that only the whole track can have.
    """
    given = dict(flat(overrides))
    own = {key: given.pop(key) for key in SCENE_KEYS if key in given}
    values: dict[str, dict[str, Value]] = {}
    for key, value in given.items():
        parameter = parameter_of(sheet, key, scene=ids is not None)
        values.setdefault(parameter.section, {})[parameter.key] = value_of(sheet, parameter, value)
    _require_reference(sheet, values)
    if ids is None:
        return _set_defaults(sheet, own, values)
    changes = own_values(sheet, own)
    return _each(
        sheet, ids, lambda scene: replace(scene, **changes, overrides=over(scene.overrides, values))
    )


def _require_reference(sheet: CueSheet, values: presets.Overrides) -> None:
    name = str(values.get("generation", {}).get("reference", ""))
    folders = (sheet.path.parent if sheet.path else Path(), sheet.video.parent)
    if name and not any((folder / name).is_file() for folder in folders):
        raise refusal(
            sheet, f"there is no reference {folders[0] / name}; its path is relative to the sheet"
        )


def _set_defaults(sheet: CueSheet, own: Mapping[str, Any], values: presets.Overrides) -> CueSheet:
    for key in own:
        if key != "preset":
            raise refusal(sheet, f"{key} is a scene's own; name the scene")
    renewed = {"mix.loudness", "mix.true_peak"} if "target" in values.get("mix", {}) else set()
    defaults = over(without(sheet.defaults, renewed), values)
    return replace(sheet, **own_values(sheet, own), defaults=defaults)


def unset(sheet: CueSheet, ids: Iterable[str] | None, keys: Iterable[str]) -> CueSheet:
    """Take back what scenes, or the sheet's ``[defaults]``, state.

    A key may be a setting, a whole section, ``preset`` (back to the run's) or ``seed`` (back to
    the one derived from the sheet's).

    Raises:
        CueSheetError: for an unknown key or scene.
    """
    own, gone = set(), set()
    for key in keys:
        if key in ("preset", "seed") and ids is not None:
            own.add(key)
        elif key in presets.SETTINGS:
            gone.add(key)
        elif key == "preset":
            sheet = replace(sheet, preset=None)
        else:
            parameter = parameter_of(sheet, key, scene=False)
            gone.add(f"{parameter.section}.{parameter.key}")
    if ids is None:
        return replace(sheet, defaults=without(sheet.defaults, gone))

    def bare(scene: Scene) -> Scene:
        usual = {
            "preset": sheet.preset or presets.DEFAULT,
            "seed": derive_seed(sheet.seed, scene.id),
        }
        changes: dict[str, Any] = {key: usual[key] for key in own}
        return replace(scene, **changes, overrides=without(scene.overrides, gone))

    return _each(sheet, ids, bare)


def use_preset(sheet: CueSheet, ids: Iterable[str], name: str) -> CueSheet:
    """Give scenes a preset, by name or by a path that is relative to the sheet.

    Raises:
        CueSheetError: when there is no such preset or scene.
    """
    return set_values(sheet, ids, {"preset": name})


# Scenes ------------------------------------------------------------------------------------------


def move(
    sheet: CueSheet,
    scene_id: str,
    start: float | None = None,
    end: float | None = None,
    roll: bool = False,
) -> CueSheet:
    """Move a scene's bounds, in seconds; with `roll`, a neighbour that touches one moves along.

    Raises:
        CueSheetError: when scenes would overlap, or leave the video.
    """
    scene = scene_of(sheet, scene_id)
    moved = _between(
        scene,
        start=scene.start if start is None else time_of(sheet, "start", start),
        end=scene.end if end is None else time_of(sheet, "end", end),
    )

    def change(each: Scene) -> Scene:
        if each.id == scene_id:
            return moved
        if roll and each.end == scene.start:
            return _between(each, end=moved.start)
        if roll and each.start == scene.end:
            return _between(each, start=moved.end)
        return each

    return checked(replace(sheet, scenes=tuple(change(each) for each in sheet.scenes)))


def _between(scene: Scene, **bounds: float) -> Scene:
    """A scene with other bounds; what was picked by ear was another sound."""
    moved = replace(scene, **bounds)  # type: ignore[arg-type]
    same = (moved.start, moved.end) == (scene.start, scene.end)
    return moved if same else replace(moved, pick=None)


def split(sheet: CueSheet, scene_id: str, at: float) -> CueSheet:
    """Cut a scene in two at a time in seconds of the video.

    The first half keeps id and seed; the second is named after it (``003b``) and gets a
    seed of its own, lest it sound the same. Both keep settings and tags.

    Raises:
        CueSheetError: when the time is not inside the scene.
    """
    scene = scene_of(sheet, scene_id)
    at = round(time_of(sheet, "the cut", at), 6)
    if not scene.start < at < scene.end:
        message = f"scene {scene.id} can only be split between {scene.start!r} and {scene.end!r}"
        raise refusal(sheet, f"{message}, not at {at!r}")
    name = _free_id(sheet, scene.id)
    second = replace(scene, id=name, start=at, seed=derive_seed(sheet.seed, name), pick=None)
    halves = (_between(scene, end=at), second)
    others = tuple(each for each in sheet.scenes if each.id != scene_id)
    return checked(replace(sheet, scenes=(*others, *halves)))


def _free_id(sheet: CueSheet, near: str) -> str:
    """``003`` gives ``003b``; ``003b`` gives ``003c``."""
    taken = {scene.id.lower() for scene in sheet.scenes}
    root = re.sub(r"(?<=\d)[b-z][a-z]*$", "", near)[:90]
    letters = string.ascii_lowercase
    ends = (
        "".join(each)
        for size in itertools.count(1)
        for each in itertools.product(letters, repeat=size)
    )
    next(ends)  # "a" would be the first half
    return next(name for end in ends if (name := root + end).lower() not in taken)


def merge(sheet: CueSheet, ids: Iterable[str]) -> CueSheet:
    """Make neighbouring scenes, and the gaps between them, one that is as the first is.

    Raises:
        CueSheetError: when there are fewer than two, or others lie between them.
    """
    wanted = set(ids)
    for each in wanted:
        scene_of(sheet, each)
    places = [place for place, scene in enumerate(sheet.scenes) if scene.id in wanted]
    if len(places) < 2:
        raise refusal(sheet, "name two scenes or more to merge")
    for before, after in pairwise(places):
        if after != before + 1:
            between = sheet.scenes[before + 1].id
            raise refusal(sheet, f"scene {between} lies between those to merge; name it, too")
    first, last = sheet.scenes[places[0]], sheet.scenes[places[-1]]
    scenes = (*sheet.scenes[: places[0]], _between(first, end=last.end))
    return checked(replace(sheet, scenes=(*scenes, *sheet.scenes[places[-1] + 1 :])))


def mute(sheet: CueSheet, ids: Iterable[str], on: bool = True) -> CueSheet:
    """Silence scenes, or let them sound again."""
    return _each(sheet, ids, lambda scene: replace(scene, mute=on))


def solo(sheet: CueSheet, ids: Iterable[str], on: bool = True) -> CueSheet:
    """Let scenes sound alone, or with the others again."""
    return _each(sheet, ids, lambda scene: replace(scene, solo=on))


def pick(sheet: CueSheet, scene_id: str, number: int | None) -> CueSheet:
    """Choose a scene's candidate by number, from 1; None leaves it to the ranking again.

    Raises:
        CueSheetError: when the number makes no sense, or a render made others but not this one.
    """
    made = candidates(sheet, scene_id)
    if number is not None and made and number not in made:
        listed = ", ".join(map(str, made))
        raise refusal(sheet, f"scene {scene_id} has no candidate {number}; it has {listed}")
    if number is not None and not 1 <= number <= MOST_CANDIDATES:
        message = f"a candidate's number is from 1 to {MOST_CANDIDATES}, not {number}"
        raise refusal(sheet, message)
    return _each(sheet, [scene_id], lambda scene: replace(scene, pick=number))


def candidates(sheet: CueSheet, scene_id: str) -> list[int]:
    """The numbers of the candidates that the last render made for a scene; none if unknown."""
    from v2a_foley import provenance  # which itself needs cue sheets

    records = provenance.load(sheet.artefacts) if sheet.path else []
    made = [each for record in records if record.get("scene") == scene_id
            for each in record.get("candidates", ())]  # fmt: skip
    return sorted(each["number"] for each in made)


def reroll(sheet: CueSheet, ids: Iterable[str], seed: int | None = None) -> CueSheet:
    """Give scenes another seed, derived from the one they have if none is given; no pick stays."""
    given = None if seed is None else seed_of(sheet, seed)

    def rolled(scene: Scene) -> Scene:
        fresh = derive_seed(scene.seed, f"{scene.id} again") if given is None else given
        return replace(scene, seed=fresh, pick=None)

    return _each(sheet, ids, rolled)


def _each(sheet: CueSheet, ids: Iterable[str], change: Callable[[Scene], Scene]) -> CueSheet:
    wanted = set(ids)
    for each in wanted:
        scene_of(sheet, each)
    scenes = (change(scene) if scene.id in wanted else scene for scene in sheet.scenes)
    return checked(replace(sheet, scenes=tuple(scenes)))
