"""TOML text that can name its lines, so that errors name file, line and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2a_foley.errors import FoleyError

Value = str | int | float | None | tuple[str, ...]
"""What one key may hold; None is stated as the text "none"."""

Keys = tuple[str | int, ...]
"""Where a value stands in a TOML document, as in ``("scene", 2, "start")``."""

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.S
)
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]*)\]")
_KEY = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[^\s."\'=]+')
_REQUIRED: Any = object()
_KINDS = {
    str: "text", int: "a whole number", float: "a finite number", dict: "a table", list: "a list",
    bool: "true or false",
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
        if not fits or isinstance(value, bool) != (kind is bool) or not sane:
            raise self.fail((*at, key), f"must be {_KINDS[kind]}, not {value!r}")
        return float(value) if kind is float else value


def toml_value(value: Value) -> str:
    """A value as TOML text; no value is the text "none"."""
    import tomlkit

    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return tomlkit.item("none" if value is None else value).as_string()
