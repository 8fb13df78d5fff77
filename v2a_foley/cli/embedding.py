"""``v2a-foley mapper embed``: pairs of what is seen and what is heard, to train a mapper on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2a_foley.cli import console
from v2a_foley.cli.options import Device, Json, PackName, announce
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models
    from v2a_foley.pairs.filling import Embedded
    from v2a_foley.pairs.splits import Shares
    from v2a_foley.progress import Progress

BANK = "bank"


@dataclass(frozen=True, slots=True)
class FromMedia:
    """How videos, or pictures with sounds, become pairs."""

    media: Annotated[
        Path | None,
        typer.Option(
            "--media", metavar="DIR", show_default=False, readable=False,
            rich_help_panel="From media",
            help="What a table's paths are relative to; the table's own folder if not given.",
        ),
    ] = None  # fmt: skip
    fps: Annotated[
        float | None,
        typer.Option(
            "--fps", metavar="NUMBER", show_default=False, rich_help_panel="From media",
            help="Frames a second that CLIP sees; 2 if not given.",
        ),
    ] = None  # fmt: skip
    window: Annotated[
        float | None,
        typer.Option(
            "--window", metavar="SECONDS", show_default=False, rich_help_panel="From media",
            help="Length of sound that makes a pair; the pack's window if not given.",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True)
class FromText:
    """How phrases become pairs."""

    table: Annotated[
        str | None,
        typer.Option(
            "--from-text", metavar="TSV|bank", show_default=False, rich_help_panel="From text",
            help="Instead of media: a table with the columns visual and sound (and label, split,"
            " group), or bank, the phrases that ship.",
        ),
    ] = None  # fmt: skip
    noise: Annotated[
        float | None,
        typer.Option(
            "--noise", metavar="NUMBER", show_default=False, rich_help_panel="From text",
            help="Standard deviation, in each dimension, of noise on what is seen; if not given,"
            " how far CLIP puts two texts about one thing apart.",
        ),
    ] = None  # fmt: skip
    copies: Annotated[
        int | None,
        typer.Option(
            "--copies", metavar="NUMBER", show_default=False, rich_help_panel="From text",
            help="Pairs a phrase, each with other noise; 8 if not given.",
        ),
    ] = None  # fmt: skip
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, metavar="NUMBER", show_default=False, rich_help_panel="From text",
            help="Another seed gives other noise; 0 if not given.",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """What is held out, where no split is stated."""

    valid: Annotated[
        float, typer.Option("--valid", metavar="SHARE", help="Held out to stop training by.")
    ] = 0.05
    test: Annotated[
        float, typer.Option("--test", metavar="SHARE", help="Held out to judge mappers on.")
    ] = 0.05

    def shares(self) -> Shares:
        """As the library takes it, checked."""
        from v2a_foley.pairs.splits import Shares

        return Shares(self.valid, self.test)


def embed(
    *,
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE", show_default=False, readable=False,
            help="A folder of videos, or a CSV or TSV file: columns video, or image and sound;"
            " start, end, caption, label, split, group. VGGSound's CSV too.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", show_default=False, readable=False,
            help="The folder of pairs; one that was begun is gone on with.",
        ),
    ],
    from_media: FromMedia,
    from_text: FromText,
    held: Held,
    pack: PackName = None,
    device: Device = "auto",
    as_json: Json = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Embed what is seen and what is heard, to train and judge mappers on.

    Goes on where an interrupted run ended. What cannot be read is left out and listed in
    failed.jsonl. Prints the name of the folder.
    """
    _check(source, from_media, from_text)
    shares = held.shares()
    from v2a_foley.models.bundle import Models

    models = Models(pack or "auto", device)
    announce(models, pack, messages)
    with messages.progress() as progress:
        if source is not None:
            made = _media(source, output, models, from_media, shares, progress)
        else:
            made = _text(output, models, from_text, shares, progress)
    record = _record(made)
    messages.say(_summary(record))
    console.out(console.as_json(record) if as_json else console.name(made.folder))
    if made.failed:
        from v2a_foley.pairs.filling import FAILED

        listed = console.name(made.folder / FAILED)
        console.error(f"{len(made.failed)} sources were left out: see {listed}")
        raise typer.Exit(1)


def _check(source: Path | None, media: FromMedia, text: FromText) -> None:
    if (source is None) == (text.table is None):
        raise InputError("name what to embed: a folder or a table, or --from-text, and not both")
    if source is None:
        others = {"--media": media.media, "--fps": media.fps, "--window": media.window}
    else:
        others = {"--noise": text.noise, "--copies": text.copies, "--seed": text.seed}
    for flag in _stated(others):
        kind = "phrases" if source is None else "media"
        raise InputError(f"{flag} means nothing for {kind}; leave it out")


def _media(
    source: Path,
    output: Path,
    models: Models,
    given: FromMedia,
    shares: Shares,
    progress: Progress,
) -> Embedded:
    from v2a_foley.pairs.embedding import EmbedSettings
    from v2a_foley.pairs.embedding import embed as library

    stated = _stated({"fps": given.fps, "window": given.window})
    settings = EmbedSettings(shares=shares, **stated)
    return library(
        source, output, models=models, media=given.media, settings=settings, progress=progress
    )


def _text(
    output: Path, models: Models, given: FromText, shares: Shares, progress: Progress
) -> Embedded:
    from v2a_foley.pairs import texts

    stated = _stated({"noise": given.noise, "copies": given.copies, "seed": given.seed})
    settings = texts.TextSettings(shares=shares, **stated)
    phrases = texts.load_phrases(None if given.table == BANK else Path(str(given.table)))
    return texts.embed_phrases(phrases, output, models=models, settings=settings, progress=progress)


def _stated(options: dict[str, Any]) -> dict[str, Any]:
    """What the command line states; the library has the defaults."""
    return {key: value for key, value in options.items() if value is not None}


def _record(made: Embedded) -> dict[str, Any]:
    from v2a_foley.pairs.dataset import MUSIC_LIMIT, SPEECH_LIMIT, SPLITS

    records = made.records
    return {
        "folder": made.folder,
        "pairs": len(records),
        "added": made.added,
        "duplicates": made.duplicates,
        "splits": {split: sum(each.split == split for each in records) for split in SPLITS},
        "silent": sum(each.silent for each in records),
        "speech": sum(each.speech > SPEECH_LIMIT for each in records),
        "music": sum(each.music > MUSIC_LIMIT for each in records),
        "failed": made.failed,
    }


def _summary(record: dict[str, Any]) -> str:
    splits = ", ".join(f"{count} {split}" for split, count in record["splits"].items())
    return (
        f"{record['pairs']} pairs ({splits}), {record['added']} of them new; "
        f"{record['silent']} silent, {record['speech']} with speech, {record['music']} with music; "
        f"{record['duplicates']} duplicates and {len(record['failed'])} sources left out"
    )
