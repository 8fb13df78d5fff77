from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tests.presets.conftest import write
from v2a_foley import presets
from v2a_foley.errors import PresetError
from v2a_foley.presets import PARAMETERS, Parameter


def test_sections_have_the_fields_of_the_table():
    classes = {
        "match": presets.Match,
        "generation": presets.Generation,
        "timing": presets.Timing,
        "mix": presets.Mix,
    }
    for section, kind in classes.items():
        assert [each.name for each in fields(kind)] == list(presets.parameters(section))


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda each: f"{each.section}.{each.key}")
def test_every_parameter_takes_its_own_default_and_explains_itself(parameter: Parameter):
    assert parameter.parse(parameter.default) == parameter.default
    assert parameter.help
    assert parameter.allowed


def test_allowed_values_in_words():
    words = {f"{each.section}.{each.key}": each.allowed for each in PARAMETERS}
    assert words["generation.steps"] == "a whole number from 1 to 1000"
    assert words["generation.scheduler"] == 'one of "dpm++", "ddim"'
    assert words["mix.loudness"] == 'a number from -70 to 0 or "none"'
    assert words["match.tags"] == "a list of texts"


# Errors in a file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[generation\n", r"mine\.toml, line 1: not valid TOML: Expected '\]'"),
        ("a = 1\n\nb = \n", r"line 3: not valid TOML"),
        ('name = "other"\n', r'line 1: name must be "mine", like the file, not "other"'),
        ("description = 3\n", "line 1: description must be text, not 3"),
        ("\n[generaton]\n", r'line 2: generaton is unknown; did you mean "generation"\?'),
        ("mix = 3\n", "line 1: mix must be a table, not 3"),
        (
            "[generation]\n\nstep = 3\n",
            r'line 3: generation\.step is unknown; did you mean "steps"',
        ),
        ("[timing]\nzzz = 3\n", r"timing\.zzz is unknown; known here: crossfade"),
        ("generation.steps = 0\n", r"line 1: generation\.steps .* from 1 to 1000, not 0"),
        ("[generation]\nsteps = 2.5\n", r"steps must be a whole number from 1 to 1000, not 2\.5"),
        ("[generation]\nsteps = true\n", "steps must be a whole number from 1 to 1000, not True"),
        ("[generation]\nguidance = nan\n", "guidance must be a number from 0 to 20, not nan"),
        ("[generation]\nguidance = inf\n", "guidance must be a number from 0 to 20, not inf"),
        ("[generation]\nguidance = '3'\n", "guidance must be a number from 0 to 20, not '3'"),
        ("[generation]\ntemperature = 0\n", r"temperature must be a number from 0\.0001 to 10"),
        ("[generation]\nscheduler = 'dpm+'\n", r'"dpm\+\+", "ddim", not \'dpm\+\'; did you mean'),
        ("[mix]\nloudness = 'off'\n", 'loudness must be a number from -70 to 0 or "none"'),
        ("[mix]\nmode = 'ducking'\n", r'not \'ducking\'; did you mean "duck"\?'),
        ("[match]\ngroups = ['anmals']\n", r'not \'anmals\'; did you mean "animals"\?'),
        ("[match]\ntags = 'dog'\n", r"match\.tags must be a list of texts, not 'dog'"),
        ("[match]\ntags = [1]\n", r"match\.tags must be a list of texts, not 1"),
        ("[match]\nmin_score = 1.5\n", r"match\.min_score must be a number from 0 to 1"),
    ],
)
def test_an_error_names_file_line_key_and_what_is_allowed(tmp_path: Path, text: str, message: str):
    with pytest.raises(PresetError, match=message) as raised:
        presets.load(write(tmp_path, "mine", text))
    assert str(raised.value).startswith(str(tmp_path / "mine.toml"))
    assert raised.value.exit_code == 2


def test_a_file_that_is_not_text(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b'name = "\xff"\n')
    with pytest.raises(PresetError, match="not UTF-8 text"):
        presets.load(path)


def test_a_file_whose_name_is_not_safe(tmp_path: Path):
    with pytest.raises(PresetError, match="cannot name a preset"):
        presets.load(write(tmp_path, "a;b", ""))


# Overrides


def test_overrides_replace_values_and_are_stated():
    preset = presets.with_overrides(
        presets.find("city"), {"generation": {"steps": 30}, "mix": {"loudness": "none"}}
    )
    assert preset.generation.steps == 30
    assert preset.generation.top_k == presets.find("city").generation.top_k
    assert preset.mix.loudness is None
    assert preset.stated["generation"]["steps"] == 30


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"generation": {"steps": 0}}, r"command line: generation\.steps must be a whole number"),
        ({"generation": {"stepps": 3}}, r'command line: generation\.stepps .* mean "steps"'),
        ({"timings": {}}, r'command line: timings is unknown; did you mean "timing"'),
        ({"match": {"tags": []}}, "command line: match is unknown"),
    ],
)
def test_overrides_are_checked(overrides: dict, message: str):
    with pytest.raises(PresetError, match=message):
        presets.with_overrides(presets.find("city"), overrides, "command line")
