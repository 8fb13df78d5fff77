"""``v2a-foley presets``: named settings for sound of one kind."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from v2a_foley import presets
from v2a_foley.cli import console
from v2a_foley.cli.options import Json
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError, PresetError
from v2a_foley.tomltext import toml_value


def list_presets(*, as_json: Json = False) -> None:
    """List all presets, your own before those that ship."""
    found = presets.available()
    if as_json:
        console.out(console.as_json(found))
    else:
        rows = [(each.name, each.source, each.description) for each in found]
        console.out(console.table(("NAME", "SOURCE", "DESCRIPTION"), rows))


def show(
    *,
    name: Annotated[str, typer.Argument(help="A preset, or a *.toml file.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show every value of a preset; * marks those that it states itself."""
    preset = presets.find(name)
    if as_json:
        console.out(console.as_json(preset))
        return
    lines = {"name": preset.name, "description": preset.description, "file": str(preset.path)}
    console.out(console.pairs(lines) + "\n")
    rows = [_row(preset, each) for each in presets.PARAMETERS]
    console.out(console.table(("", "KEY", "VALUE", "WHAT IT IS"), rows))


def _row(preset: presets.Preset, parameter: presets.Parameter) -> tuple[str, str, str, str]:
    section, key = parameter.section, parameter.key
    value: Any = getattr(getattr(preset, section), key)
    stated = key in preset.stated.get(section, {})
    if section == "match":
        stated = value != parameter.default
    return "*" if stated else "", f"{section}.{key}", toml_value(value), parameter.help


def new(
    *,
    name: Annotated[str, typer.Argument(help="The new preset's name.", show_default=False)],
    base: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="BASE", show_default=False,
            help="The preset to start from; default if not given.",
        ),
    ] = None,
    scene: Annotated[
        str | None,
        typer.Option(
            "--from-scene", metavar="SHEET:SCENE", show_default=False,
            help="Save how a scene of a cue sheet is tuned: clip.cues.toml:003.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Write a new preset into your presets folder, to be edited. Prints the file's name."""
    if scene is None:
        start = presets.find(base or presets.DEFAULT)
    elif base is None:
        start = _tuned(scene)
    else:
        raise InputError("--from and --from-scene exclude each other: give one of them")
    console.out(console.name(presets.create(name, start)))


def _tuned(scene: str) -> presets.Preset:
    """The settings of a scene that is named as on the command line."""
    from v2a_foley import cuesheet

    path, colon, scene_id = scene.rpartition(":")
    if not colon or not scene_id:
        raise InputError(f"--from-scene {scene}: must be SHEET:SCENE, as in clip.cues.toml:003")
    sheet = cuesheet.load(path)
    return cuesheet.tuned(sheet, cuesheet.scene_of(sheet, scene_id))


def check(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME|FILE", help="Presets; all if none is named."),
    ] = None,
    messages: Messages,
) -> None:
    """Check presets against the schema.

    Exit code 1 if one is not valid.
    """
    failed = 0
    chosen = names or presets.names()
    for name in chosen:
        try:
            presets.find(name)
        except PresetError as problem:
            failed += 1
            console.error(str(problem))
        else:
            messages.detail(f"{name}: valid")
    messages.say(f"{len(chosen) - failed} of {len(chosen)} presets are valid")
    if failed:
        raise typer.Exit(1)
