"""Presets: named settings for sound of one kind, and the rules by which a scene picks one.

A preset is a TOML file that states only what differs from the ``default`` preset. `PARAMETERS`
is the one table of what a preset may say; validation, help and defaults all come from it.
Presets are looked up in the user's folder first and then among those that ship.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import platformdirs

from v2a_foley.errors import FoleyError, PresetError

Value = str | int | float | None | tuple[str, ...]
Overrides = Mapping[str, Mapping[str, Value]]
"""Values by section and key, as in ``{"generation": {"steps": 30}}``."""

Keys = tuple[str | int, ...]
"""Where a value stands in a TOML document, as in ``("scene", 2, "start")``."""

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


# The schema ----------------------------------------------------------------------------------


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

    def _text(self, value: object) -> str:
        if isinstance(value, str) and (not self.choices or value in self.choices):
            return value
        raise ValueError(f"must be {self.allowed}, not {value!r}{suggestion(value, self.choices)}")


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("match", "tags", tuple, (), "words or phrases looked for in a scene's tags"),
    Parameter("match", "groups", tuple, (), "groups of tags that call for it", choices=GROUPS),
    Parameter("match", "min_score", float, 0.2, "least sum of matched tag scores", 0, 1),
    Parameter(
        "generation", "negative", str, "music, speech",
        "what the sound should not be like; empty to steer away from nothing",
    ),
    Parameter(
        "generation", "guidance", float, 2.5,
        "how strongly the picture steers the sound; 1 adds nothing, too much is harsh", 0, 20,
    ),
    Parameter("generation", "steps", int, 20, "denoising steps", 1, 1000),
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
    Parameter("timing", "crossfade", float, 0.25, "fade between two scenes, in seconds", 0, 10),
    Parameter("mix", "gain_db", float, 0.0, "level of a scene's sound, in dB", -60, 24),
    Parameter(
        "mix", "mode", str, "replace",
        "what to do with the video's own sound: replace it, mix with it, duck the foley under it",
        choices=("replace", "mix", "duck"), whole_track=True,
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
    """How the sound of a scene is generated."""

    negative: str
    guidance: float
    steps: int
    scheduler: str
    candidates: int
    temperature: float
    top_k: int


@dataclass(frozen=True, slots=True)
class Timing:
    """How a scene's sound meets its neighbours; seconds."""

    crossfade: float


@dataclass(frozen=True, slots=True)
class Mix:
    """Levels; ``gain_db`` is per scene, the others hold for the whole track."""

    gain_db: float
    mode: str
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


# TOML text that can name its lines -------------------------------------------------------------

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.S
)
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]*)\]")
_KEY = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[^\s."\'=]+')
_REQUIRED: Any = object()
_KINDS = {
    str: "text", int: "a whole number", float: "a finite number", dict: "a table", list: "a list",
}  # fmt: skip


def suggestion(word: object, known: Iterable[str]) -> str:
    """``; did you mean "steps"?`` for a near miss, else nothing."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A table header or a key of a TOML text, with its 1-based line."""

    line: int
    keys: Keys
    header: bool


def statements(text: str) -> Iterator[Statement]:
    """The headers and keys of a valid TOML text in order; array tables carry their index."""

    def mask(token: re.Match[str]) -> str:
        return "".join("\v" if char == "\n" else "_" for char in token[0])

    masked = _TOKEN.sub(mask, text)  # same length, so that offsets hold for both
    table: Keys = ()
    arrays: dict[Keys, int] = {}
    depth, line, offset = 0, 1, 0
    for row in masked.split("\n"):
        header = _HEADER.match(row) if depth == 0 else None
        if header:
            names = text[offset + header.start(2) : offset + header.end(2)]
            table = _header_keys(names, header[1] == "[[", arrays)
            yield Statement(line, table, header=True)
        else:
            if depth == 0 and "=" in row:
                names = text[offset : offset + row.index("=")]
                yield Statement(line, table + _names(names), header=False)
            depth += sum(row.count(char) for char in "[{") - sum(row.count(char) for char in "]}")
        line += 1 + row.count("\v")
        offset += len(row) + 1


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in _KEY.findall(dotted))


def _header_keys(dotted: str, array: bool, arrays: dict[Keys, int]) -> Keys:
    keys: Keys = ()
    names = _names(dotted)
    for position, name in enumerate(names):
        keys += (name,)
        if array and position == len(names) - 1:
            arrays[keys] = arrays.get(keys, -1) + 1
        if keys in arrays:
            keys += (arrays[keys],)
    return keys


