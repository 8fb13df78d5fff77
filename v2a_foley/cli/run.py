"""``v2a-foley run``: one video from end to end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2a_foley.cli import console, records
from v2a_foley.cli.options import (
    AUTO,
    AudioTrack,
    Beside,
    CutList,
    Json,
    KeepOriginal,
    ModelChoice,
    Overwrite,
    PresetName,
    Seed,
    Spotting,
    Video,
    announce,
    check_audio_track,
    settings,
)
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import InputError
from v2a_foley.presets import Overrides

if TYPE_CHECKING:
    from v2a_foley.media.probe import MediaInfo
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.packs import Pack
    from v2a_foley.pipeline import Result


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be made of one video."""

    video: Video
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, readable=False,
            help="The video to write; clip.mp4 becomes clip.foley.mp4 if not given.",
        ),
    ] = None  # fmt: skip
    cue_sheet: Annotated[
        Path | None,
        typer.Option(
            "--cue-sheet", metavar="FILE", show_default=False, readable=False,
            help="Keep the cue sheet here; one that exists is used with its edits.",
        ),
    ] = None  # fmt: skip
    cuts: CutList = None
    preset: PresetName = None
    seed: Seed = None
    audio_track: AudioTrack = 0
    keep_original: KeepOriginal = False
    overwrite: Overwrite = False

    @property
    def target(self) -> Path:
        """The video to write."""
        from v2a_foley.pipeline import default_output

        return self.output or default_output(self.video)

    @property
    def spotted(self) -> bool:
        """Whether there is a cue sheet already."""
        return self.cue_sheet is not None and os.access(self.cue_sheet, os.F_OK)

    def pack(self) -> str:
        """The model pack where the command line names none."""
        from v2a_foley import cuesheet

        if self.cue_sheet is None or not self.spotted:
            return AUTO
        return cuesheet.load(self.cue_sheet).pack

    def check(self, spotting: Spotting, beside: Beside) -> MediaInfo:
        """See that the input is there and that all output can be written, before any work.

        Raises:
            InputError: naming the first thing that is wrong.
        """
        from v2a_foley import presets
        from v2a_foley.media.containers import check_container
        from v2a_foley.media.files import check_output
        from v2a_foley.media.probe import probe

        if self.preset is not None:
            presets.find(self.preset)
        info = probe(self.video)
        check_audio_track(info, self.audio_track)
        if self.cue_sheet is not None and self.cue_sheet.resolve() == self.target.resolve():
            raise InputError(
                f"{console.name(self.target)}: is the output too; choose another --cue-sheet"
            )
        beside.check(self.target, info, self.cue_sheet, overwrite=self.overwrite)
        check_container(info, self.target)
        if self.spotted:
            self._check_unused(spotting)
            self.pack()  # a sheet with a mistake in it ends here
        elif self.cue_sheet is not None:
            check_output(self.cue_sheet, [self.video])
        return info

    def _check_unused(self, spotting: Spotting) -> None:
        given = {"scenes": self.cuts, "preset": self.preset, "seed": self.seed} | spotting.given
        unused = [key for key, value in given.items() if value is not None]
        if unused:
            flag = f"--{unused[0].replace('_', '-')}"
            raise InputError(
                f"{console.name(str(self.cue_sheet))}: exists already and states its own scenes, "
                f"presets and seeds; leave out {flag}, or name another --cue-sheet"
            )


