"""The command line's commands, put together."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from v2a_foley.cli import (
    batch,
    console,
    cue,
    doctor,
    embedding,
    evaluate,
    ledger,
    library,
    models,
    presets,
    review,
    run,
    scenes,
    stages,
    training,
)
from v2a_foley.cli.command import INTERRUPTED, register

app = typer.Typer(
    name="v2a-foley",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_batch = typer.Typer(
    cls=batch.Batch, no_args_is_help=True, help="Many videos: INPUTS... -o DIR (see 'run --help')."
)
_cue = typer.Typer(no_args_is_help=True, help="Change a cue sheet, scene by scene.")
_evaluate = typer.Typer(no_args_is_help=True, help="How good mappers and sounds are.")
_library = typer.Typer(no_args_is_help=True, help="One's own recordings as a source of sound.")
_mapper = typer.Typer(no_args_is_help=True, help="A mapper of one's own.")
_models = typer.Typer(no_args_is_help=True, help="The model packs on this machine.")
_presets = typer.Typer(no_args_is_help=True, help="Named settings for sound of one kind.")


def _version(asked: bool) -> None:
    if asked:
        console.out(f"v2a-foley {doctor.version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Put sound on video: foley that follows the picture, scene by scene."""


register(app, run.run, "run")
app.add_typer(_batch, name="batch")
register(_batch, batch.run, "run")
register(_batch, ledger.status, "status")
register(_batch, ledger.failed, "failed")
register(_batch, ledger.report, "report")
register(app, stages.spot, "spot")
register(app, stages.render, "render")
register(app, stages.deliver, "deliver")
register(app, scenes.scenes, "scenes")
register(app, review.review, "review")
app.add_typer(_cue, name="cue")
register(_cue, cue.show, "show")
register(_cue, cue.set_values, "set")
register(_cue, cue.unset, "unset")
register(_cue, cue.split, "split")
register(_cue, cue.merge, "merge")
register(_cue, cue.move, "move")
register(_cue, cue.mute, "mute")
register(_cue, cue.unmute, "unmute")
register(_cue, cue.solo, "solo")
register(_cue, cue.unsolo, "unsolo")
register(_cue, cue.pick, "pick")
register(_cue, cue.reroll, "reroll")
register(_cue, cue.relink, "relink")
app.add_typer(_library, name="library")
register(_library, library.add, "add")
register(_library, library.refresh, "refresh")
register(_library, library.list_libraries, "list")
register(_library, library.info, "info")
register(_library, library.search, "search")
register(_library, library.remove, "remove")
app.add_typer(_mapper, name="mapper")
register(_mapper, embedding.embed, "embed")
register(_mapper, training.train, "train")
app.add_typer(_models, name="models")
register(_models, models.list_packs, "list")
register(_models, models.info, "info")
register(_models, models.check, "check")
register(_models, models.pull, "pull")
register(_models, models.convert, "convert")
app.add_typer(_presets, name="presets")
register(_presets, presets.list_presets, "list")
register(_presets, presets.show, "show")
register(_presets, presets.new, "new")
register(_presets, presets.check, "check")
app.add_typer(_evaluate, name="evaluate")
register(_evaluate, evaluate.mapper, "mapper")
register(_evaluate, evaluate.sounds, "sounds")
register(_evaluate, evaluate.export, "export")
register(app, doctor.doctor, "doctor")


def main() -> None:
    """Run the command line and exit."""
    # Read when torch loads its threads: waiting by spinning slows a busy machine twentyfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode
    try:
        app(prog_name="v2a-foley")
    except KeyboardInterrupt:  # before a command began
        os._exit(INTERRUPTED)
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        # At its regular end Python kills itself with SIGINT where Ctrl-C fell into text that
        # exec() ran, as imports of dataclasses do, even if it was caught.
        os._exit(INTERRUPTED)
