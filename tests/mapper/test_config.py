from __future__ import annotations

from pathlib import Path

import pytest

from v2a_foley.errors import InputError, ModelError
from v2a_foley.mapper import config
from v2a_foley.mapper.config import DiffusionSettings, RegressionSettings


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", config.names())
def test_what_ships_loads(name: str) -> None:
    loaded = config.load(name)
    assert loaded.kind == name.partition("-")[0]
    assert isinstance(loaded.model, RegressionSettings | DiffusionSettings)


def test_each_kind_has_a_config() -> None:
    assert set(config.FOR_KIND) == set(config.KINDS)
    for kind, name in config.FOR_KIND.items():
        assert config.load(name).kind == kind


def test_the_full_diffusion_config_is_the_paper_s() -> None:
    paper = config.load("diffusion")
    assert isinstance(paper.model, DiffusionSettings)
    assert (paper.model.layers, paper.model.heads) == (12, 12)
    assert paper.model.condition_dropout == 0.1
    training = paper.training
    assert (training.batch_size, training.lr, training.weight_decay) == (448, 1.1e-4, 6.02e-2)
    assert (training.clip, training.average) == (0.5, 0.9999)


def test_what_is_not_stated_has_its_default(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, 'kind = "regression"\n[training]\nlr = 1e-3\n'))
    assert loaded.training.lr == 1e-3
    assert loaded.frames.aggregation == "mean"
    assert loaded.model == RegressionSettings()


BAD = {
    "unknown table": ('kind = "diffusion"\n[modle]\n', r'line 2: modle is unknown.*"model"'),
    "unknown key": ('kind = "diffusion"\n[model]\nlayer = 3\n', r"line 3: model\.layer is unknown"),
    "of another kind": ('kind = "diffusion"\n[model]\nblocks = 3\n', r"model\.blocks is unknown"),
    "text": (
        'kind = "regression"\n[model]\nwidth = "12"\n',
        r"line 3: model\.width must be a whole",
    ),
    "a fraction": ('kind = "regression"\n[model]\nwidth = 1.5\n', r"must be a whole number"),
    "nan": ('kind = "regression"\n[training]\nlr = nan\n', r"training\.lr must be a finite"),
    "negative": (
        'kind = "regression"\n[training]\nlr = -1.0\n',
        r"must be from 1e-09 to 1, not -1",
    ),
    "choice": (
        'kind = "regression"\n[frames]\naggregation = "meen"\n',
        r'must be one of mean, attention, key_frame, .*, not \'meen\'; did you mean "mean"',
    ),
    "heads": ('kind = "regression"\n[frames]\nheads = 3\n', r"line 3: frames\.heads must divide"),
    "kind": ('kind = "bridge"\n', r"line 1: kind must be one of regression, diffusion"),
    "no kind": ("[model]\n", "kind is missing"),
    "no TOML": ("kind =\n", "line 1: not valid TOML"),
}


@pytest.mark.parametrize("what", BAD)
def test_mistakes_name_file_line_and_key(tmp_path: Path, what: str) -> None:
    text, message = BAD[what]
    with pytest.raises(InputError, match=rf"mine\.toml.*{message}"):
        config.load(write(tmp_path, text))


def test_no_such_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='"diffusion-small"'):
        config.load("diffusion-smal")
    with pytest.raises(InputError, match="cannot be read"):
        config.load(str(tmp_path / "none.toml"))


def test_settings_of_the_command_line_are_checked_too() -> None:
    loaded = config.load("regression-mlp")
    assert config.with_training(loaded, {"steps": 7}).training.steps == 7
    with pytest.raises(InputError, match=r"training\.lr must be from"):
        config.with_training(loaded, {"lr": 0.0})


@pytest.mark.parametrize("name", config.names())
def test_a_header_says_it_all(name: str) -> None:
    loaded = config.load(name)
    table = config.header(loaded, 512, 256)
    assert config.network(loaded.kind, table, ModelError) == (512, 256, loaded.frames, loaded.model)


def test_a_header_is_checked() -> None:
    table = config.header(config.load("diffusion"), 512, 256)
    for change in ({"d_clip": 0}, {"d_clap": 10**9}, {"x": 1}, {"model": {"layers": 10**6}}):
        with pytest.raises(ModelError):
            config.network("diffusion", table | change, ModelError)
