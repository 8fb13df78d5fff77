"""What a cue sheet holds, and which settings hold for a scene."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from v2a_foley import presets
from v2a_foley.errors import CueSheetError
from v2a_foley.presets import Overrides, Preset, Tag, Value

VERSION = 1
MAX_SEED = 2**63 - 1
END_TOLERANCE = 0.05
"""Seconds a scene may end after its video: containers round durations by about a frame."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: its time in seconds, what it shows and how it is to sound.

    Times keep six decimals, so that a scene equals itself after a trip through the file and
    what is cached under it is found again. ``id`` names the scene's files. Where any scene is
    ``solo``, only such scenes sound. ``pick`` is the number of the candidate that was chosen by
    ear, from 1; None leaves the choice to the ranking.
    """

    id: str
    start: float
    end: float
    preset: str
    seed: int
    tags: tuple[Tag, ...] = ()
    overrides: Overrides = field(default_factory=dict)
    mute: bool = False
    solo: bool = False
    pick: int | None = None

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

    def sounds(self, scene: Scene) -> bool:
        """Whether a scene is heard, by its own ``mute`` and everybody's ``solo``."""
        alone = any(each.solo for each in self.scenes)
        return not scene.mute and (scene.solo or not alone)

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
    run = find_preset(sheet.preset or presets.DEFAULT, folder)
    chosen = run if scene is None else find_preset(scene.preset, folder)
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


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is not as by default: ``mix.pan``, its value, and what states it.

    ``origin`` is ``scene``, ``sheet`` (its ``[defaults]``) or ``preset``.
    """

    key: str
    value: Value
    origin: str


def differing(sheet: CueSheet, scene: Scene | None) -> list[Setting]:
    """What holds for a scene (None: for the whole track) and differs from the default preset.

    Raises:
        PresetError: for an unknown preset.
    """
    resolved, usual = resolve(sheet, scene), presets.find(presets.DEFAULT)
    levels = (("scene", scene.overrides if scene else {}), ("sheet", sheet.defaults))
    stated = [(name, presets.merge(values)) for name, values in levels]
    found = []
    for each in presets.PARAMETERS:
        if each.section not in presets.SETTINGS or each.whole_track != (scene is None):
            continue
        value, default = (
            getattr(getattr(preset, each.section), each.key) for preset in (resolved, usual)
        )
        if value != default:
            origins = (name for name, values in stated if each.key in values.get(each.section, {}))
            key = f"{each.section}.{each.key}"
            found.append(Setting(key, value, next(origins, "preset")))
    return found


def tuned(sheet: CueSheet, scene: Scene) -> Preset:
    """A preset that makes any scene sound as this one is to: it states what differs for it.

    Its rule, to be switched on by hand, has the groups of the scene's tags. Files that the scene
    names are stated from the root, since a preset is used from anywhere.
    """
    base = presets.find(presets.DEFAULT)
    folder = (sheet.path.parent if sheet.path else Path()).absolute()
    stated: dict[str, dict[str, Value]] = {}
    for each in differing(sheet, scene):
        section, _, key = each.key.partition(".")
        files = key in ("reference", "mapper") and (folder / str(each.value)).is_file()
        value = normal(folder / str(each.value)).as_posix() if files else each.value
        stated.setdefault(section, {})[key] = value
    made = presets.with_overrides(base, stated, "scene")
    groups = tuple(dict.fromkeys(tag.group for tag in scene.tags))
    return replace(
        made,
        description=f"As scene {scene.id} of {sheet.video.name}",
        match=replace(base.match, groups=tuple(each for each in groups if each in presets.GROUPS)),
        stated=stated,
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


def find_preset(name_or_path: str, folder: Path) -> Preset:
    """A preset by name, or by a path that is relative to the sheet's folder."""
    is_path = name_or_path.endswith(".toml")
    return presets.find(folder / name_or_path if is_path else name_or_path)


def normal(path: Path) -> Path:
    """The path without ``..`` and doubled slashes; links stay links."""
    return Path(os.path.normpath(path))
