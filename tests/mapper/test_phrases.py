"""The phrase bank of the bridge mapper is well formed, without doubles, and wide enough."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources

import pytest

from v2a_foley.presets import GROUPS

COLUMNS = ["concept", "group", "visual", "sound"]
PHRASE = re.compile(r"[a-z0-9][a-z0-9',-]*( [a-z0-9][a-z0-9',-]*)*")
CONCEPT = re.compile(rf"{PHRASE.pattern}( / {PHRASE.pattern})*")

# Labels of a sound set, which the bank must carry as they are written.
CLASSES = """
africa;ambience city / room;america;australia;ball / sport;bat flapping;bird of prey;birdsong
bow and arrow;bubbles;button / click;camera shutter;car / truck engine;car horn;cat
chainsaw / sawing;chicken / rooster;clock / ticking;cloth / leather;coins / cash
cough / sneeze / body;cow / cattle;crow / raven;crowd / applause;deer / other mammal;dog;door
doorbell / bell;drum / percussion;duck / goose;electric spark / hum;elephant;explosion
fire crackling;fireworks;footsteps;frog;fuse / match;glass;guitar;gunshot;hammering / anvil
helicopter;horse / donkey;human effort / pain;insects;ireland;italy;japan;jet aircraft;laugh
lion / roar;machine gun;machinery / factory;mexico;middleeast;mining / stone;monkey / ape
motorcycle;mouse / rodent;ocean waves;owl;paper / book / cards;phone ring;piano / keys;pig
propeller aircraft;punch / impact;rain;rocket / missile;scream;seagull;sheep / goat
ship / war horn;siren / alarm;snake / reptile;snow / ice slide;splash;squish / splat
steam / gas hiss;strings;sword / metal clash;thunder;tire skid / crash;toilet / bathroom;train
typing keyboard;vinyl / tape;water drip;waterfall / running water;whale / sea mammal;whistle
whoosh / swing;wind;wind instrument;wolf / fox;wood break;wood chopping
""".replace("\n", ";").strip(";")


@pytest.fixture(scope="module")
def text() -> str:
    data = (resources.files("v2a_foley") / "mapper" / "phrases.tsv").read_bytes()
    return data.decode("ascii")


@pytest.fixture(scope="module")
def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()[1:]]


def test_file_is_lower_case_lines_under_a_header(text: str) -> None:
    assert text == text.lower()
    assert "\r" not in text
    assert text.endswith("\n")
    assert text.split("\n", 1)[0].split("\t") == COLUMNS


def test_every_row_has_four_clean_fields(rows: list[list[str]]) -> None:
    for row in rows:
        assert len(row) == len(COLUMNS), row
        concept, group, visual, sound = row
        assert CONCEPT.fullmatch(concept), row
        assert group in GROUPS, row
        for phrase in (visual, sound):
            assert PHRASE.fullmatch(phrase), row
            assert 2 <= len(phrase.split()) <= 14, row


@pytest.mark.parametrize("column", ["concept", "visual", "sound"])
def test_nothing_stands_twice(rows: list[list[str]], column: str) -> None:
    counts = Counter(row[COLUMNS.index(column)] for row in rows)
    assert [value for value, count in counts.items() if count > 1] == []


def test_visual_and_sound_of_a_concept_differ(rows: list[list[str]]) -> None:
    assert [row for row in rows if row[2] == row[3]] == []


def test_bank_is_wide(rows: list[list[str]]) -> None:
    groups = Counter(row[1] for row in rows)
    assert len(rows) >= 600
    assert set(groups) == set(GROUPS)
    assert min(groups.values()) >= 10


def test_groups_stand_together_in_their_order(rows: list[list[str]]) -> None:
    order = [GROUPS.index(row[1]) for row in rows]
    assert order == sorted(order)


def test_every_class_is_a_concept(rows: list[list[str]]) -> None:
    assert set(CLASSES.split(";")) <= {row[0] for row in rows}
