"""``v2a-foley scenes``: the scenes of a video or a cue sheet."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from v2a_foley.cli import console, records
from v2a_foley.cli.options import CutList, Json, ModelChoice, Spotting, announce
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError

TIMES = ("id", "start", "end", "length")


def scenes(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO|SHEET",
            help="A video, or a cue sheet (*.toml).",
            show_default=False,
            readable=False,
        ),
    ],
    choice: ModelChoice,
    spotting: Spotting,
    cuts: CutList = None,
    no_tags: Annotated[
        bool, typer.Option("--no-tags", help="Only the times; needs no model.")
    ] = False,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    messages: Messages,
) -> None:
    """List scenes with their times, what they seem to show and the preset that suits each."""
    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other: give one of them")
    if source.suffix == ".toml":
        found = _of_sheet(source)
    elif no_tags:
        found = _of_picture(source, spotting, cuts, messages)
    else:
        found = _of_video(source, choice, spotting, cuts, messages)
    if no_tags:
        found = [{key: each[key] for key in TIMES} for each in found]
    if as_json:
        console.out(console.as_json(found))
    else:
        console.out(console.safe(_csv(found)) if as_csv else records.scene_table(found))


def _of_sheet(path: Path) -> list[dict[str, Any]]:
    from v2a_foley import cuesheet

    return [records.scene(each) for each in cuesheet.load(path).scenes]


def _of_picture(
    video: Path, spotting: Spotting, cuts: Path | None, messages: Messages
) -> list[dict[str, Any]]:
    from v2a_foley.media.probe import probe
    from v2a_foley.spotting import detect

    how = spotting.settings(cuts, probe(video))
    with messages.progress() as progress:
        times = detect(video, how, progress)
    return [
        {"id": f"{number:03d}", "start": start, "end": end, "length": round(end - start, 6)}
        for number, (start, end) in enumerate(times, 1)
    ]


def _of_video(
    video: Path, choice: ModelChoice, spotting: Spotting, cuts: Path | None, messages: Messages
) -> list[dict[str, Any]]:
    from v2a_foley.media.probe import probe
    from v2a_foley.spotting import spot

    how = spotting.settings(cuts, probe(video))
    models = choice.find()
    announce(models, choice.pack, messages)
    with tempfile.TemporaryDirectory() as folder, messages.progress() as progress:
        sheet = spot(
            video, Path(folder) / "scenes.cues.toml", models=models, settings=how, progress=progress
        )
    return [records.scene(each) for each in sheet.scenes]


def _csv(found: Sequence[dict[str, Any]]) -> str:
    keys = [key for key in (*TIMES, "preset", "seed", "tags") if not found or key in found[0]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(keys)
    for each in found:
        writer.writerow([records.tags(each[k]) if k == "tags" else each[k] for k in keys])
    return text.getvalue().rstrip("\n")
