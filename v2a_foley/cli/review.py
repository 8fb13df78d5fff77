"""``v2a-foley review``: a cue sheet to look at, to listen to and to change in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from v2a_foley.cli import console
from v2a_foley.cli.options import ModelChoice, Overwrite, Sheet, announce
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError


def review(
    *,
    sheet: Sheet,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, readable=False,
            help="The page to write; clip.cues.toml gets clip.review.html if not given.",
        ),
    ] = None,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Write no file; open the page on this machine only, with controls that change"
            " the cue sheet and render it. Ends with Ctrl-C.",
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=65535, metavar="NUMBER", show_default=False,
            help="Port of --serve; any free one if not given.",
        ),
    ] = 0,
    choice: ModelChoice,
    overwrite: Overwrite = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Write a page that shows every scene of a cue sheet and plays its candidates and the mix.

    The page is one file that works offline. Prints its name, or the address with --serve.
    """
    if serve:
        if output is not None:
            raise InputError("--output and --serve: choose one; a page that is served is no file")
        _serve(sheet, port, choice, messages)
        return
    from v2a_foley.review.page import default_page, write

    target = output or default_page(sheet)
    with messages.progress() as progress:
        made = write(sheet, target, overwrite=overwrite, progress=progress)
    size = target.stat().st_size / 1e6
    messages.say(f"{len(made.scenes)} scenes, {size:.1f} MB")
    console.out(console.name(target))


def _serve(sheet: Path, port: int, choice: ModelChoice, messages: Messages) -> None:
    from v2a_foley import cuesheet
    from v2a_foley.review.server import Server
    from v2a_foley.review.session import Session

    loaded = cuesheet.load(sheet)
    models = choice.find(loaded.pack)
    announce(models, choice.pack or loaded.pack, messages)
    with messages.progress() as progress:
        session = Session(sheet, models, progress)
        session.page()
    with Server(session, port) as server:
        console.out(server.address)
        messages.say("open this address in a browser on this machine; Ctrl-C ends")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            messages.say("ended")
