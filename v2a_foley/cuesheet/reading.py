"""Reading a cue sheet: every value checked, every error with file, line and key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from v2a_foley import presets
from v2a_foley.cuesheet.document import (
    END_TOLERANCE,
    MAX_SEED,
    VERSION,
    CueSheet,
    Scene,
    derive_seed,
    find_preset,
    normal,
)
from v2a_foley.errors import CueSheetError, PresetError
from v2a_foley.presets import Tag
from v2a_foley.tomltext import Keys, TomlText

_TOP_KEYS = ("version", "seed", "preset", "video", "models", "defaults", "scene")
_SCENE_KEYS = (
    "id", "start", "end", "preset", "seed", "mute", "solo", "pick", "tags", *presets.SETTINGS,
)  # fmt: skip
MOST_CANDIDATES = 99
"""Of one scene; what is made in many re-rolls is kept too."""

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def load(path: str | os.PathLike[str]) -> CueSheet:
    """Read and check a cue sheet.

    Raises:
        CueSheetError: naming file, line and key, and what is wrong with it.
    """
    path = Path(path)
    return _sheet(TomlText.read(path, CueSheetError), path)


def loads(text: str, path: Path | None = None) -> CueSheet:
    """Read and check a cue sheet's text; `path` is where it stands or will stand."""
    return _sheet(TomlText(str(path or "cue sheet"), text, CueSheetError), path)


def _sheet(document: TomlText, path: Path | None) -> CueSheet:
    table = document.parse()
    _check_version(document, table)
    document.reject_unknown(table, _TOP_KEYS, ())
    folder = path.parent if path else Path()
    video = document.take(table, (), "video", dict)
    document.reject_unknown(video, ("path", "duration", "fingerprint"), ("video",))
    models = document.take(table, (), "models", dict, {})
    document.reject_unknown(models, ("pack",), ("models",))
    defaults = document.take(table, (), "defaults", dict, {})
    document.reject_unknown(defaults, presets.SETTINGS, ("defaults",))
    sheet = CueSheet(
        path=path,
        video=normal(folder / document.take(video, ("video",), "path", str)),
        duration=document.take(video, ("video",), "duration", float),
        fingerprint=document.take(video, ("video",), "fingerprint", str),
        pack=document.take(models, ("models",), "pack", str, "starter"),
        preset=document.take(table, (), "preset", str, None),
        seed=_seed(document, table, (), 0),
        defaults=presets.settings(document, defaults, ("defaults",)),
    )
    if sheet.duration <= 0:
        raise document.fail(("video", "duration"), f"must be above 0, not {sheet.duration!r}")
    tables = document.take(table, (), "scene", list, [])
    scenes = [_scene(document, each, index, sheet) for index, each in enumerate(tables)]
    _check_scenes(document, scenes, sheet.duration)
    _check_presets(document, scenes, sheet.preset, folder)
    return replace(sheet, scenes=tuple(scenes))


def _check_version(document: TomlText, table: Mapping[str, Any]) -> None:
    version = document.take(table, (), "version", int)
    if version != VERSION:
        newer = "; a newer v2a-foley wrote it: update this one" if version > VERSION else ""
        raise document.fail(("version",), f"must be {VERSION}, not {version}{newer}")


def _seed(document: TomlText, table: Mapping[str, Any], at: Keys, default: int) -> int:
    seed: int = document.take(table, at, "seed", int, default)
    if not 0 <= seed <= MAX_SEED:
        raise document.fail((*at, "seed"), f"must be from 0 to {MAX_SEED}, not {seed}")
    return seed


def _scene(document: TomlText, table: Any, index: int, sheet: CueSheet) -> Scene:
    at = ("scene", index)
    if not isinstance(table, dict):
        raise document.fail(at, f"must be a table under [[scene]], not {table!r}")
    document.reject_unknown(table, _SCENE_KEYS, at)
    scene_id = document.take(table, at, "id", str)
    if not _SAFE_ID.fullmatch(scene_id):
        message = f'must be letters, digits, "_" and "-" (100 at most), not "{scene_id}"'
        raise document.fail((*at, "id"), message)
    overrides = presets.settings(document, table, at)
    for section, values in overrides.items():
        for key in values:
            if presets.parameters(section)[key].whole_track:
                message = f"holds for the whole track; state it under [defaults.{section}]"
                raise document.fail((*at, section, key), message)
    pick = document.take(table, at, "pick", int, None)
    if pick is not None and not 1 <= pick <= MOST_CANDIDATES:
        message = f"must be a candidate's number, from 1 to {MOST_CANDIDATES}, not {pick}"
        raise document.fail((*at, "pick"), message)
    return Scene(
        id=scene_id,
        start=document.take(table, at, "start", float),
        end=document.take(table, at, "end", float),
        preset=document.take(table, at, "preset", str, sheet.preset or presets.DEFAULT),
        seed=_seed(document, table, at, derive_seed(sheet.seed, scene_id)),
        tags=_tags(document, table, at),
        overrides=overrides,
        mute=document.take(table, at, "mute", bool, False),
        solo=document.take(table, at, "solo", bool, False),
        pick=pick,
    )


def _tags(document: TomlText, table: Mapping[str, Any], at: Keys) -> tuple[Tag, ...]:
    tags = []
    for index, each in enumerate(document.take(table, at, "tags", list, [])):
        here = (*at, "tags", index)
        if not isinstance(each, dict):
            message = f'must be like {{concept = "dog", group = "animals", score = 0.5}}: {each!r}'
            raise document.fail(here, message)
        document.reject_unknown(each, ("concept", "group", "score"), here)
        tag = Tag(
            document.take(each, here, "concept", str),
            document.take(each, here, "group", str),
            document.take(each, here, "score", float),
        )
        if not 0 <= tag.score <= 1:
            raise document.fail((*here, "score"), f"must be from 0 to 1, not {tag.score!r}")
        tags.append(tag)
    return tuple(tags)


def _check_scenes(document: TomlText, scenes: list[Scene], duration: float) -> None:
    first_of: dict[str, int] = {}
    for index, scene in enumerate(scenes):
        at = ("scene", index)
        # file names differ by more than case on some systems
        first = first_of.setdefault(scene.id.lower(), index)
        if first != index:
            line = document.line(("scene", first, "id"))
            raise document.fail((*at, "id"), f'"{scene.id}" is taken by the scene of line {line}')
        if scene.start < 0:
            raise document.fail((*at, "start"), f"must not be below 0, not {scene.start!r}")
        if scene.start >= scene.end:
            message = f"({scene.end!r}) must be after start ({scene.start!r})"
            raise document.fail((*at, "end"), message)
        if scene.end > duration + END_TOLERANCE:
            message = f"({scene.end!r}) is after the end of the video ({duration!r})"
            raise document.fail((*at, "end"), message)
    in_time = sorted(range(len(scenes)), key=lambda index: scenes[index].start)
    for before, after in pairwise(in_time):
        earlier, later = scenes[before], scenes[after]
        if later.start < earlier.end:
            message = f'({later.start!r}) is before the end of scene "{earlier.id}"'
            message += f" ({earlier.end!r}); scenes must not overlap"
            raise document.fail(("scene", after, "start"), message)


def _check_presets(document: TomlText, scenes: list[Scene], run: str | None, folder: Path) -> None:
    uses: dict[str, Keys] = {} if run is None else {run: ("preset",)}
    for index, scene in enumerate(scenes):
        uses.setdefault(scene.preset, ("scene", index, "preset"))
    for name, at in uses.items():
        try:
            find_preset(name, folder)
        except PresetError as problem:
            raise document.fail(at, f"cannot be used: {problem}") from problem
