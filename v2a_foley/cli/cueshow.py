"""A cue sheet as it is shown: what holds for its scenes, what was made for them, what is heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from v2a_foley.cli import console, records
from v2a_foley.tomltext import toml_value

if TYPE_CHECKING:
    from v2a_foley.cuesheet import CueSheet, Scene, Setting


def record(sheet: CueSheet, ids: Sequence[str]) -> dict[str, Any]:
    """The sheet for JSON, with some of its scenes."""
    from v2a_foley.cuesheet import differing

    made = _made(sheet)
    scenes = [_record(sheet, each, made) for each in sheet.scenes if each.id in ids]
    return records.sheet(sheet) | {
        "video_found": sheet.video.exists(),
        "settings": _by_key(differing(sheet, None)),
        "scenes": scenes,
    }


def _record(sheet: CueSheet, scene: Scene, made: Mapping[str, Any]) -> dict[str, Any]:
    from v2a_foley.cuesheet import differing

    rendered = made.get(scene.id, {})
    return records.scene(scene) | {
        "mute": scene.mute,
        "solo": scene.solo,
        "sounds": sheet.sounds(scene),
        "pick": scene.pick,
        "settings": _by_key(differing(sheet, scene)),
        "used": rendered.get("pick"),
        "candidates": rendered.get("candidates", []),
    }


def _by_key(settings: Sequence[Setting]) -> dict[str, Any]:
    return {each.key: {"value": each.value, "from": each.origin} for each in settings}


def _made(sheet: CueSheet) -> dict[str, dict[str, Any]]:
    """What the last render left for each scene."""
    from v2a_foley import provenance

    return {each["scene"]: each for each in provenance.load(sheet.artefacts)}


def head(sheet: CueSheet) -> str:
    """The sheet in short, and what holds for the whole track."""
    from v2a_foley.cuesheet import differing

    gone = "" if sheet.video.exists() else f" (not there: v2a-foley cue relink {sheet.path} VIDEO)"
    track = [f"{each.key} = {toml_value(each.value)}" for each in differing(sheet, None)]
    stated = [
        f"{section}.{key} = {toml_value(value)}"
        for section, values in sheet.defaults.items()
        for key, value in values.items()
    ]
    return console.pairs(
        {
            "video": f"{sheet.video}{gone}",
            "duration": f"{sheet.duration:.3f} s",
            "pack": sheet.pack,
            "preset": sheet.preset or "for each scene its own",
            "defaults": stated or "none",
            "track": track or "as by default",
        }
    )


def table(sheet: CueSheet, ids: Sequence[str]) -> str:
    """Scenes, one a line; SETTINGS are those that the scene or the sheet states."""
    made = _made(sheet)
    rows = [
        (
            scene.id,
            f"{scene.start:.3f}",
            f"{scene.end:.3f}",
            scene.preset,
            _state(sheet, scene),
            _candidate(scene, made.get(scene.id, {})),
            ", ".join(_stated(sheet, scene)),
            records.tags(scene.tags[:2]),
        )
        for scene in sheet.scenes
        if scene.id in ids
    ]
    headings = ("ID", "START", "END", "PRESET", "STATE", "CANDIDATE", "SETTINGS", "TAGS")
    return console.table(headings, rows)


def _state(sheet: CueSheet, scene: Scene) -> str:
    words = [word for word in ("mute", "solo") if getattr(scene, word)]
    if not sheet.sounds(scene) and not scene.mute:
        words.append("silent")  # others are solo
    return " ".join(words)


def _candidate(scene: Scene, made: Mapping[str, Any]) -> str:
    count = len(made.get("candidates", ()))
    number = scene.pick or made.get("pick") or ""
    return f"{number}{f' of {count}' if count else ''}{' (picked)' if scene.pick else ''}"


def _stated(sheet: CueSheet, scene: Scene) -> list[str]:
    from v2a_foley.cuesheet import differing

    return [
        f"{each.key.partition('.')[2]}={_short(each.value)}"
        for each in differing(sheet, scene)
        if each.origin != "preset"
    ]


def _short(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else toml_value(value)


def details(sheet: CueSheet, scene_id: str) -> str:
    """All that is known of one scene."""
    from v2a_foley.cuesheet import differing, scene_of

    scene = scene_of(sheet, scene_id)
    made = _made(sheet).get(scene.id, {})
    parts = [
        console.pairs(
            {
                "scene": scene.id,
                "time": f"{scene.start:.3f} to {scene.end:.3f} s ({scene.duration:.3f} s)",
                "preset": scene.preset,
                "seed": scene.seed,
                "state": _state(sheet, scene) or "sounds",
                "candidate": _candidate(scene, made) or "not rendered yet",
                "tags": records.tags(scene.tags) or "none",
                "notes": list(made.get("notes", ())) or "none",
            }
        )
    ]
    settings = [(each.key, toml_value(each.value), each.origin) for each in differing(sheet, scene)]
    if settings:
        parts.append(console.table(("KEY", "VALUE", "FROM"), settings))
    if made.get("candidates"):
        used = scene.pick or made.get("pick")
        headings = ("", "NUMBER", "SEED", "SIMILARITY", "FAULT", "OFFSET")
        parts.append(console.table(headings, [_row(each, used) for each in made["candidates"]]))
    return "\n\n".join(parts)


def _row(candidate: Mapping[str, Any], used: int | None) -> tuple[str, ...]:
    similarity, offset = candidate.get("similarity"), candidate.get("offset")
    return (
        "*" if candidate["number"] == used else "",
        str(candidate["number"]),
        str(candidate["seed"]),
        "-" if similarity is None else f"{similarity:.3f}",
        candidate.get("fault") or "-",
        "-" if offset is None else f"{offset:.3f} s",
    )
