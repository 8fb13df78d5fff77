"""What the command line prints: data to stdout, messages to stderr, both safe to look at."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TextIO

from v2a_foley.errors import FoleyError

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def out(data: str) -> None:
    """Print data to stdout.

    Raises:
        FoleyError: it could not be written, as on a full disk.
    """
    try:
        _write(sys.stdout, data)
    except OSError as problem:
        reason = problem.strerror or problem
        raise FoleyError(f"stdout: cannot be written ({reason}); send it elsewhere") from None


def say(message: str) -> None:
    """Print a message to stderr; that there is no room for it is no reason to end the work."""
    with suppress(OSError):
        _write(sys.stderr, safe(message))


def error(message: str) -> None:
    """Print an error to stderr; its further lines are indented, so that none looks like another."""
    say("error: " + message.strip().replace("\n", "\n  "))


def safe(text: str) -> str:
    """Text with everything escaped that could move a terminal's cursor or cannot be encoded."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def name(path: Path | str) -> str:
    """A file's name on one line."""
    return safe(str(path)).replace("\n", "\\n")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under headings; columns of numbers are aligned at the right."""
    cells = [list(headings), *([name(cell) for cell in row] for row in rows)]
    columns = []
    for column in zip(*cells, strict=True):
        width = max(map(len, column))
        numbers = len(column) > 1 and all(map(_NUMBER.fullmatch, column[1:]))
        columns.append([cell.rjust(width) if numbers else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def pairs(values: Mapping[str, object]) -> str:
    """One named value a line; a list's further items follow under its first."""
    width = max(map(len, values))
    lines = []
    for key, value in values.items():
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            lines.append(f"{'' if index else key:<{width}}  {name(str(item))}".rstrip())
    return "\n".join(lines)


def as_json(value: object) -> str:
    """Dataclasses, paths and all that is plain as JSON; numbers without an end become null."""
    return json.dumps(_plain(value), indent=2, allow_nan=False)


def json_line(value: object) -> str:
    """As :func:`as_json`, on one line."""
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed by whoever started this
        return
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        # Whoever read this has gone, as `head` does; the work goes on and nobody is told of it.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
