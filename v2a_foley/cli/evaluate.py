"""``v2a-foley evaluate``: how good mappers and sounds are, by the field's measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from v2a_foley.cli import console
from v2a_foley.cli.options import AUTO, Device, Json, Overwrite, PackName, announce
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.evaluate.report import Table

Report = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE.md", show_default=False, readable=False,
        help="Also write a Markdown report, with plots beside it.",
    ),
]  # fmt: skip
Seed = Annotated[
    int, typer.Option("--seed", min=0, metavar="NUMBER", help="Of samples and random subsets.")
]
Generated = Annotated[
    Path,
    typer.Argument(
        metavar="GENERATED", help="A folder of generated sounds, or of videos with sound.",
        show_default=False, readable=False,
    ),
]  # fmt: skip
Captions = Annotated[
    Path | None,
    typer.Option(
        "--captions", metavar="TSV", show_default=False, readable=False,
        help="A table with the columns file and caption.",
    ),
]  # fmt: skip


def mapper(
    *,
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", help="A folder of pairs, from 'mapper embed'.",
            show_default=False, readable=False,
        ),
    ],
    mappers: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="MAPPER", show_default=False, readable=False,
            help="Mapper files; the pack's own, the bridge and a ridge regression come with them.",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="The pairs to judge on.")
    ] = "test",
    pack: PackName = None,
    device: Device = AUTO,
    seed: Seed = 0,
    as_json: Json = False,
    report: Report = None,
    overwrite: Overwrite = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Compare mappers on pairs that they were not trained on."""
    from v2a_foley.evaluate import plots
    from v2a_foley.evaluate import report as reports
    from v2a_foley.evaluate.comparison import compare
    from v2a_foley.models.bundle import Models

    if report:
        reports.check_report(report, reports.MAPPER_PLOTS, overwrite=overwrite)
    models = Models(pack or AUTO, device)
    announce(models, pack, messages)
    with messages.progress() as progress:
        found = compare(
            pairs, mappers or [], models=models, split=split, seed=seed, progress=progress
        )
    _tell(found.notes, messages)
    _print(reports.record(found), [reports.mapper_table(found)], as_json)
    if report:
        figures = {"gap": plots.gap(found), "recall": plots.recall_curve(found)}
        text = reports.mapper_report(found, report)
        reports.write(report, text, figures, overwrite=overwrite)


def sounds(
    *,
    generated: Generated,
    reference: Annotated[
        Path | None,
        typer.Argument(
            metavar="REFERENCE", show_default=False, readable=False,
            help="A folder of real sounds; those of the same name are compared one by one.",
        ),
    ] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(
            "--conditions", metavar="FILE", show_default=False, readable=False,
            help="CLAP embeddings the sounds were made from: .safetensors by their names, or .npy "
            "in their order.",
        ),
    ] = None,
    captions: Captions = None,
    pack: PackName = None,
    device: Device = AUTO,
    seed: Seed = 0,
    as_json: Json = False,
    report: Report = None,
    overwrite: Overwrite = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Judge a folder of generated sounds, against real ones if there are some.

    Exit code 1 if a file could not be read.
    """
    from v2a_foley.evaluate import plots
    from v2a_foley.evaluate import report as reports
    from v2a_foley.evaluate.sounds import judge
    from v2a_foley.models.bundle import Models

    if report:
        reports.check_report(report, reports.SOUND_PLOTS, overwrite=overwrite)
    models = Models(pack or AUTO, device)
    announce(models, pack, messages)
    with messages.progress() as progress:
        found = judge(
            generated, reference, models=models, conditions=conditions, captions=captions,
            seed=seed, progress=progress,
        )  # fmt: skip
    _tell(found.notes, messages)
    tables = [reports.folder_table(found)]
    if found.against:
        tables.append(reports.against_table(found.against))
    _print(reports.record(found), tables, as_json)
    if report:
        figures = {"sounds": plots.folders(found.heard, found.seed)}
        text = reports.sounds_report(found, report)
        reports.write(report, text, figures, overwrite=overwrite)
    _fail_for(found.unreadable)


def export(
    *,
    generated: Generated,
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCE", help="A folder of real sounds of the same names.",
            show_default=False, readable=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", show_default=False, readable=False,
            help="The new folder to write.",
        ),
    ],
    videos: Annotated[
        Path | None,
        typer.Option(
            "--videos", metavar="DIR", show_default=False, readable=False,
            help="The videos, as MP4 under the same names: for IB-score and DeSync.",
        ),
    ] = None,
    captions: Captions = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="NUMBER", help="Length that all sounds are brought to."),
    ] = 8.0,
    as_json: Json = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Write sounds as av-benchmark reads them, for FD_PaSST, FD_PANNs, FD_VGG, KL, IS and DeSync.

    Prints the script to run there. Exit code 1 if a file could not be read.
    """
    from v2a_foley.evaluate import avbenchmark

    if not (math.isfinite(seconds) and 0.5 <= seconds <= 600):
        raise InputError(f"--seconds must be from 0.5 to 600, not {seconds:g}")
    with messages.progress() as progress:
        made = avbenchmark.export(
            generated, reference, output, videos=videos, captions=captions, seconds=seconds,
            progress=progress,
        )  # fmt: skip
    _tell(made.notes, messages)
    if made.padded:
        messages.say(f"{made.padded} sounds are shorter than {seconds:g} s: silence was added")
    if as_json:
        console.out(console.as_json(made))
    else:
        console.out(console.name(made.folder / avbenchmark.SCRIPT))
    _fail_for(made.unreadable)


def _print(record: object, tables: Sequence[Table], as_json: bool) -> None:
    if as_json:
        console.out(console.as_json(record))
    else:
        console.out("\n\n".join(console.table(*table) for table in tables))


def _tell(notes: Sequence[str], messages: Messages) -> None:
    for note in notes:
        messages.say(f"note: {note}")


def _fail_for(unreadable: Sequence[str]) -> None:
    for line in unreadable:
        console.error(f"skipped: {line}")
    if unreadable:
        raise typer.Exit(1)
