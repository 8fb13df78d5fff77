from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.presets.conftest import SHIPPED, write
from v2a_foley import presets
from v2a_foley.errors import PresetError
from v2a_foley.presets import PARAMETERS, Tag

# Presets that ship


def test_the_presets_that_ship_are_listed_by_name():
    entries = presets.available()
    assert [entry.name for entry in entries] == SHIPPED
    assert all(entry.source == "shipped" and entry.description for entry in entries)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_preset_that_ships_is_valid_and_states_only_what_differs(name: str):
    preset = presets.find(name)
    default = presets.find("default")
    assert preset.name == name
    for section, values in preset.stated.items():
        for key, value in values.items():
            assert getattr(getattr(default, section), key) != value


def test_default_states_nothing_and_has_the_values_of_the_table():
    default = presets.find("default")
    assert default.stated == {}
    for each in PARAMETERS:
        assert getattr(getattr(default, each.section), each.key) == each.default


def test_only_default_and_subtle_are_asked_for_by_name_alone():
    unmatched = {each.name for each in presets.load_all() if each.match.tags == each.match.groups}
    assert unmatched == {"default", "subtle"}


def test_presets_that_ship_differ_in_sound():
    generations = {presets.find(name).generation for name in SHIPPED}
    assert len(generations) == len(SHIPPED)


def test_rules_speak_of_groups_and_words_that_tags_have():
    bank = Path(presets.__file__).parents[1] / "mapper" / "phrases.tsv"
    rows = [line.split("\t") for line in bank.read_text(encoding="utf-8").splitlines()[1:]]
    assert {row[1] for row in rows} == set(presets.GROUPS)
    for preset in presets.load_all():
        for phrase in preset.match.tags:
            assert any(f" {phrase} " in f" {row[0]} " for row in rows), phrase


# Looking up


def test_a_preset_inherits_from_default(user_dir: Path):
    write(user_dir, "mine", "[generation]\nsteps = 50\n")
    preset = presets.find("mine")
    assert preset.generation.steps == 50
    assert preset.generation.guidance == 2.5
    assert preset.stated == {"generation": {"steps": 50}}


def test_a_users_default_is_what_every_preset_starts_from(user_dir: Path):
    write(user_dir, "default", "[generation]\nsteps = 44\ncandidates = 1\n")
    assert presets.find("city").generation.steps == 44
    assert presets.find("footsteps").generation.candidates == 4
    assert presets.find("default").generation.steps == 44


def test_a_users_preset_stands_before_the_one_that_ships(user_dir: Path):
    path = write(user_dir, "city", 'description = "my town"\n')
    assert presets.find("city").path == path
    entries = presets.available()
    assert [entry.name for entry in entries].count("city") == 1
    assert (entries[0].name, entries[0].source) == ("city", "user")
    assert entries[0].description == "my town"


def test_user_dir_may_be_given(tmp_path: Path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    write(folder, "mine", "[timing]\ncrossfade = 3\n")
    assert presets.find("mine", user_dir=folder).timing.crossfade == 3.0
    assert presets.available(folder)[0].name == "mine"
    with pytest.raises(PresetError, match='no preset "mine"'):
        presets.find("mine")


def test_a_path_that_ends_in_toml_is_read_as_a_file(tmp_path: Path):
    path = write(tmp_path, "loud", 'name = "loud"\n[mix]\ngain_db = 6\nloudness = "none"\n')
    preset = presets.find(path)
    assert preset == presets.find(str(path)) == presets.load(path)
    assert preset.mix.gain_db == 6.0
    assert preset.mix.loudness is None


def test_a_file_may_carry_a_byte_order_mark_and_windows_line_ends(tmp_path: Path):
    path = tmp_path / "notepad.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "notepad"\r\n[generation]\r\nsteps = 0\r\n')
    with pytest.raises(PresetError, match=r"line 3: generation\.steps must be"):
        presets.load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("citty", r'no preset "citty"; did you mean "city"\?'),
        ("xyzzy", r'no preset "xyzzy"; there are ambience, animals, .*, water'),
        ("../city", r'"\.\./city" cannot name a preset'),
        ("a/b", "cannot name a preset"),
        ("a\\b", "cannot name a preset"),
        (".hidden", "cannot name a preset"),
        ("", "cannot name a preset"),
        ("x" * 101, "cannot name a preset"),
        ("nowhere/city.toml", r"nowhere/city\.toml: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_found(name: str, message: str):
    with pytest.raises(PresetError, match=message):
        presets.find(name)


# Matching


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ([Tag("dog barking", "animals", 0.6), Tag("street", "city", 0.2)], "animals"),
        ([Tag("rain", "weather", 0.3), Tag("campfire", "fire", 0.3)], "fire-and-weather"),
        ([Tag("running water", "nature", 0.5), Tag("lake", "water", 0.1)], "water"),
        ([Tag("fish", "animals", 0.7), Tag("mermaid", "fantasy", 0.2)], "water"),
        ([Tag("boing", "cartoon", 0.8)], "cartoon"),
        ([Tag("boing", "cartoon", 0.1)], "default"),
        ([Tag("piano", "instruments", 0.9)], "default"),
        ([Tag("dog barking", "animals", 0.0)], "default"),
        ([], "default"),
    ],
)
def test_a_scene_gets_the_preset_its_tags_call_for(tags: list[Tag], name: str):
    assert presets.match(tags, presets.load_all()).name == name


