"""``v2a-foley batch status``, ``failed`` and ``report``: what became of a batch's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from v2a_foley.cli import console
from v2a_foley.cli.options import Json, Overwrite
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.batch.ledger import Record

Output = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", show_default=False, readable=False, help="The output folder of a batch."
    ),
]


def status(*, folder: Output, as_json: Json = False, messages: Messages) -> None:
    """How many files of a batch are done and have failed."""
    from v2a_foley.batch.report import totals

    known = totals(_records(folder))
    console.out(console.as_json(known) if as_json else console.pairs(known))


def failed(*, folder: Output, as_json: Json = False, messages: Messages) -> None:
    """The files of a batch that have failed, and why."""
    records = [record for record in _records(folder) if record.status == "failed"]
    if as_json:
        console.out(console.as_json(records))
    else:
        rows = [[record.input, record.error] for record in records]
        console.out(console.table(["INPUT", "WHY"], rows))
    messages.detail(f"{len(records)} files")


def report(
    *,
    folder: Output,
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="csv|json|html", help="What is written.")
    ] = "csv",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, readable=False,
            help="The file to write; stdout if not given.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    messages: Messages,
) -> None:  # fmt: skip
    """All that is known of the files of a batch, as a table, for machines or as a page."""
    from v2a_foley.batch.report import FORMATS
    from v2a_foley.media.files import atomic

    if form not in FORMATS:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, not {form!r}")
    text = FORMATS[form](_records(folder))
    if output is None:
        console.out(text.removesuffix("\n"))
        return
    with atomic(output, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8", newline="")
    messages.say(f"{console.name(output)}: written")


def _records(folder: Path) -> list[Record]:
    from v2a_foley.batch.ledger import FOLDER, read_all

    if not (folder / FOLDER).is_dir():
        raise InputError(f"{console.name(folder)}: holds no batch; name the -o of one")
    return [record for _, record in sorted(read_all(folder).items())]
