"""What a preset may say: the table of its keys, and the values as the program uses them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from v2a_foley.errors import PresetError
from v2a_foley.tomltext import Keys, TomlText, Value, suggestion

Overrides = Mapping[str, Mapping[str, Value]]
"""Values by section and key, as in ``{"generation": {"steps": 30}}``."""

DEFAULT = "default"
SETTINGS = ("generation", "timing", "mix")
GROUPS = (
    "animals", "birds", "insects", "human", "crowd", "footsteps", "vehicles", "aircraft", "trains",
    "boats", "city", "nature", "water", "weather", "fire", "machines", "tools", "household",
    "kitchen", "office", "doors", "impacts", "materials", "weapons", "explosions", "sports",
    "games", "bells", "alarms", "instruments", "music", "speech", "electronics", "horror",
    "fantasy", "space", "cartoon", "ambience", "other",
)  # fmt: skip
"""The groups of the sound phrases that a scene's tags come from."""

TARGETS: dict[str, tuple[float | None, float]] = {
    "ebu-r128": (-23.0, -1.0),
    "atsc-a85": (-24.0, -2.0),
    "streaming": (-14.0, -1.0),
    "podcast": (-16.0, -1.0),
    "none": (None, -1.0),
}
"""Integrated loudness (LUFS) and true peak (dBTP) of the delivery targets by name."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key that a preset may state.

    ``kind`` is ``str``, ``int``, ``float`` or ``tuple`` (a list of texts). ``or_none`` lets the
    text "none" stand for no value. ``whole_track`` marks what one scene cannot have for itself.
    """

    section: str
    key: str
    kind: type
    default: Value
    help: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    or_none: bool = False
    whole_track: bool = False

    @property
    def allowed(self) -> str:
        """What the value may be, in words."""
        if self.choices:
            listed = ", ".join(f'"{choice}"' for choice in self.choices)
            return f"a list of some of {listed}" if self.kind is tuple else f"one of {listed}"
        words = {str: "text", tuple: "a list of texts", int: "a whole number", float: "a number"}
        span = "" if math.isinf(self.low) else f" from {self.low:g} to {self.high:g}"
        return words[self.kind] + span + (' or "none"' if self.or_none else "")

    def parse(self, value: object) -> Value:
        """The value as the program uses it; ValueError says what is allowed instead."""
        if self.or_none and value in ("none", None):
            return None
        if self.kind is tuple and isinstance(value, list | tuple):
            return tuple(self._text(item).strip().lower() for item in value)
        if self.kind is str:
            return self._text(value)
        fits = isinstance(value, int | float if self.kind is float else int)
        if fits and not isinstance(value, bool) and self.low <= value <= self.high:  # type: ignore[operator]
            return float(value) if self.kind is float else value  # type: ignore[arg-type,return-value]
        raise ValueError(f"must be {self.allowed}, not {value!r}")

    def read(self, text: str) -> Value:
        """The value that a text, as from a command line, stands for; lists have commas.

        ValueError says what is allowed instead.
        """
        value: object = text
        if self.kind is tuple:
            empty = text.strip() in ("", "none")
            value = [] if empty else [item.strip() for item in text.split(",")]
        elif self.kind is not str:
            with suppress(ValueError):
                value = self.kind(text)
        return self.parse(value)

    def _text(self, value: object) -> str:
        if isinstance(value, str) and (not self.choices or value in self.choices):
            return value
        raise ValueError(f"must be {self.allowed}, not {value!r}{suggestion(value, self.choices)}")


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("match", "tags", tuple, (), "words or phrases looked for in a scene's tags"),
    Parameter("match", "groups", tuple, (), "groups of tags that call for it", choices=GROUPS),
    Parameter("match", "min_score", float, 0.2, "least sum of matched tag scores", 0, 1),
    Parameter(
        "generation", "source", str, "generated",
        "where the sound comes from: made by the generator, found in your sound library, or both"
        " layered",
        choices=("generated", "library", "layered"),
    ),
    Parameter(
        "generation", "prompt", str, "", "the sound in words, blended with what the picture says"
    ),
    Parameter(
        "generation", "prompt_weight", float, 0.5,
        "how far the prompt takes the picture's place: 0 ignores it, 1 hears it alone", 0, 1,
    ),
    Parameter(
        "generation", "reference", str, "",
        "a picture or a sound to be like: a file; a cue sheet names it from its own folder",
    ),
    Parameter(
        "generation", "reference_weight", float, 0.5,
        "how far the reference takes the picture's place", 0, 1,
    ),
    Parameter(
        "generation", "mapper", str, "",
        "mapper from CLIP to CLAP: bridge, one of the pack's or a file; empty for the run's",
    ),
    Parameter(
        "generation", "negative", str, "music, speech",
        "what the sound should not be like; empty to steer away from nothing",
    ),
    Parameter(
        "generation", "guidance", float, 2.5,
        "how strongly the picture steers the sound; 1 adds nothing, too much is harsh", 0, 20,
    ),
    Parameter("generation", "steps", int, 15, "denoising steps", 1, 1000),
    Parameter(
        "generation", "scheduler", str, "dpm++",
        "sampler: dpm++ for few steps, ddim with 200 for the paper's setting",
        choices=("dpm++", "ddim"),
    ),
    Parameter(
        "generation", "candidates", int, 2, "sounds made for a scene, of which the best is kept",
        1, 16,
    ),
    Parameter(
        "generation", "temperature", float, 0.01,
        "softmax temperature of the bridge mapper; higher blends more sounds", 0.0001, 10,
    ),
    Parameter(
        "generation", "top_k", int, 8, "sound phrases the bridge mapper may blend", 1, 1000
    ),
    Parameter(
        "generation", "focus", float, 0.0,
        "how far a scene's sound is pulled to the plainest sound of its kind; 0 leaves it", 0, 1,
    ),
    Parameter(
        "generation", "seeded", float, 0.6,
        "how much generation keeps of a real recording it starts from: 0 is free, 1 faithful",
        0, 1,
    ),
    Parameter(
        "generation", "guard", tuple, ("music", "speech"),
        "what a sound is rejected for and made again", choices=("music", "speech"),
    ),
    Parameter("timing", "crossfade", float, 0.25, "fade between two scenes, in seconds", 0, 10),
    Parameter(
        "timing", "handle", float, 0.0,
        "least sound before and after a scene in its stem, in seconds", 0, 10,
    ),
    Parameter(
        "timing", "sync", str, "free",
        "where sounds begin: free, or at the onsets of the picture's motion",
        choices=("free", "onset"),
    ),
    Parameter(
        "timing", "follow", float, 0.0, "how far the level follows the picture's motion", 0, 1
    ),
    Parameter("mix", "gain_db", float, 0.0, "level of a scene's sound, in dB", -60, 24),
    Parameter("mix", "fade_in", float, 0.0, "fade at a scene's start, in seconds", 0, 60),
    Parameter("mix", "fade_out", float, 0.0, "fade at a scene's end, in seconds", 0, 60),
    Parameter(
        "mix", "high_pass", float, None, "what is below this is cut, in Hz", 10, 20000, or_none=True
    ),
    Parameter(
        "mix", "low_pass", float, None, "what is above this is cut, in Hz", 10, 20000, or_none=True
    ),
    Parameter("mix", "pan", float, 0.0, "place between left (-1) and right (1)", -1, 1),
    Parameter("mix", "width", float, 0.0, "stereo width: 0 is mono, 1 is all around", 0, 1),
    Parameter(
        "mix", "mode", str, "replace",
        "what to do with the video's own sound: replace it, mix with it, duck the foley under it",
        choices=("replace", "mix", "duck"), whole_track=True,
    ),
    Parameter(
        "mix", "duck_db", float, 12.0, "how far ducked foley steps back, in dB", 0, 60,
        whole_track=True,
    ),
    Parameter(
        "mix", "target", str, "ebu-r128",
        "loudness and true peak by name; a number stated beside it goes before it",
        choices=tuple(TARGETS), whole_track=True,
    ),
    Parameter(
        "mix", "loudness", float, -23.0, "integrated loudness of the whole track, in LUFS",
        -70, 0, or_none=True, whole_track=True,
    ),
    Parameter(
        "mix", "true_peak", float, -1.0, "highest true peak of the whole track, in dBTP",
        -20, 0, whole_track=True,
    ),
)  # fmt: skip


