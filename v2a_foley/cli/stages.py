"""``v2a-foley spot``, ``render`` and ``deliver``: the stages of a run, one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from v2a_foley.cli import console, records
from v2a_foley.cli.options import (
    AudioTrack,
    Beside,
    CutList,
    Json,
    KeepOriginal,
    ModelChoice,
    Overwrite,
    PresetName,
    Seed,
    Sheet,
    Spotting,
    Video,
    announce,
    check_audio_track,
    settings,
)
from v2a_foley.cli.progress import Messages
from v2a_foley.presets import Overrides


def spot(
    *,
    video: Video,
    choice: ModelChoice,
    spotting: Spotting,
    cuts: CutList = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="SHEET", show_default=False, readable=False,
            help="The cue sheet to write; clip.mp4 gets clip.cues.toml if not given.",
        ),
    ] = None,
    preset: PresetName = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Find a video's scenes and what they show, and write a cue sheet to edit.

    Prints the name of the cue sheet.
    """
    from v2a_foley import presets
    from v2a_foley.media.files import check_output
    from v2a_foley.media.probe import probe
    from v2a_foley.spotting import spot as library_spot

    if preset is not None:
        presets.find(preset)
    info = probe(video)
    target = output or video.with_name(f"{video.stem}.cues.toml")
    check_output(target, [video], overwrite=overwrite)
    how = spotting.settings(cuts, info)
    models = choice.find()
    announce(models, choice.pack, messages)
    with messages.progress() as progress:
        sheet = library_spot(
            video, target, models=models, preset=preset, seed=seed or 0, settings=how,
            progress=progress,
        )  # fmt: skip
    record = records.sheet(sheet)
    messages.detail(records.scene_table(record["scenes"]))
    messages.say(f"{len(sheet.scenes)} scenes in {sheet.duration:.1f} s")
    console.out(console.as_json(record) if as_json else console.name(target))


def render(
    *,
    sheet: Sheet,
    choice: ModelChoice,
    overrides: Annotated[Overrides, settings("generation", "timing")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which scenes are made anew, and why.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which scenes would be made, and why.")
    ] = False,
    as_json: Json = False,
    messages: Messages,
) -> None:
    """Make the sound of each scene of a cue sheet, as stems beside it.

    What has not changed since the last time is not made again. Prints the names of the stems.
    """
    from v2a_foley import cuesheet
    from v2a_foley.rendering import Change
    from v2a_foley.rendering import explain as library_explain
    from v2a_foley.rendering import render as library_render

    loaded = cuesheet.load(sheet)
    models = choice.find(loaded.pack)
    announce(models, choice.pack or loaded.pack, messages)
    if dry_run:
        changes = library_explain(loaded, models=models, overrides=overrides)
        record = {"cue_sheet": sheet, "scenes": changes}
        console.out(console.as_json(record) if as_json else records.changes(changes))
        return
    with messages.progress() as progress:
        made = library_render(loaded, models=models, overrides=overrides, progress=progress)
    rows = records.rendered(made, loaded)
    messages.detail(records.scene_table(rows))
    if explain:
        console.say(records.changes([Change(each.id, each.changed) for each in made]))
    for note in records.notes(made):
        messages.say(note)
    messages.say(f"{len(made)} scenes ({sum(each.cached for each in made)} made before)")
    if as_json:
        pack = records.pack(models.pack)
        console.out(console.as_json({"cue_sheet": sheet, "pack": pack, "scenes": rows}))
    else:
        for each in made:
            console.out(console.name(each.stem))


def deliver(
    *,
    sheet: Sheet,
    beside: Beside,
    overrides: Annotated[Overrides, settings("timing.crossfade", "mix")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, readable=False,
            help="The video to write; clip.mp4 becomes clip.foley.mp4 if not given.",
        ),
    ] = None,
    audio_track: AudioTrack = 0,
    keep_original: KeepOriginal = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Mix a cue sheet's stems and write the finished video.

    Needs no model. Prints the name of what was written.
    """
    from v2a_foley import cuesheet
    from v2a_foley.delivery import deliver as library_deliver
    from v2a_foley.media.probe import probe
    from v2a_foley.pipeline import default_output

    loaded = cuesheet.located(cuesheet.load(sheet))
    target = output or default_output(loaded.video)
    check_audio_track(probe(loaded.video), audio_track)
    with messages.progress() as progress:
        made = library_deliver(
            loaded, target, overrides=overrides, audio_track=audio_track,
            keep_original=keep_original, overwrite=overwrite, progress=progress, **beside.given,
        )  # fmt: skip
    heard, count = sum(map(loaded.sounds, loaded.scenes)), len(loaded.scenes)
    scenes = f"{count} scenes" if heard == count else f"{heard} of {count} scenes heard"
    messages.say(f"{scenes}, {records.levels(made)}")
    record = {"cue_sheet": sheet} | records.delivery(made)
    console.out(console.as_json(record) if as_json else console.name(made.output))
