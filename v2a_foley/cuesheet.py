"""The cue sheet: the document that ties spot, render and deliver together.

A cue sheet is a TOML file that a sound editor may change by hand at any stage. It lists a video's
scenes with what each seems to show and how each is to sound. Time between scenes that no scene
covers stays silent, so a scene is silenced by taking it out. Writing over an existing sheet
changes only what differs: comments, order and the form of all else survive.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley import presets
from v2a_foley.errors import CueSheetError, FoleyError, PresetError
from v2a_foley.presets import Keys, Overrides, Preset, Tag, TomlText, toml_value

if TYPE_CHECKING:
    from collections.abc import MutableMapping

VERSION = 1
MAX_SEED = 2**63 - 1
END_TOLERANCE = 0.05
"""Seconds a scene may end after its video: containers round durations by about a frame."""

_HEADING = "# v2a-foley cue sheet (seconds are presentation time from the start of the video)"
_TOP_KEYS = ("version", "seed", "preset", "video", "models", "defaults", "scene")
_SCENE_KEYS = ("id", "start", "end", "preset", "seed", "tags", *presets.SETTINGS)
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: its time in seconds, what it shows and how it is to sound.

    Times keep six decimals, so that a scene equals itself after a trip through the file and
    what is cached under it is found again. ``id`` names the scene's files.
    """

    id: str
    start: float
    end: float
    preset: str
    seed: int
    tags: tuple[Tag, ...] = ()
    overrides: Overrides = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _rounded(self.start))
        object.__setattr__(self, "end", _rounded(self.end))

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return _rounded(self.end - self.start)


@dataclass(frozen=True, slots=True)
class CueSheet:
    """A video's scenes in order of time, with the settings that hold for all of them.

    ``video`` is a path that can be opened from here; the file states it relative to the sheet.
    ``fingerprint`` is a key of the video's content. ``preset`` is that of the whole run, None
    for the default one. ``defaults`` are overrides for every scene.
    """

    video: Path
    duration: float
    fingerprint: str
    scenes: tuple[Scene, ...] = ()
    pack: str = "starter"
    preset: str | None = None
    seed: int = 0
    defaults: Overrides = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "duration", _rounded(self.duration))
        ordered = tuple(sorted(self.scenes, key=lambda scene: scene.start))
        object.__setattr__(self, "scenes", ordered)

    @property
    def artefacts(self) -> Path:
        """The folder of this sheet's stems and caches: ``clip.cues`` beside ``clip.cues.toml``.

        Raises:
            CueSheetError: when the sheet has not been saved yet.
        """
        if self.path is None:
            raise CueSheetError("this cue sheet has no file yet; save it first")
        name = self.path.name.removesuffix(".toml").removesuffix(".cues")
        return self.path.with_name(f"{name}.cues")


def derive_seed(seed: int, scene_id: str) -> int:
    """A scene's own seed, the same on every machine: 63 bits of SHA-256 of both."""
    digest = hashlib.sha256(f"{seed}:{scene_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _rounded(seconds: float) -> float:
    return round(float(seconds), 6) + 0.0  # no negative zero


# Precedence --------------------------------------------------------------------------------------


def resolve(
    sheet: CueSheet,
    scene: Scene | None,
    *,
    command_line: Mapping[str, Any] | None = None,
    user_config: Mapping[str, Any] | None = None,
) -> Preset:
    """The preset of one scene (None: of the whole track) with every override laid over it.

    From the strongest: command line, the scene's own overrides, the sheet's ``[defaults]``, the
    preset, the user's config, the default preset. What holds for the whole track (mix mode,
    loudness, true peak) comes from the run's preset, whatever preset a scene has.

    Raises:
        PresetError: for an unknown preset, or an override that is unknown or out of range.
    """
    folder = sheet.path.parent if sheet.path else Path()
    base = presets.find(presets.DEFAULT)
    run = _find(sheet.preset or presets.DEFAULT, folder)
    chosen = run if scene is None else _find(scene.preset, folder)
    levels = (
        (user_config, "user config"),
        (_stated(run, base, whole_track=True), "preset"),
        (_stated(chosen, base, whole_track=False), "preset"),
        (sheet.defaults, "cue sheet"),
        (scene.overrides if scene else None, "cue sheet"),
        (command_line, "command line"),
    )
    layers = [presets.check(values, source) for values, source in levels if values]
    resolved = presets.with_overrides(base, presets.merge(*layers))
    return replace(
        resolved,
        name=chosen.name,
        description=chosen.description,
        path=chosen.path,
        match=chosen.match,
    )


def _stated(preset: Preset, base: Preset, whole_track: bool) -> Overrides:
    """What a preset states for itself, either for the whole track or for one scene."""
    if preset.path == base.path:
        return {}  # the default preset is the lowest level, below the user's config
    return {
        section: {
            key: value
            for key, value in values.items()
            if presets.parameters(section)[key].whole_track == whole_track
        }
        for section, values in preset.stated.items()
    }


def _find(name_or_path: str, folder: Path) -> Preset:
    """A preset by name, or by a path that is relative to the sheet's folder."""
    is_path = name_or_path.endswith(".toml")
    return presets.find(folder / name_or_path if is_path else name_or_path)


# Reading -----------------------------------------------------------------------------------------


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
        video=_normal(folder / document.take(video, ("video",), "path", str)),
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
    return Scene(
        id=scene_id,
        start=document.take(table, at, "start", float),
        end=document.take(table, at, "end", float),
        preset=document.take(table, at, "preset", str, sheet.preset or presets.DEFAULT),
        seed=_seed(document, table, at, derive_seed(sheet.seed, scene_id)),
        tags=_tags(document, table, at),
        overrides=overrides,
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
            _find(name, folder)
        except PresetError as problem:
            raise document.fail(at, f"cannot be used: {problem}") from problem


# Writing -----------------------------------------------------------------------------------------


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
    target, folder = _normal(video.absolute()), _normal(sheet.absolute().parent)
    if folder != Path(folder.anchor) and target.parts[:2] != folder.parts[:2]:
        return target.as_posix()
    return Path(os.path.relpath(target, folder)).as_posix()


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))


