from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from v2a_foley.cli import console
from v2a_foley.cli.models import in_bytes


@dataclass(frozen=True, slots=True)
class Thing:
    path: Path
    level: float
    parts: tuple[int | None, ...]


def test_json_has_no_numbers_without_an_end():
    text = console.as_json({"thing": Thing(Path("a/b"), -math.inf, (1, None)), "flag": True})
    thing = {"path": str(Path("a/b")), "level": None, "parts": [1, None]}
    assert json.loads(text) == {"thing": thing, "flag": True}


def test_json_is_ascii_whatever_a_file_is_called():
    text = console.as_json([Path("\u00e9\udcff\x1b\x9b.mp4")])
    assert text.isascii()
    assert "\x1b" not in text


def test_a_table_is_aligned_and_each_row_is_one_line():
    text = console.table(("NAME", "N"), [("a\nb", "1.50"), ("long name", "12.25")])
    assert text == "NAME           N\na\\nb        1.50\nlong name  12.25"
    assert console.table(("NAME", "N"), []) == "NAME  N"


def test_pairs_of_lists_and_single_values():
    text = console.pairs({"a": ["x", "y"], "long": "z\n", "none": []})
    assert text == "a     x\n      y\nlong  z\\n"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "2 KiB"),
        (5 * 2**20, "5 MiB"),
        (3 * 2**30, "3.0 GiB"),
    ],
)
def test_bytes_in_words(count: int, words: str):
    assert in_bytes(count) == words
