"""``v2a-foley cue``: change a cue sheet from the shell. Comments and order in its file survive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from v2a_foley.cli import console, cueshow
from v2a_foley.cli.options import Json, Seed, Sheet
from v2a_foley.errors import InputError

if TYPE_CHECKING:
    from v2a_foley.cuesheet import CueSheet

Scenes = Annotated[
    str,
    typer.Argument(
        metavar="SCENES", show_default=False,
        help="Their ids: 003, 001,004, 002-005 or all.",
    ),
]  # fmt: skip
OneScene = Annotated[str, typer.Argument(metavar="SCENE", help="Its id.", show_default=False)]
Defaults = Annotated[
    bool,
    typer.Option(
        "--defaults",
        help="For all scenes and the whole track: the sheet's [defaults]. Leave out SCENES.",
    ),
]


def show(
    *,
    sheet: Sheet,
    scenes: Annotated[
        str | None,
        typer.Argument(
            metavar="[SCENES]", show_default=False,
            help="Their ids, for all that is known of them: 003, 001,004, 002-005 or all.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show the scenes of a cue sheet with what differs from the defaults."""
    from v2a_foley import cuesheet

    loaded = cuesheet.load(sheet)
    ids = [scene.id for scene in loaded.scenes]
    if scenes is not None:
        ids = list(cuesheet.select(loaded, scenes))
    if as_json:
        console.out(console.as_json(cueshow.record(loaded, ids)))
    else:
        parts = [cueshow.head(loaded), cueshow.table(loaded, ids)]
        if scenes is not None:
            parts = [cueshow.details(loaded, each) for each in ids]
        console.out("\n\n".join(parts))


def set_values(
    *,
    sheet: Sheet,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENES KEY=VALUE...", show_default=False,
            help="Ids of scenes (003, 001,004, 002-005, all), and any setting of a preset, preset,"
            " seed, start or end.",
        ),
    ],
    defaults: Defaults = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Set values of scenes, as in: cue set clip.cues.toml 003 gain_db=-3 prompt="heavy door"."""
    from v2a_foley.cuesheet import editing

    ids, pairs = _divided(words, defaults)
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"{pair!r}: must be KEY=VALUE, as in steps=30")
        values[key.strip()] = value.strip()
    _edit(sheet, lambda it: editing.set_values(it, _chosen(it, ids), values), as_json)


def unset(
    *,
    sheet: Sheet,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENES KEY...", show_default=False,
            help="Ids of scenes, and settings, whole sections (generation, timing, mix), preset or"
            " seed.",
        ),
    ],
    defaults: Defaults = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take back what scenes state, so that their preset holds again."""
    from v2a_foley.cuesheet import editing

    ids, keys = _divided(words, defaults)
    _edit(sheet, lambda it: editing.unset(it, _chosen(it, ids), keys), as_json)


def split(
    *,
    sheet: Sheet,
    scene: OneScene,
    at: Annotated[
        str,
        typer.Argument(
            metavar="TIME", help="Seconds of the video: 62.5 or 1:02.5.", show_default=False
        ),
    ],
    as_json: Json = False,
) -> None:
    """Cut a scene in two; the first half keeps its id, seed and settings."""
    from v2a_foley.cuesheet import editing
    from v2a_foley.cuesheet.values import time_of

    _edit(sheet, lambda it: editing.split(it, scene, time_of(it, "the cut", at)), as_json)


def merge(*, sheet: Sheet, scenes: Scenes, as_json: Json = False) -> None:
    """Make neighbouring scenes one, with the first one's id, seed and settings."""
    from v2a_foley.cuesheet import editing, select

    _edit(sheet, lambda it: editing.merge(it, select(it, scenes)), as_json)


