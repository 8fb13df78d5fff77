"""What a mapper is made of and how it is trained: small TOML files, some of which ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from v2a_foley.errors import FoleyError, InputError
from v2a_foley.tomltext import TomlText, suggestion

KINDS = ("regression", "diffusion")
FOR_KIND = {"regression": "regression-mlp", "diffusion": "diffusion"}
"""The config that ships for each kind, where none is named."""
MOST_DIMENSIONS = 8192


def _number(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _choice(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """How an item's frames become one vector.

    ``aggregation``: see :mod:`v2a_foley.mapper.aggregation`. ``per``: whether a scene longer
    than the generator's window is mapped once a window or once as a whole. ``most``: frames
    that are looked at, evenly picked. ``width``, ``layers`` and ``heads`` are the transformer's.
    """

    aggregation: str = _choice("mean", "mean", "attention", "key_frame", "transformer")
    per: str = _choice("window", "window", "scene")
    most: int = _number(16, 1, 256)
    width: int = _number(256, 8, 4096)
    layers: int = _number(2, 1, 48)
    heads: int = _number(4, 1, 64)


@dataclass(frozen=True, slots=True)
class RegressionSettings:
    """A residual MLP. ``loss``: mean squared error (the paper's) or 1 - cosine."""

    width: int = _number(512, 8, 8192)
    blocks: int = _number(4, 0, 64)
    dropout: float = _number(0.1, 0, 0.9)
    loss: str = _choice("mse", "mse", "cosine")


@dataclass(frozen=True, slots=True)
class DiffusionSettings:
    """A DALL-E-2-style prior, and how it is sampled.

    ``condition_dropout``: share of examples trained without their condition, for guidance.
    ``steps``: of the sampler. ``samples`` are drawn, of which the best is kept. ``guidance`` 1
    adds nothing.
    """

    layers: int = _number(12, 1, 48)
    heads: int = _number(12, 1, 64)
    head_width: int = _number(48, 4, 256)
    dropout: float = _number(0.0, 0, 0.9)
    condition_dropout: float = _number(0.1, 0, 0.9)
    steps: int = _number(12, 1, 1000)
    samples: int = _number(2, 1, 64)
    guidance: float = _number(1.0, 0, 20)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a mapper is trained.

    ``batch_size``: pairs a step, over all devices. ``warmup``: steps until ``lr`` is reached.
    ``clip``: longest gradient. ``average``: decay of the weights' moving average, which is what
    is kept. ``noise``: length of Gaussian noise added to each unit-length frame. ``interval``:
    steps between two looks at the held-out pairs; after ``patience`` looks in a row without a
    better loss training stops (0: never).
    """

    steps: int = _number(5000, 1, 10**8)
    batch_size: int = _number(256, 1, 2**20)
    lr: float = _number(5e-4, 1e-9, 1)
    weight_decay: float = _number(0.06, 0, 10)
    warmup: int = _number(100, 0, 10**6)
    clip: float = _number(0.5, 1e-3, 1e6)
    average: float = _number(0.999, 0, 0.999999)
    noise: float = _number(0.0, 0, 10)
    interval: int = _number(100, 1, 10**6)
    patience: int = _number(10, 0, 10**6)


ModelSettings = RegressionSettings | DiffusionSettings
_MODEL = {"regression": RegressionSettings, "diffusion": DiffusionSettings}


@dataclass(frozen=True, slots=True)
class Config:
    """A mapper to train."""

    kind: str
    frames: FrameSettings
    model: ModelSettings
    training: TrainingSettings


def names() -> list[str]:
    """The configs that ship."""
    return sorted(entry.name.removesuffix(".toml") for entry in _shipped().iterdir())


def load(name: str) -> Config:
    """Read the config ``name``: one that ships, or a TOML file.

    Raises InputError that names file, line and key when it does not follow the schema.
    """
    if name in names():
        text = (_shipped() / f"{name}.toml").read_text(encoding="utf-8")
        return _parse(TomlText(f"{name}.toml", text, InputError))
    if not name.endswith(".toml"):
        raise InputError(
            f"unknown mapper config '{name}': choose one of {', '.join(names())}, or name a "
            f".toml file{suggestion(name, names())}"
        )
    return _parse(TomlText.read(Path(name).expanduser(), InputError))


def with_training(config: Config, given: Mapping[str, Any]) -> Config:
    """The config with some training settings replaced, as in ``{"lr": 1e-4}``.

    Raises InputError for a value out of range.
    """
    table = {"training": asdict(config.training) | dict(given)}
    document = TomlText("command line", "", InputError)
    return replace(config, training=_section(document, table, "training", TrainingSettings))


def _shipped() -> Any:
    return resources.files("v2a_foley.mapper") / "configs"


def _parse(document: TomlText) -> Config:
    table = document.parse()
    document.reject_unknown(table, ("kind", "frames", "model", "training"), ())
    kind = document.take(table, (), "kind", str)
    if kind not in KINDS:
        raise document.fail(("kind",), f"must be one of {', '.join(KINDS)}, not {kind!r}")
    training = _section(document, table, "training", TrainingSettings)
    return Config(kind, *_network(document, table, kind), training)


def network(
    kind: str, table: Mapping[str, Any], error: type[FoleyError]
) -> tuple[int, int, FrameSettings, ModelSettings]:
    """What :func:`header` gave, read from a mapper file and checked; ``error`` names the key."""
    document = TomlText("header", "", error)
    document.reject_unknown(table, ("d_clip", "d_clap", "frames", "model"), ())
    d_clip, d_clap = (document.take(table, (), key, int) for key in ("d_clip", "d_clap"))
    if not (0 < d_clip <= MOST_DIMENSIONS and 0 < d_clap <= MOST_DIMENSIONS):
        raise error(f"header: {d_clip} to {d_clap} dimensions cannot be")
    return d_clip, d_clap, *_network(document, table, kind)


def header(config: Config, d_clip: int, d_clap: int) -> dict[str, Any]:
    """What a mapper file has to say to be built again: see :func:`network`."""
    tables = {"frames": asdict(config.frames), "model": asdict(config.model)}
    return {"d_clip": d_clip, "d_clap": d_clap} | tables


def _network(
    document: TomlText, table: Mapping[str, Any], kind: str
) -> tuple[FrameSettings, ModelSettings]:
    frames = _section(document, table, "frames", FrameSettings)
    if frames.width % frames.heads:
        raise document.fail(("frames", "heads"), f"must divide the width {frames.width}")
    return frames, _section(document, table, "model", _MODEL[kind])


def _section(document: TomlText, table: Mapping[str, Any], name: str, settings: Any) -> Any:
    """One table as its dataclass; what it does not state has its default."""
    values = document.take(table, (), name, dict, {})
    kinds = get_type_hints(settings)
    document.reject_unknown(values, kinds, (name,))
    made = {}
    for each in fields(settings):
        if each.name not in values:
            continue
        at = (name, each.name)
        value = document.take(values, (name,), each.name, kinds[each.name])
        low, high = each.metadata.get("low"), each.metadata.get("high")
        choices = each.metadata.get("choices")
        if choices and value not in choices:
            hint = suggestion(value, choices)
            raise document.fail(at, f"must be one of {', '.join(choices)}, not {value!r}{hint}")
        if low is not None and not low <= value <= high:
            raise document.fail(at, f"must be from {low:g} to {high:g}, not {value!r}")
        made[each.name] = value
    return settings(**made)
