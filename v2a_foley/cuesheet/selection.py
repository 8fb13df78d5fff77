"""Which scenes of a cue sheet are meant, and whether they can stand as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from v2a_foley.cuesheet.document import END_TOLERANCE, CueSheet, Scene
from v2a_foley.errors import CueSheetError
from v2a_foley.tomltext import suggestion


def select(sheet: CueSheet, text: str) -> tuple[str, ...]:
    """The ids that a text names, in order of time: ``003``, ``001,004``, ``002-005``, ``all``.

    Raises:
        CueSheetError: for an id that the sheet does not have.
    """
    known = [scene.id for scene in sheet.scenes]
    chosen: set[str] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        chosen.update(known if part == "all" else _span(sheet, known, part))
    if not chosen and text != "all":
        raise refusal(sheet, f'"{text}" names no scene')
    return tuple(each for each in known if each in chosen)


def _span(sheet: CueSheet, known: list[str], part: str) -> Sequence[str]:
    if part in known:  # an id may itself have a dash
        return (part,)
    for at in (match.start() for match in re.finditer("-", part)):
        first, last = part[:at], part[at + 1 :]
        if first in known and last in known:
            start, end = sorted((known.index(first), known.index(last)))
            return known[start : end + 1]
    raise _unknown_scene(sheet, part)


def scene_of(sheet: CueSheet, scene_id: str) -> Scene:
    """The scene with an id.

    Raises:
        CueSheetError: with the nearest id, when there is none.
    """
    for scene in sheet.scenes:
        if scene.id == scene_id:
            return scene
    raise _unknown_scene(sheet, scene_id)


def _unknown_scene(sheet: CueSheet, scene_id: str) -> CueSheetError:
    known = [scene.id for scene in sheet.scenes]
    few = ", ".join(known if len(known) < 9 else [*known[:4], "...", known[-1]])
    hint = suggestion(scene_id, known) or f"; it has {few or 'none'}"
    return refusal(sheet, f'there is no scene "{scene_id}"{hint}')


def checked(sheet: CueSheet) -> CueSheet:
    """The sheet itself, if its scenes can stand as they are.

    Raises:
        CueSheetError: when one is outside the video, or two overlap.
    """
    for scene in sheet.scenes:
        if scene.start < 0:
            raise refusal(sheet, f"scene {scene.id} would start at {scene.start!r}, before 0")
        if scene.start >= scene.end:
            message = f"scene {scene.id} would end at {scene.end!r}, not after its start"
            raise refusal(sheet, f"{message} ({scene.start!r})")
        if scene.end > sheet.duration + END_TOLERANCE:
            message = f"scene {scene.id} would end at {scene.end!r}, after the video"
            raise refusal(sheet, f"{message} ({sheet.duration!r})")
    for before, after in pairwise(sheet.scenes):
        if after.start < before.end:
            message = f"scene {after.id} would start at {after.start!r}, before the end of"
            message += f" scene {before.id} ({before.end!r}); move that first, or both with --roll"
            raise refusal(sheet, message)
    return sheet


def refusal(sheet: CueSheet, message: str) -> CueSheetError:
    """The error to raise about a sheet."""
    return CueSheetError(f"{sheet.path or 'cue sheet'}: {message}")