def move(
    *,
    sheet: Sheet,
    scene: OneScene,
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="New start.", show_default=False)
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", metavar="TIME", help="New end.", show_default=False)
    ] = None,
    roll: Annotated[
        bool, typer.Option("--roll", help="Move the neighbour's bound along where they touch.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Move a scene's bounds; times are seconds of the video, 62.5 or 1:02.5."""
    from v2a_foley.cuesheet import editing
    from v2a_foley.cuesheet.values import time_of

    if start is None and end is None:
        raise InputError("give --start, --end or both")

    def change(it: CueSheet) -> CueSheet:
        first, last = (at if at is None else time_of(it, "the time", at) for at in (start, end))
        return editing.move(it, scene, first, last, roll=roll)

    _edit(sheet, change, as_json)


def mute(*, sheet: Sheet, scenes: Scenes, as_json: Json = False) -> None:
    """Silence scenes."""
    _switch(sheet, "mute", scenes, True, as_json)


def unmute(*, sheet: Sheet, scenes: Scenes, as_json: Json = False) -> None:
    """Let muted scenes sound again."""
    _switch(sheet, "mute", scenes, False, as_json)


def solo(*, sheet: Sheet, scenes: Scenes, as_json: Json = False) -> None:
    """Let only these scenes sound, with others that are solo."""
    _switch(sheet, "solo", scenes, True, as_json)


def unsolo(*, sheet: Sheet, scenes: Scenes, as_json: Json = False) -> None:
    """Let the other scenes sound again."""
    _switch(sheet, "solo", scenes, False, as_json)


def pick(
    *,
    sheet: Sheet,
    scene: OneScene,
    number: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER|auto", show_default=False,
            help="The candidate's number, as 'cue show' lists them; auto takes the best one.",
        ),
    ],
    as_json: Json = False,
) -> None:  # fmt: skip
    """Choose the candidate that is heard in a scene."""
    from v2a_foley.cuesheet import editing

    if number != "auto" and not (number.isdecimal() and number.isascii()):
        raise InputError(f"{number!r}: must be a candidate's number, or auto")
    wanted = None if number == "auto" else int(number)
    _edit(sheet, lambda it: editing.pick(it, scene, wanted), as_json)


def reroll(*, sheet: Sheet, scenes: Scenes, seed: Seed = None, as_json: Json = False) -> None:
    """Give scenes another seed, so that the next render makes other sounds."""
    from v2a_foley.cuesheet import editing, select

    _edit(sheet, lambda it: editing.reroll(it, select(it, scenes), seed), as_json)


def relink(
    *,
    sheet: Sheet,
    video: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO", help="Where it is.", show_default=False, readable=False
        ),
    ],
    changed: Annotated[
        bool,
        typer.Option(
            "--changed", help="Take a video with other content, as of a new grade with same cuts."
        ),
    ] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say where a cue sheet's video is now; it must be the one that was spotted."""
    from v2a_foley.cuesheet.video import relink

    _edit(sheet, lambda it: relink(it, video, changed), as_json)


def _divided(words: list[str], defaults: bool) -> tuple[str | None, list[str]]:
    """Scenes, or None for the defaults, and what is to be done with them."""
    scenes, rest = (None, words) if defaults else (words[0], words[1:])
    if not rest or (scenes and "=" in scenes):
        raise InputError(f"{' '.join(words)}: name the scenes first, or --defaults, then the keys")
    return scenes, rest


def _chosen(sheet: CueSheet, ids: str | None) -> tuple[str, ...] | None:
    from v2a_foley.cuesheet import select

    return None if ids is None else select(sheet, ids)


def _switch(path: Path, which: str, scenes: str, on: bool, as_json: bool) -> None:
    from v2a_foley.cuesheet import editing, select

    change = editing.mute if which == "mute" else editing.solo
    _edit(path, lambda it: change(it, select(it, scenes), on), as_json)


def _edit(path: Path, change: Callable[[CueSheet], CueSheet], as_json: bool) -> None:
    """Make a change and print the scenes that are not as before, or the sheet where it is."""
    from v2a_foley.cuesheet import editing

    before: list[CueSheet] = []

    def noted(sheet: CueSheet) -> CueSheet:
        before.append(sheet)
        return change(sheet)

    after = editing.edit(path, noted)
    ids = [scene.id for scene in after.scenes if scene not in before[-1].scenes]
    if as_json:
        console.out(console.as_json(cueshow.record(after, ids)))
    elif ids:
        console.out(cueshow.table(after, ids))
    elif after != before[-1]:
        console.out(cueshow.head(after))
    else:
        console.say("that is how it was already: nothing is changed")
