"""Writing a cue sheet, into the text that is already there: what is the same stays as it is."""

from __future__ import annotations

import os
import secrets
import shutil
import tomllib
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from v2a_foley.cuesheet.document import VERSION, CueSheet, Scene, normal
from v2a_foley.cuesheet.reading import loads
from v2a_foley.errors import CueSheetError, FoleyError
from v2a_foley.presets import Overrides, Tag
from v2a_foley.tomltext import Keys, TomlText, statements, toml_value

_HEADING = "# v2a-foley cue sheet (seconds are presentation time from the start of the video)"


def dumps(sheet: CueSheet) -> str:
    """The cue sheet as new TOML text.

    Raises:
        CueSheetError: when a path is not text.
    """
    lines = [_HEADING, f"version = {VERSION}", f"seed = {sheet.seed}"]
    if sheet.preset is not None:
        lines.append(f"preset = {toml_value(sheet.preset)}")
    lines += ["", "[video]", f"path = {toml_value(_stored(sheet.video, sheet.path))}"]
    lines.append(f"duration = {_decimal(sheet.duration)}")
    lines.append(f"fingerprint = {toml_value(sheet.fingerprint)}")
    lines += ["", "[models]", f"pack = {toml_value(sheet.pack)}"]
    lines += _section_lines("defaults", sheet.defaults)
    for scene in sheet.scenes:
        lines += ["", *_scene_lines(scene)]
    text = "\n".join(lines) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        message = f"{sheet.video!r}: its name is not UTF-8 text; rename the video"
        raise CueSheetError(message) from problem
    return text


def _scene_lines(scene: Scene) -> list[str]:
    lines = ["[[scene]]", f"id = {toml_value(scene.id)}"]
    lines += [f"start = {_decimal(scene.start)}", f"end = {_decimal(scene.end)}"]
    lines += [f"preset = {toml_value(scene.preset)}", f"seed = {scene.seed}"]
    lines += [f"{key} = true" for key in ("mute", "solo") if getattr(scene, key)]
    if scene.pick is not None:
        lines.append(f"pick = {scene.pick}")
    if scene.tags:
        lines += ["tags = [", *(f"    {_tag_text(tag)}," for tag in scene.tags), "]"]
    return lines + _section_lines("scene", scene.overrides)


def _tag_text(tag: Tag) -> str:
    concept, group = toml_value(tag.concept), toml_value(tag.group)
    return f"{{concept = {concept}, group = {group}, score = {_decimal(tag.score)}}}"


def _section_lines(table: str, overrides: Overrides) -> list[str]:
    lines = []
    for section, values in overrides.items():
        lines += ["", f"[{table}.{section}]"]
        lines += [f"{key} = {toml_value(value)}" for key, value in values.items()]
    return lines


def _decimal(number: float) -> str:
    """At most six decimals, at least one, never an exponent."""
    whole, _, part = f"{number:.6f}".rstrip("0").partition(".")
    return f"{whole}.{part or 0}"


def _stored(video: Path, sheet: Path | None) -> str:
    """The video's path as the sheet states it: relative unless only the root is shared."""
    if sheet is None:
        return video.as_posix()
    target, folder = normal(video.absolute()), normal(sheet.absolute().parent)
    if folder != Path(folder.anchor) and target.parts[:2] != folder.parts[:2]:
        return target.as_posix()
    return Path(os.path.relpath(target, folder)).as_posix()


def save(sheet: CueSheet, path: str | os.PathLike[str]) -> CueSheet:
    """Write a cue sheet whole or not at all, into the text that is already there if any.

    A link stays one: the sheet it points to is written.

    Returns:
        The sheet with its new ``path``.

    Raises:
        CueSheetError: when the sheet, or the file that is there, is not a valid cue sheet.
        FoleyError: when the file cannot be written.
    """
    path = Path(path)
    sheet = replace(sheet, path=path)
    text = dumps(sheet)
    newline = "\n"
    if path.exists():
        text = _updated(TomlText.read(path, CueSheetError), path, text)
        newline = "\r\n" if b"\r\n" in path.read_bytes() else "\n"
    loads(text, path)  # never leave behind what cannot be read again
    _write(path, text.replace("\n", newline).encode())
    return sheet