def parameters(section: str) -> dict[str, Parameter]:
    """The parameters of one section by key."""
    return {each.key: each for each in PARAMETERS if each.section == section}


@dataclass(frozen=True, slots=True)
class Match:
    """Which scenes a preset is for; an empty rule is for none (asked for by name)."""

    tags: tuple[str, ...]
    groups: tuple[str, ...]
    min_score: float


@dataclass(frozen=True, slots=True)
class Generation:
    """How the sound of a scene is made."""

    source: str
    prompt: str
    prompt_weight: float
    reference: str
    reference_weight: float
    mapper: str
    negative: str
    guidance: float
    steps: int
    scheduler: str
    candidates: int
    temperature: float
    top_k: int
    focus: float
    seeded: float
    guard: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """How a scene's sound meets its neighbours and its picture; seconds."""

    crossfade: float
    handle: float
    sync: str
    follow: float


@dataclass(frozen=True, slots=True)
class Mix:
    """Each scene's own channel up to ``width``; what follows holds for the whole track.

    ``target`` is the name that was stated last; ``loudness`` and ``true_peak`` are what holds.
    """

    gain_db: float
    fade_in: float
    fade_out: float
    high_pass: float | None
    low_pass: float | None
    pan: float
    width: float
    mode: str
    duck_db: float
    target: str
    loudness: float | None
    true_peak: float


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset with every value filled in; ``stated`` holds those it states itself."""

    name: str
    description: str
    path: Path
    match: Match
    generation: Generation
    timing: Timing
    mix: Mix
    stated: Overrides


@dataclass(frozen=True, slots=True)
class PresetEntry:
    """One line of the list of presets."""

    name: str
    source: Literal["shipped", "user"]
    path: Path
    description: str


@dataclass(frozen=True, slots=True)
class Tag:
    """What a scene seems to show: a concept, its group and a score from 0 to 1.

    The score keeps four decimals, so that a tag equals itself after a trip through a cue sheet.
    """

    concept: str
    group: str
    score: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", round(float(self.score), 4))


# Checking and laying values over each other ------------------------------------------------------


def settings(
    document: TomlText, table: Mapping[str, Any], at: Keys = ()
) -> dict[str, dict[str, Value]]:
    """The generation, timing and mix values that a table states, checked; no empty sections."""
    sections = {name: checked_section(document, table, name, at) for name in SETTINGS}
    return {name: values for name, values in sections.items() if values}


def checked_section(
    document: TomlText, table: Mapping[str, Any], name: str, at: Keys = ()
) -> dict[str, Value]:
    """One section's values that a table states, checked."""
    values = document.take(table, at, name, dict, {})
    known = parameters(name)
    document.reject_unknown(values, known, (*at, name))
    checked: dict[str, Value] = {}
    for key, value in values.items():
        try:
            checked[key] = known[key].parse(value)
        except ValueError as problem:
            raise document.fail((*at, name, key), str(problem)) from problem
    return checked