@dataclass(frozen=True, slots=True)
class TomlText:
    """A TOML text with its name and the error it raises: messages name file, line and key."""

    name: str
    text: str
    error: type[FoleyError]

    @classmethod
    def read(cls, path: Path, error: type[FoleyError]) -> TomlText:
        """Read UTF-8 text with any line endings; raises `error` when that cannot be done."""
        try:
            text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as problem:
            raise error(f"{path}: not UTF-8 text; save it as UTF-8") from problem
        except OSError as problem:
            raise error(f"{path}: cannot be read: {problem.strerror}") from problem
        return cls(str(path), text, error)

    def parse(self) -> dict[str, Any]:
        """The text's tables and values as plain Python."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as problem:
            what, _, place = str(problem).partition(" (at ")
            number = re.search(r"\d+", place)
            line = int(number[0]) if number else self.text.rstrip("\n").count("\n") + 1
            raise self.error(f"{self.name}, line {line}: not valid TOML: {what}") from problem

    def line(self, keys: Keys) -> int | None:
        """The 1-based line of a key, or of the nearest thing around it."""
        lines: dict[Keys, int] = {}
        for each in statements(self.text):
            for end in range(1, len(each.keys) + 1):
                lines.setdefault(each.keys[:end], each.line)
        known = (lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in lines)
        return next(known, None)

    def fail(self, keys: Keys, message: str) -> FoleyError:
        """The error to raise: ``clip.cues.toml, line 7: scene #2 start must be ...``."""
        line = self.line(keys)
        label = ".".join(str(key) if isinstance(key, str) else f"#{key + 1}" for key in keys)
        label = re.sub(r"\.(#\d+)\.?", r" \1 ", label).strip()
        place = self.name if line is None else f"{self.name}, line {line}"
        return self.error(f"{place}: {label} {message}")

    def reject_unknown(self, table: Mapping[str, Any], known: Iterable[str], at: Keys) -> None:
        """Raise for the first key of a table that is none of the known ones."""
        known = list(known)
        for key in table:
            if key not in known:
                hint = suggestion(key, known) or f"; known here: {', '.join(known)}"
                raise self.fail((*at, key), f"is unknown{hint}")

    def take(
        self, table: Mapping[str, Any], at: Keys, key: str, kind: type, default: Any = _REQUIRED
    ) -> Any:
        """A value of the wanted kind from a table; raises when it is missing or another kind."""
        if key not in table:
            if default is _REQUIRED:
                raise self.fail((*at, key), f"is missing; it must be {_KINDS[kind]}")
            return default
        value = table[key]
        fits = isinstance(value, int | float if kind is float else kind)
        sane = kind is not float or (fits and abs(value) < 1e15)  # neither nan nor inf
        if not fits or isinstance(value, bool) or not sane:
            raise self.fail((*at, key), f"must be {_KINDS[kind]}, not {value!r}")
        return float(value) if kind is float else value


# Loading and overriding --------------------------------------------------------------------------


def settings(
    document: TomlText, table: Mapping[str, Any], at: Keys = ()
) -> dict[str, dict[str, Value]]:
    """The generation, timing and mix values that a table states, checked; no empty sections."""
    sections = {name: _section(document, table, name, at) for name in SETTINGS}
    return {name: values for name, values in sections.items() if values}


def _section(
    document: TomlText, table: Mapping[str, Any], name: str, at: Keys = ()
) -> dict[str, Value]:
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


_SAFE_NAME = re.compile(r"\w(?:[\w .+-]{0,98}[\w+-])?")


def load(path: str | os.PathLike[str], user_dir: Path | None = None) -> Preset:
    """Read one preset file; what it does not state comes from the default preset.

    Raises:
        PresetError: naming file, line, key and what is allowed.
    """
    path = Path(path)
    document = TomlText.read(path, PresetError)
    table = document.parse()
    document.reject_unknown(table, ("name", "description", "match", *SETTINGS), ())
    _check_name(path.stem)
    name = document.take(table, (), "name", str, path.stem)
    if name != path.stem:
        raise document.fail(("name",), f'must be "{path.stem}", like the file, not "{name}"')
    description = document.take(table, (), "description", str, "")
    rules: dict[str, Any] = _defaults("match") | _section(document, table, "match")
    stated = settings(document, table)
    values = {section: _defaults(section) for section in SETTINGS}
    if name != DEFAULT:
        values = merge(values, find(DEFAULT, user_dir).stated)
    return _filled(name, description, path, Match(**rules), merge(values, stated), stated)


def _filled(
    name: str, description: str, path: Path, match: Match, values: Overrides, stated: Overrides
) -> Preset:
    sections: dict[str, dict[str, Any]] = {key: dict(values[key]) for key in SETTINGS}
    return Preset(
        name=name,
        description=description,
        path=path,
        match=match,
        generation=Generation(**sections["generation"]),
        timing=Timing(**sections["timing"]),
        mix=Mix(**sections["mix"]),
        stated=stated,
    )


def _defaults(section: str) -> dict[str, Value]:
    return {key: each.default for key, each in parameters(section).items()}


def merge(*layers: Overrides) -> dict[str, dict[str, Value]]:
    """Layers laid over each other; the last one that states a value wins."""
    merged: dict[str, dict[str, Value]] = {}
    for layer in layers:
        for section, values in layer.items():
            merged[section] = merged.get(section, {}) | dict(values)
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
    checked: dict[str, Any] = check(overrides, source)
    return replace(
        preset,
        generation=replace(preset.generation, **checked.get("generation", {})),
        timing=replace(preset.timing, **checked.get("timing", {})),
        mix=replace(preset.mix, **checked.get("mix", {})),
        stated=merge(preset.stated, checked),
    )