def test_a_rule_matches_whole_words_of_a_concept(user_dir: Path):
    write(user_dir, "cats", '[match]\ntags = ["Big Cat"]\nmin_score = 0\n')
    rules = [presets.find("cats")]
    assert presets.match([Tag("a big cat roaring", "other", 0.1)], rules).name == "cats"
    assert presets.match([Tag("big cattle", "other", 0.1)], rules).name == "default"
    assert presets.match([Tag("a big cat roaring", "other", 0.0)], rules).name == "default"


def test_scores_of_matched_tags_add_up_and_each_counts_once(user_dir: Path):
    write(user_dir, "pair", '[match]\ntags = ["dog", "puppy"]\ngroups = ["animals"]\n')
    write(user_dir, "single", '[match]\ntags = ["siren"]\n')
    rules = [presets.find("pair"), presets.find("single")]
    tags = [
        Tag("puppy dog", "animals", 0.2),
        Tag("dog", "animals", 0.15),
        Tag("siren", "alarms", 0.3),
    ]
    assert presets.match(tags, rules).name == "pair"
    assert presets.match(tags[::2], rules).name == "single"


def test_of_equals_the_first_wins_and_the_users_come_first(user_dir: Path):
    write(user_dir, "zoo", '[match]\ngroups = ["animals"]\n')
    assert presets.match([Tag("dog", "animals", 0.5)], presets.load_all()).name == "zoo"


def test_a_score_of_exactly_the_least_is_enough(user_dir: Path):
    write(user_dir, "dogs", '[match]\ntags = ["dog"]\nmin_score = 0.25\n')
    assert presets.match([Tag("dog", "animals", 0.25)], [presets.find("dogs")]).name == "dogs"


# New presets


@pytest.mark.parametrize("base", SHIPPED)
def test_a_new_preset_sounds_like_its_base_and_matches_nothing(user_dir: Path, base: str):
    text = presets.new("mine", presets.find(base))
    write(user_dir, "mine", text)
    mine, model = presets.find("mine"), presets.find(base)
    assert (mine.generation, mine.timing, mine.mix) == (model.generation, model.timing, model.mix)
    assert mine.stated == model.stated
    assert mine.match.tags == mine.match.groups == ()
    assert max(map(len, text.splitlines())) <= 100


def test_a_new_preset_is_valid_when_every_key_is_stated(user_dir: Path):
    lines = presets.new("mine", presets.find("city")).splitlines()
    text = "\n".join(line.removeprefix("#") if line[1:2] != " " else line for line in lines)
    mine = presets.load(write(user_dir, "mine", text))
    assert mine.match == presets.find("city").match
    assert sum(map(len, mine.stated.values())) == len(PARAMETERS) - 3


def test_a_new_preset_needs_a_name_that_is_safe():
    with pytest.raises(PresetError, match="cannot name a preset"):
        presets.new(f"up{os.sep}and away", presets.find("default"))