def _write(path: Path, data: bytes) -> None:
    target = Path(os.path.realpath(path))
    # two that save at once must not write into one part; cut, so that the name is never too long
    part = target.with_name(f".{target.stem[:50]}.{secrets.token_hex(4)}.part{target.suffix}")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise FoleyError(f"{path}: cannot be written: {problem.strerror}") from problem


# Updating in place -------------------------------------------------------------------------------
# Each scene and each top-level table is a unit with the comment lines right above its header.
# Units that mean the same stay as they are to the letter; in the others tomlkit edits what differs
# between the sheet as it was and as it is to be. So what stood unstated stays unstated, unless
# what it followed has changed (a scene's seed follows the sheet's).

_Unit = tuple[str, str | None]


def _updated(old: TomlText, path: Path, fresh: str) -> str:
    """The old text made to say what the fresh one says."""
    meant = dumps(loads(old.text, path))
    text = _merged(old.text, meant, fresh)
    try:
        if dumps(loads(text, path)) == fresh:
            return text
    except CueSheetError:
        pass
    return _merged(old.text, old.text, fresh)


def _merged(old: str, meant: str, fresh: str) -> str:
    """The old text with what differs between what it means and what it is to mean."""
    old_units, meant_units, fresh_units = _units(old), _units(meant), _units(fresh)
    order = [unit for unit in old_units if unit in fresh_units]
    previous: _Unit | None = None
    for unit, text in fresh_units.items():
        if unit not in order:
            if meant_units.get(unit) == text:
                continue  # unstated, as before
            order.insert(0 if previous is None else order.index(previous) + 1, unit)
        previous = unit
    texts = [
        _edited(old_units.get(unit, ""), meant_units.get(unit, ""), fresh_units[unit])
        for unit in order
    ]
    for index in range(len(texts) - 1):
        if order[index] not in old_units or order[index + 1] not in old_units:
            texts[index] = texts[index].rstrip("\n") + "\n\n"
    return "".join(texts).rstrip("\n") + "\n"


def _units(text: str) -> dict[_Unit, str]:
    """The text's units in order: the top keys, each top-level table, each scene by its id."""
    lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
    starts: list[tuple[int, Keys]] = [(0, ("",))]
    for each in statements(text):
        if each.header and each.keys[:2] != starts[-1][1][:2]:
            start = each.line - 1
            while start > starts[-1][0] and lines[start - 1].lstrip().startswith("#"):
                start -= 1
            starts.append((start, each.keys))
    ends = [start for start, _ in starts[1:]] + [len(lines)]
    units: dict[_Unit, str] = {}
    for (start, keys), end in zip(starts, ends, strict=True):
        body = "".join(lines[start:end])
        unit = (str(keys[0]), _id_of(body) if keys[0] == "scene" else None)
        units[unit] = units.get(unit, "") + body
    return units


def _id_of(scene_text: str) -> str | None:
    scenes = tomllib.loads(scene_text).get("scene")
    return str(scenes[0].get("id")) if isinstance(scenes, list) else None


def _edited(old: str, meant: str, fresh: str) -> str:
    """One unit's text; `meant` is what the old one says, written anew."""
    if not old:
        return fresh
    before = tomllib.loads(meant)
    if before == tomllib.loads(fresh):
        return old
    import tomlkit

    body = old.rstrip()
    document = tomlkit.parse(body + "\n")
    _merge(document, before, tomlkit.parse(fresh))
    return document.as_string().rstrip() + old[len(body) :]


def _merge(old: MutableMapping[str, Any], meant: Any, fresh: Mapping[str, Any]) -> None:
    """Change in one tomlkit table what differs between what it means and what it is to mean."""
    for key in [key for key in meant if key not in fresh]:
        old.pop(key, None)
    for key, value in fresh.items():
        if key in meant and meant[key] == _plain(value):
            continue
        tables = _tables(old.get(key), meant.get(key), value)
        if tables is None:
            old[key] = value
        else:
            _merge(*tables)


def _plain(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item


def _tables(*same: Any) -> tuple[Any, Any, Any] | None:
    """The three as tables to merge, a scene's list of one included; None when they are not."""
    if all(isinstance(each, list) and len(each) == 1 for each in same):
        same = tuple(each[0] for each in same)
    return same if all(isinstance(each, dict) for each in same) else None
