"""One video from end to end: spot, render, deliver."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley import cache, cuesheet
from v2a_foley.cuesheet import CueSheet
from v2a_foley.delivery import Delivery, check_targets, deliver
from v2a_foley.errors import CueSheetError
from v2a_foley.media.files import check_output
from v2a_foley.media.probe import probe
from v2a_foley.presets import Overrides
from v2a_foley.progress import SILENT, Progress
from v2a_foley.rendering import RenderedScene, render
from v2a_foley.spotting import DEFAULTS, SpotSettings, fingerprint, spot

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models


@dataclass(frozen=True, slots=True)
class Result:
    """What one run made; ``seconds`` is the wall time of each stage."""

    sheet: CueSheet
    scenes: list[RenderedScene]
    delivery: Delivery
    seconds: dict[str, float]


def default_output(video: Path) -> Path:
    """``clip.mp4`` becomes ``clip.foley.mp4`` beside it."""
    return video.with_name(f"{video.stem}.foley{video.suffix}")


def foley(
    video: Path,
    output: Path | None = None,
    *,
    models: Models,
    sheet: Path | None = None,
    preset: str | None = None,
    seed: int = 0,
    settings: SpotSettings = DEFAULTS,
    overrides: Overrides | None = None,
    stems: Path | None = None,
    audio_track: int = 0,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Result:
    """Put foley on ``video`` and write it to ``output`` (beside the video by default).

    ``sheet`` keeps the cue sheet; one that exists is used as it is, with its edits, instead of
    spotting again. Without it the sheet lives in the cache. The other arguments are those of
    :func:`spot`, :func:`render` and :func:`deliver`.
    """
    info = probe(video)
    target = output or default_output(video)
    check_output(target, [video], overwrite=overwrite)
    seconds = {}
    begun = time.perf_counter()
    if sheet is not None and sheet.exists():
        spotted = _existing(sheet, video)
        progress.note(f"{sheet}: this cue sheet is used, the video is not spotted again")
    else:
        where = sheet or _work_sheet(video)
        spotted = spot(
            video,
            where,
            models=models,
            preset=preset,
            seed=seed,
            settings=settings,
            progress=progress,
        )
    check_targets(spotted, info, target, stems, overwrite=overwrite)
    seconds["spot"] = time.perf_counter() - begun
    begun = time.perf_counter()
    scenes = render(spotted, models=models, overrides=overrides, progress=progress)
    seconds["render"] = time.perf_counter() - begun
    begun = time.perf_counter()
    delivery = deliver(
        spotted,
        target,
        overrides=overrides,
        stems=stems,
        audio_track=audio_track,
        overwrite=overwrite,
        progress=progress,
    )
    seconds["deliver"] = time.perf_counter() - begun
    return Result(spotted, scenes, delivery, seconds)


def _existing(sheet: Path, video: Path) -> CueSheet:
    found = cuesheet.load(sheet)
    if found.fingerprint != fingerprint(video):
        raise CueSheetError(
            f"{sheet}: belongs to another video than {video} (or the video has changed): choose "
            "another --cue-sheet, or remove this one"
        )
    return found


def _work_sheet(video: Path) -> Path:
    """A place for the sheet of a run that keeps none, the same each time."""
    name = cache.key("run", str(video.resolve()))[:24]
    return cache.folder() / "runs" / name / "run.cues.toml"