def run(
    *,
    job: Job,
    beside: Beside,
    choice: ModelChoice,
    spotting: Spotting,
    overrides: Annotated[Overrides, settings("generation", "timing", "mix")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and show the plan; needs no model.")
    ] = False,
    as_json: Json = False,
    messages: Messages,
) -> None:
    """Put foley on a video.

    Finds its scenes, makes a sound for each and writes the video with them; the picture is
    copied as it is. Prints the name of what was written.
    """
    info = job.check(spotting, beside)
    how = spotting.settings(job.cuts, info)
    pack = choice.pack or job.pack()
    models = choice.find(pack)
    if dry_run:
        plan = _plan(job, beside, info, models, overrides)
        console.out(console.as_json(plan) if as_json else console.pairs(_in_words(plan)))
        return
    from v2a_foley.pipeline import foley

    announce(models, pack, messages)
    with messages.progress() as progress:
        result = foley(
            job.video, job.target, models=models, sheet=job.cue_sheet, preset=job.preset,
            seed=job.seed or 0, settings=how, overrides=overrides,
            audio_track=job.audio_track, keep_original=job.keep_original,
            overwrite=job.overwrite, progress=progress,
            **beside.given,
        )  # fmt: skip
    record = _record(result, models.pack)
    messages.detail(records.scene_table(record["scenes"]))
    for note in records.notes(result.scenes):
        messages.say(note)
    cached = sum(scene.cached for scene in result.scenes)
    messages.say(
        f"{len(result.scenes)} scenes ({cached} made before), {records.levels(result.delivery)}, "
        f"in {sum(result.seconds.values()):.1f} s"
    )
    console.out(console.as_json(record) if as_json else console.name(result.delivery.output))


def _plan(
    job: Job, beside: Beside, info: MediaInfo, models: Models, overrides: Overrides
) -> dict[str, Any]:
    return {
        "video": job.video,
        "duration": info.duration,
        "size": [info.width, info.height],
        "rate": float(info.rate),
        "audio_tracks": len(info.audio),
        "audio_track": job.audio_track,
        "keep_original": job.keep_original,
        "output": job.target,
        "cue_sheet": job.cue_sheet,
        "cue_sheet_exists": job.spotted,
        **beside.given,
        "preset": job.preset,
        "seed": job.seed or 0,
        "pack": records.pack(models.pack),
        "mapper": models.mapper_path or models.mapper,
        "device": models.device_name,
        "settings": overrides,
    }


def _in_words(plan: dict[str, Any]) -> dict[str, object]:
    width, height = plan["size"]
    picture = f"{plan['duration']:.3f} s, {width}x{height}, {plan['rate']:.6g} fps"
    tracks = plan["audio_tracks"]
    kept = " (kept behind the new one)" if plan["keep_original"] and tracks else ""
    sheet = plan["cue_sheet"] or "none kept"
    stated = [
        f"{section}.{key} = {'none' if value is None else value}"
        for section, values in plan["settings"].items()
        for key, value in values.items()
    ]
    commercial = "" if plan["pack"]["commercial"] else " (not for commercial use)"
    return {
        "video": plan["video"],
        "picture": f"{picture}, {tracks} audio track{'' if tracks == 1 else 's'}{kept}",
        "output": plan["output"],
        "cue sheet": f"{sheet} (exists: is used as it is)" if plan["cue_sheet_exists"] else sheet,
        "stems": f"{plan['stems'] or 'none'}{' with handles' if plan['handles'] else ''}",
        "timelines": [str(path) for path in plan["timelines"]] or "none",
        "sidecar": plan["sidecar"] or "none",
        "preset": plan["preset"] or "for each scene the one that suits it",
        "seed": plan["seed"],
        "models": f"{plan['pack']['name']} {plan['pack']['version']}{commercial}",
        "mapper": plan["mapper"],
        "device": plan["device"],
        "settings": stated or "those of the presets",
    }


def _record(result: Result, pack: Pack) -> dict[str, Any]:
    made = {"scenes": records.rendered(result.scenes, result.sheet)}
    if not result.kept:
        made = {"scenes": [scene | {"stem": None} for scene in made["scenes"]]}
    return (
        {"video": result.sheet.video, "cue_sheet": result.sheet.path if result.kept else None}
        | records.delivery(result.delivery)
        | {"pack": records.pack(pack), "preset": result.sheet.preset, "seed": result.sheet.seed}
        | {"seconds": result.seconds}
        | made
    )
