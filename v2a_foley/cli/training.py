"""``v2a-foley mapper train``: a mapper of one's own."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from v2a_foley.cli import console
from v2a_foley.cli.options import AUTO, Device, Json, Overwrite, Seed
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.mapper.batches import Material
    from v2a_foley.mapper.config import Config
    from v2a_foley.mapper.training import Trained

PANEL = "Training"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and for how long."""

    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="NAME", show_default=False, rich_help_panel=PANEL,
            help="regression (to the mean of what sounds there) or diffusion (the paper's).",
        ),
    ] = None  # fmt: skip
    config: Annotated[
        str | None,
        typer.Option(
            "--config", metavar="NAME", show_default=False, rich_help_panel=PANEL,
            help="diffusion, diffusion-small, regression-mlp, regression-transformer, or a .toml"
            " file of your own; diffusion or regression-mlp if not given.",
        ),
    ] = None  # fmt: skip
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="NUMBER", show_default=False, rich_help_panel=PANEL,
            help="Optimizer steps at most; those of the config if not given.",
        ),
    ] = None  # fmt: skip
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", min=1, metavar="NUMBER", show_default=False, rich_help_panel=PANEL,
            help="Instead of --steps: how often each pair is seen.",
        ),
    ] = None  # fmt: skip
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", metavar="NUMBER", show_default=False, rich_help_panel=PANEL,
            help="Pairs a step, over all devices.",
        ),
    ] = None  # fmt: skip
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr", metavar="NUMBER", show_default=False, rich_help_panel=PANEL,
            help="Learning rate.",
        ),
    ] = None  # fmt: skip

    def load(self) -> Config:
        """The config, with what the command line states; ``epochs`` are left to `lasting`."""
        from v2a_foley.mapper import config

        if self.kind is not None and self.kind not in config.FOR_KIND:
            more = ": it is not trained" if self.kind == "bridge" else ""
            raise InputError(f"--kind {self.kind}{more}; choose regression or diffusion")
        if self.kind is None and self.config is None:
            raise InputError("say what to train: --kind regression, --kind diffusion or --config")
        if self.steps is not None and self.epochs is not None:
            raise InputError("--steps and --epochs both say how long to train; give one")
        found = config.load(self.config or config.FOR_KIND[str(self.kind)])
        if self.kind not in (None, found.kind):
            raise InputError(
                f"--kind {self.kind}: the config {self.config} is of kind {found.kind}; leave out "
                "--kind"
            )
        given = {"steps": self.steps, "batch_size": self.batch_size, "lr": self.lr}
        return config.with_training(found, {k: v for k, v in given.items() if v is not None})

    def lasting(self, wanted: Config, material: Material) -> Config:
        """The config, as many steps long as there are pairs in the epochs."""
        from v2a_foley.mapper import config

        if self.epochs is None:
            return wanted
        steps = material.steps(self.epochs, wanted.training.batch_size)
        return config.with_training(wanted, {"steps": steps})


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pairs are learned from."""

    speech: Annotated[
        float | None,
        typer.Option(
            "--speech", min=0, max=1, metavar="NUMBER", show_default=False,
            rich_help_panel="Pairs",
            help="Leave out pairs with a higher speech score; 0.5 if not given, 1 keeps all.",
        ),
    ] = None  # fmt: skip
    music: Annotated[
        float | None,
        typer.Option(
            "--music", min=0, max=1, metavar="NUMBER", show_default=False, rich_help_panel="Pairs",
            help="The same for music.",
        ),
    ] = None  # fmt: skip

    def limits(self) -> dict[str, float]:
        """What the command line states."""
        given = {"speech": self.speech, "music": self.music}
        return {key: value for key, value in given.items() if value is not None}


def train(
    *,
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", show_default=False, readable=False,
            help="A folder that 'mapper embed' wrote.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, readable=False,
            help="The mapper to write, a .safetensors file; its loss curves come beside it.",
        ),
    ],
    recipe: Recipe,
    choice: Choice,
    seed: Seed = None,
    device: Device = AUTO,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", metavar="NAME", show_default=False,
            help="Of the arithmetic: no (float32), bf16 or fp16; what accelerate is set to if not"
            " given.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Train a mapper on pairs of what is seen and what is heard.

    The same command goes on where an interrupted one was. On several GPUs: accelerate launch (or
    torchrun) -m v2a_foley mapper train ... Prints the name of the mapper.
    """
    if os.environ.get("RANK", "0") != "0":  # the first of several processes speaks for all
        messages = replace(messages, quiet=True)
    wanted = recipe.load()
    from v2a_foley.mapper import training
    from v2a_foley.mapper.batches import Material

    training.check_outputs(output, overwrite)
    with messages.progress() as progress:
        progress.stage("pairs", 0.0)
        material = Material.open(pairs, **choice.limits())
        progress.stage("pairs", 1.0)
        made = training.train(
            material, output, recipe.lasting(wanted, material), seed=seed or 0, device=device,
            precision=precision, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    if made is None:  # not the first of several processes
        return
    messages.say(_summary(made))
    console.out(console.as_json(made) if as_json else console.name(made.path))


def _summary(made: Trained) -> str:
    metrics = ", ".join(f"{k.replace('_', ' ')} {v:.4f}" for k, v in made.metrics.items())
    resumed = f" from step {made.resumed} on" if made.resumed else ""
    return (
        f"{made.kind} mapper of {made.parameters / 1e6:.2f} M parameters, on {made.pairs} pairs, "
        f"{made.steps} steps{resumed} in {made.seconds:.0f} s"
        + (f", best at step {made.best_step}: {metrics}" if metrics else "; nothing was held out")
    )