# Looking up --------------------------------------------------------------------------------------


def config_dir() -> Path:
    """The user's configuration folder; the V2A_FOLEY_CONFIG_DIR environment variable moves it."""
    moved = os.environ.get("V2A_FOLEY_CONFIG_DIR")
    return Path(moved or platformdirs.user_config_dir("v2a-foley", appauthor=False))


def _shipped_dir() -> Path:
    packaged = Path(__file__).with_name("_presets")  # in a wheel; a checkout keeps them on top
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "presets"


def _files(user_dir: Path | None) -> dict[str, tuple[Literal["user", "shipped"], Path]]:
    folders: tuple[tuple[Literal["user", "shipped"], Path], ...] = (
        ("user", user_dir or config_dir() / "presets"),
        ("shipped", _shipped_dir()),
    )
    found: dict[str, tuple[Literal["user", "shipped"], Path]] = {}
    for source, folder in folders:
        for path in sorted(folder.glob("[!.]*.toml")):
            found.setdefault(path.stem, (source, path))
    return found


def _check_name(name: str) -> None:
    if not _SAFE_NAME.fullmatch(name):
        raise PresetError(
            f'"{name}" cannot name a preset: start with a letter or digit and'
            " go on with letters, digits, spaces, dots, dashes or underscores (100 at most)"
        )


def find(name_or_path: str | os.PathLike[str], user_dir: Path | None = None) -> Preset:
    """A preset by name, the user's before those that ship, or by a path that ends in .toml.

    Raises:
        PresetError: when there is none, with the nearest name, or when its file is not valid.
    """
    name = os.fspath(name_or_path)
    if name.endswith(".toml"):
        return load(name, user_dir)
    _check_name(name)
    files = _files(user_dir)
    if name not in files:
        hint = suggestion(name, files) or f"; there are {', '.join(sorted(files))}"
        raise PresetError(f'there is no preset "{name}"{hint}')
    return load(files[name][1], user_dir)


def available(user_dir: Path | None = None) -> list[PresetEntry]:
    """Every preset that can be found by name: the user's first, each kind sorted by name.

    Raises:
        PresetError: naming the first file that is not valid.
    """
    return [
        PresetEntry(name, source, path, load(path, user_dir).description)
        for name, (source, path) in _files(user_dir).items()
    ]


def load_all(user_dir: Path | None = None) -> list[Preset]:
    """Every preset that can be found by name, in the order of `available`, for `match`."""
    return [load(path, user_dir) for _, path in _files(user_dir).values()]


# Matching ----------------------------------------------------------------------------------------


def match(tags: Sequence[Tag], presets: Sequence[Preset]) -> Preset:
    """The preset whose rule fits a scene's tags best, else the default preset.

    A preset's score is the sum of the scores of the tags it matches. The highest score that
    reaches its own preset's ``min_score`` wins; of equals, the first in `presets`.
    """
    best, best_score = None, 0.0
    for preset in presets:
        score = sum(tag.score for tag in tags if _matches(preset.match, tag))
        if score > best_score and score >= preset.match.min_score:
            best, best_score = preset, score
    if best is not None:
        return best
    named = (preset for preset in presets if preset.name == DEFAULT)
    return next(named, None) or find(DEFAULT)


def _matches(rule: Match, tag: Tag) -> bool:
    """By group, or by a phrase that stands as whole words in the tag's concept."""
    concept = f" {tag.concept.lower()} "
    return tag.group in rule.groups or any(
        phrase == tag.group or f" {phrase} " in concept for phrase in rule.tags
    )


# Writing -----------------------------------------------------------------------------------------


def toml_value(value: Value) -> str:
    """A value as TOML text; no value is the text "none"."""
    import tomlkit

    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return tomlkit.item("none" if value is None else value).as_string()


def new(name: str, base: Preset) -> str:
    """The text of a new preset: what `base` states as it is, all else as commented defaults.

    Raises:
        PresetError: when the name cannot name a file.
    """
    _check_name(name)
    lines = [
        "# A v2a-foley preset. Take the # from before a key to state its value; what is not stated",
        "# comes from the default preset.",
        f"name = {toml_value(name)}",
        f"description = {toml_value(base.description)}",
    ]
    section = ""
    for each in PARAMETERS:
        if each.section != section:
            section = each.section
            lines += ["", f"[{section}]"]
        help_text = f"{each.help}: {each.allowed}"
        lines += textwrap.wrap(help_text, 98, initial_indent="# ", subsequent_indent="# ")
        mark = "" if each.key in base.stated.get(section, {}) else "#"
        value = toml_value(getattr(getattr(base, section), each.key))
        lines.append(f"{mark}{each.key} = {value}")
    return "\n".join(lines) + "\n"
