"""Preset files: where they are, reading them, a new one, and which of them suits a scene."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import platformdirs

from v2a_foley.errors import FoleyError, PresetError
from v2a_foley.presets.schema import (
    DEFAULT,
    PARAMETERS,
    SETTINGS,
    Generation,
    Match,
    Mix,
    Overrides,
    Preset,
    PresetEntry,
    Tag,
    Timing,
    checked_section,
    merge,
    parameters,
    settings,
)
from v2a_foley.tomltext import TomlText, Value, suggestion, toml_value

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
    rules: dict[str, Any] = _defaults("match") | checked_section(document, table, "match")
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


# Looking up --------------------------------------------------------------------------------------


def config_dir() -> Path:
    """The user's configuration folder; the V2A_FOLEY_CONFIG_DIR environment variable moves it."""
    moved = os.environ.get("V2A_FOLEY_CONFIG_DIR")
    return Path(moved or platformdirs.user_config_dir("v2a-foley", appauthor=False))


def _shipped_dir() -> Path:
    package = Path(__file__).parents[1]
    packaged = package / "_presets"  # in a wheel; a checkout keeps them on top
    return packaged if packaged.is_dir() else package.parent / "presets"


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


def names(user_dir: Path | None = None) -> list[str]:
    """The names of all presets, valid or not, in the order of `available`."""
    return list(_files(user_dir))


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


def create(name: str, base: Preset, user_dir: Path | None = None) -> Path:
    """Write a new preset into the user's folder and return its path; see `new`.

    Raises:
        PresetError: when the name cannot name a file, or the user has a preset of that name.
        FoleyError: when the file cannot be written.
    """
    text = new(name, base)
    path = (user_dir or config_dir() / "presets") / f"{name}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise PresetError(f"{path}: exists already; edit it, or choose another name") from None
    except OSError as problem:
        raise FoleyError(f"{path}: cannot be written: {problem.strerror}") from problem
    return path
