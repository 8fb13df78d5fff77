"""``v2a-foley models``: the model packs on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2a_foley.cli import console, records
from v2a_foley.cli.options import Json
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import ModelError

if TYPE_CHECKING:
    from v2a_foley.models.packs import Pack

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A pack's name, a folder that holds one, or auto."),
]


def list_packs(*, as_json: Json = False) -> None:
    """List the model packs on this machine; * marks the one that auto takes."""
    found = known_packs()
    if as_json:
        console.out(console.as_json(found))
        return
    headings = ("", "NAME", "VERSION", "COMMERCIAL USE", "DESCRIPTION")
    console.out(console.table(headings, [_row(each) for each in found]))


def known_packs() -> list[dict[str, Any]]:
    """A record of each pack on this machine; a ``problem`` stands for what cannot be read."""
    from v2a_foley.models import packs

    found: list[dict[str, Any]] = []
    available = packs.available()
    usual = "foundation" if "foundation" in available else "starter"
    for name, folder in available.items():
        record = {"name": name, "folder": folder, "auto": name == usual}
        try:
            pack = packs.load(folder)
        except ModelError as problem:
            found.append(record | {"problem": str(problem)})
        else:
            more = {"description": pack.description, "licences": dict(pack.licences)}
            found.append(record | records.pack(pack) | {"name": name} | more)
    return found


def _row(of: dict[str, Any]) -> list[str]:
    mark = "*" if of["auto"] else ""
    if "problem" in of:
        return [mark, of["name"], "-", "-", of["problem"]]
    return [mark, of["name"], of["version"], "yes" if of["commercial"] else "no", of["description"]]


def info(*, name: Name = "auto", as_json: Json = False) -> None:
    """Show what a model pack holds and under which licences."""
    from v2a_foley.models import packs

    pack = packs.find(name)
    size = sum((pack.folder / file).stat().st_size for file in pack.files)
    values = records.pack(pack) | {
        "description": pack.description,
        "folder": pack.folder,
        "licences": dict(pack.licences),
        "clip": pack.clip_id,
        "mapper": pack.mapper,
        "mappers": list(pack.mapper_names),
        "window": pack.window,
        "revisions": pack.revisions,
        "files": len(pack.files),
        "bytes": size,
    }
    if as_json:
        console.out(console.as_json(values))
        return
    values["commercial"] = "yes" if pack.commercial else "no"
    values["window"] = f"{pack.window:g} s"
    values["bytes"] = in_bytes(size)
    for key in ("licences", "revisions"):
        values[key] = [f"{what}: {which}" for what, which in values[key].items()] or "none stated"
    console.out(console.pairs(values))


def check(
    *,
    name: Name = "auto",
    load: Annotated[bool, typer.Option("--load", help="Also load each model, on the CPU.")] = False,
    messages: Messages,
) -> None:
    """Compare the files of a model pack with its checksums.

    Exit code 1 if one is damaged.
    """
    from v2a_foley.models import packs

    pack = packs.find(name)
    bad = [file for file, intact in packs.verify(pack) if not intact]
    for file in bad:
        console.error(f"{pack.folder / file}: is damaged or was changed")
    messages.say(f"{pack.name}: {len(pack.files) - len(bad)} of {len(pack.files)} files are intact")
    loads = _loads(pack, messages) if load else True
    if bad:
        console.error(f"model pack {pack.name}: install it again")
    if bad or not loads:
        raise typer.Exit(1)


def _loads(pack: Pack, messages: Messages) -> bool:
    """Load every part of a pack and say of each whether it loads."""
    from v2a_foley.models.bundle import Models

    failed = False
    models = Models(str(pack.folder), "cpu")
    for part in ("clip", "clap", "generator", "mapper_file"):
        try:
            loaded = getattr(models, part)
            if part == "clap" and loaded.has_audio:
                loaded.audio  # noqa: B018 - loads it
        except ModelError as problem:
            console.error(str(problem))
            failed = True
        else:
            messages.say(f"{part.removesuffix('_file')}: loads")
    return not failed


def pull(
    *,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The pack to fetch.", show_default=False)
    ],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Accept the licences without being asked.")
    ] = False,
    messages: Messages,
) -> None:
    """Fetch a model pack, after showing the licences of what it holds.

    Prints the folder it was put into.
    """
    from v2a_foley.models import pull as library

    console.say(f"{name} holds:")
    for what, licence, url in library.licences(name):
        console.say(f"  {what}: {licence} ({url})")
    if not yes and not _consent():
        console.error("nothing was fetched: the licences were not accepted (--yes accepts them)")
        raise typer.Exit(1)
    with messages.progress() as progress:
        folder = library.pull(name, progress=progress)
    console.out(console.name(folder))


def convert(
    *,
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", show_default=False, readable=False,
            help="A LAION CLAP (.pt), or an original AudioLDM checkpoint (.ckpt).",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", show_default=False, readable=False,
            help="The new folder to write.",
        ),
    ],
    pack: Annotated[
        str | None,
        typer.Option(
            "--pack", metavar="NAME", show_default=False,
            help="Write a copy of this pack that has the CLAP, not the CLAP alone.",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            "--tokenizer", metavar="DIR", show_default=False, readable=False,
            help="Folder with RoBERTa's vocab.json and merges.txt; else the pack's.",
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            "--backend", metavar="transformers|laion_clap",
            help="What runs the CLAP; laion_clap needs the extra 'laion'.",
        ),
    ] = "transformers",
    messages: Messages,
) -> None:  # fmt: skip
    """Convert a CLAP checkpoint to safetensors that a model pack can use.

    A pack that has the CLAP of its generator ranks several takes of a scene. Prints the folder.
    """
    from v2a_foley.models.laion import convert as library

    with messages.progress() as progress:
        folder = library.convert(
            checkpoint, output, tokenizer=tokenizer, pack=pack, backend=backend, progress=progress
        )
    console.out(console.name(folder))


def _consent() -> bool:
    console.say("Fetch it under these licences? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def in_bytes(count: int) -> str:
    """A number of bytes in words."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
