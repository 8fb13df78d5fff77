"""``v2a-foley library``: one's own recordings as a source of sound."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2a_foley.cli import console
from v2a_foley.cli.options import AUTO, Device, Json, PackName, announce
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.library.index import Index
    from v2a_foley.library.updating import Report

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME|FOLDER", help="Libraries, by name or folder; all if none."),
]


def add(
    *,
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...", help="Folders of recordings, taken with their subfolders.",
            show_default=False, readable=False,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="TEXT", show_default=False,
            help="What one folder is called in credits; its own name if not given.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", metavar="TEXT", show_default=False,
            help="The licence of all that is added; without it the one in rain.wav.license or in"
            " a file named LICENSE is taken, if there is one.",
        ),
    ] = None,
    pack: PackName = None,
    device: Device = AUTO,
    as_json: Json = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Index folders of recordings, so that scenes can be given their sounds.

    What has not changed since the last time is passed over, what is gone is forgotten. Exit code
    1 if a file cannot be read; the others are taken all the same.
    """
    from v2a_foley.library.adding import add as library_add
    from v2a_foley.models.bundle import Models

    models = Models(pack or AUTO, device)
    announce(models, pack, messages)
    with messages.progress() as progress:
        done = library_add(folders, models=models, name=name, licence=licence, progress=progress)
    _tell(done, as_json, messages)


def refresh(
    *,
    names: Names = None,
    pack: PackName = None,
    device: Device = AUTO,
    as_json: Json = False,
    messages: Messages,
) -> None:
    """Bring libraries up to date with their folders: new, changed and removed files.

    Exit code 1 if a file or a folder cannot be read.
    """
    from v2a_foley.library.adding import refresh as library_refresh
    from v2a_foley.models.bundle import Models

    models = Models(pack or AUTO, device)
    with messages.progress() as progress:
        done = library_refresh(names or (), models=models, progress=progress)
    _tell(done, as_json, messages)


def _tell(done: Report, as_json: bool, messages: Messages) -> None:
    counts = ("added", "changed", "moved", "unchanged", "dropped")
    record: dict[str, Any] = {"libraries": [_folder(each) for each in done.folders]}
    record |= {each: getattr(done, each) for each in counts}
    for kind in ("skipped", "failed"):
        rows = getattr(done, kind)
        record[kind] = [{"file": path, "reason": reason} for path, reason in rows]
    words = ", ".join(f"{record[each]} {each}" for each in counts)
    messages.say(f"{words}, {len(done.skipped)} skipped, {len(done.failed)} failed")
    if as_json:
        console.out(console.as_json(record))
    else:
        for each in done.folders:
            console.out(console.name(each.name))
    for path, reason in done.failed:
        console.error(f"{console.name(path)}: {reason}")
    if done.failed:
        raise typer.Exit(1)


def list_libraries(*, pack: PackName = None, as_json: Json = False, messages: Messages) -> None:
    """List the libraries: their folders, files and licences."""
    found = _libraries(pack)
    if as_json:
        console.out(console.as_json(found))
        return
    if not found:
        messages.say("no sound library yet: add one with 'v2a-foley library add FOLDER'")
        return
    headings = ("NAME", "FILES", "LENGTH", "LICENCES", "FOLDER")
    rows = [
        (
            each["name"],
            str(each["files"]),
            _length(each["seconds"]),
            ", ".join(each["licences"]),
            str(each["folder"]) + ("" if each["there"] else " (not there)"),
        )
        for each in found
    ]
    console.out(console.table(headings, rows))


def _libraries(pack: str | None) -> list[dict[str, Any]]:
    from v2a_foley.library.index import Index, exists
    from v2a_foley.library.space import index_folder
    from v2a_foley.models import packs

    place = index_folder(packs.find(pack or AUTO))
    if not exists(place):
        return []
    with Index(place) as index:
        return [_library(index, each) for each in index.folders()]


def _folder(of: Any) -> dict[str, Any]:
    return {"name": of.name, "folder": of.path}


def _library(index: Index, of: Any) -> dict[str, Any]:
    from v2a_foley.library.searching import NO_LICENCE

    files = index.files(of)
    usable = [each for each in files if not each.note]
    licences = Counter(each.licence or NO_LICENCE for each in usable)
    return _folder(of) | {
        "there": of.path.is_dir(),
        "files": len(usable),
        "seconds": sum(each.seconds for each in usable),
        "licences": dict(licences.most_common()),
        "skipped": [{"file": each.path, "reason": each.note} for each in files if each.note],
    }


def info(
    *,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|FOLDER", help="A library.", show_default=False),
    ],
    pack: PackName = None,
    as_json: Json = False,
) -> None:
    """Show what a library holds."""
    from v2a_foley.library.adding import find
    from v2a_foley.library.index import Index
    from v2a_foley.library.space import index_folder
    from v2a_foley.models import packs

    place = index_folder(packs.find(pack or AUTO))
    with Index(place) as index:
        record = _library(index, find(index, name)) | {
            "index": place,
            "made_with": index.meta["pack"],
        }
    if as_json:
        console.out(console.as_json(record))
        return
    record["there"] = "yes" if record["there"] else "no"
    record["seconds"] = _length(record["seconds"])
    record["licences"] = [f"{name} ({count})" for name, count in record["licences"].items()]
    record["skipped"] = [f"{each['file']}: {each['reason']}" for each in record["skipped"]]
    shown = {key.replace("_", " "): value for key, value in record.items() if value != []}
    shown["length"] = shown.pop("seconds")
    console.out(console.pairs(shown))


def search(
    *,
    text: Annotated[str, typer.Argument(help="What is to be heard, in words.", show_default=False)],
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, metavar="NUMBER", help="How many to list.")
    ] = 10,
    pack: PackName = None,
    device: Device = AUTO,
    as_json: Json = False,
) -> None:
    """List the recordings that sound most like a description, the nearest first.

    Prints their files with the cosine of CLAP between the two.
    """
    from v2a_foley.library import open_library
    from v2a_foley.library.searching import credit
    from v2a_foley.models.bundle import Models

    if not text.strip():
        raise InputError("say what is to be heard: v2a-foley library search 'heavy rain'")
    models = Models(pack or AUTO, device)
    library = open_library(models)
    found = library.search(models.clap.texts([text])[0], count)
    if as_json:
        times = [(each.piece.start, each.piece.end) for each in found]
        rows = [
            credit(each.piece) | {"start": start, "end": end, "cosine": each.cosine}
            for each, (start, end) in zip(found, times, strict=True)
        ]
        console.out(console.as_json(rows))
        return
    table = []
    for each in found:
        piece = each.piece
        row = f"{each.cosine:.3f}", piece.folder.name, f"{piece.start:.1f}", str(piece.path)
        table.append(row)
    console.out(console.table(("COSINE", "LIBRARY", "FROM", "FILE"), table))


def remove(
    *,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME|FOLDER...", help="Libraries.", show_default=False),
    ],
    pack: PackName = None,
    as_json: Json = False,
    messages: Messages,
) -> None:
    """Forget libraries. The recordings themselves are left alone."""
    from v2a_foley.library.adding import remove as library_remove
    from v2a_foley.models import packs

    gone = library_remove(names, packs.find(pack or AUTO))
    messages.say(f"{len(gone)} libraries are forgotten; their recordings are where they were")
    if as_json:
        console.out(console.as_json([_folder(each) for each in gone]))
    else:
        for each in gone:
            console.out(console.name(each.name))


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