def merge(*layers: Overrides) -> dict[str, dict[str, Value]]:
    """Layers laid over each other; the last one that states a value wins.

    A layer that names a loudness target states its loudness and true peak, too.
    """
    merged: dict[str, dict[str, Value]] = {}
    for layer in layers:
        for section, values in layer.items():
            named = TARGETS.get(str(values.get("target"))) if section == "mix" else None
            meant = dict(zip(("loudness", "true_peak"), named, strict=True)) if named else {}
            merged[section] = merged.get(section, {}) | meant | dict(values)
    return merged


def check(overrides: Mapping[str, Any], source: str) -> dict[str, dict[str, Value]]:
    """Overrides with every value checked; `source` names where they came from in errors.

    Raises:
        PresetError: for an unknown section or key, or a value out of range.
    """
    document = TomlText(source, "", PresetError)
    document.reject_unknown(overrides, SETTINGS, ())
    return settings(document, overrides)


def with_overrides(
    preset: Preset, overrides: Mapping[str, Any], source: str = "overrides"
) -> Preset:
    """The preset with some values replaced, as in ``{"generation": {"steps": 30}}``.

    Raises:
        PresetError: for an unknown section or key, or a value out of range.
    """
    checked: dict[str, Any] = merge(check(overrides, source))
    return replace(
        preset,
        generation=replace(preset.generation, **checked.get("generation", {})),
        timing=replace(preset.timing, **checked.get("timing", {})),
        mix=replace(preset.mix, **checked.get("mix", {})),
        stated=merge(preset.stated, checked),
    )