def save(sheet: CueSheet, path: str | os.PathLike[str]) -> CueSheet:
    """Write a cue sheet whole or not at all, into the text that is already there if any.

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
        text = _updated(TomlText.read(path, CueSheetError), text)
        newline = "\r\n" if b"\r\n" in path.read_bytes() else "\n"
    loads(text, path)  # never leave behind what cannot be read again
    _write(path, text.replace("\n", newline).encode())
    return sheet


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise FoleyError(f"{path}: cannot be written: {problem.strerror}") from problem


# Updating in place -------------------------------------------------------------------------------
# Each scene and each top-level table is a unit with the comment lines right above its header.
# Units that say the same stay as they are to the letter; the others are edited with tomlkit.

_Unit = tuple[str, str | None]


def _updated(old: TomlText, fresh: str) -> str:
    """The old text made to say what the fresh one says."""
    old.parse()
    old_units, fresh_units = _units(old.text), _units(fresh)
    order = [unit for unit in old_units if unit in fresh_units]
    previous: _Unit | None = None
    for unit in fresh_units:
        if unit not in order:
            order.insert(0 if previous is None else order.index(previous) + 1, unit)
        previous = unit
    texts = [_edited(old_units.get(unit, ""), fresh_units[unit]) for unit in order]
    for index in range(len(texts) - 1):
        if order[index] not in old_units or order[index + 1] not in old_units:
            texts[index] = texts[index].rstrip("\n") + "\n\n"
    return "".join(texts).rstrip("\n") + "\n"


def _units(text: str) -> dict[_Unit, str]:
    """The text's units in order: the top keys, each top-level table, each scene by its id."""
    lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
    starts: list[tuple[int, Keys]] = [(0, ("",))]
    for each in presets.statements(text):
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


def _edited(old: str, fresh: str) -> str:
    if not old:
        return fresh
    if tomllib.loads(old) == tomllib.loads(fresh):
        return old
    import tomlkit

    body = old.rstrip()
    document = tomlkit.parse(body + "\n")
    _merge(document, tomlkit.parse(fresh))
    return document.as_string().rstrip() + old[len(body) :]


def _merge(old: MutableMapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Make one tomlkit table say what another says, touching only what differs."""
    for key in [key for key in old if key not in fresh]:
        del old[key]
    for key, value in fresh.items():
        if key in old and _plain(old[key]) == _plain(value):
            continue
        pairs = _tables(old.get(key), value)
        if pairs is None:
            old[key] = value
        else:
            _merge(*pairs)


def _plain(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item


def _tables(old: Any, fresh: Any) -> tuple[Any, Any] | None:
    """Both as tables to merge, a scene's list of one included; None when they are not."""
    if isinstance(old, list) and isinstance(fresh, list) and len(old) == len(fresh) == 1:
        old, fresh = old[0], fresh[0]
    both = isinstance(old, dict) and isinstance(fresh, dict)
    return (old, fresh) if both else None
