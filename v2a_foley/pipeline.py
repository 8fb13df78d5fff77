"""One video from end to end: spot, render, deliver."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley import cache, cuesheet
from v2a_foley.cuesheet import CueSheet
from v2a_foley.delivery import Delivery, check_targets, deliver
from v2a_foley.errors import CueSheetError
from v2a_foley.export.handover import HandOver
from v2a_foley.media.probe import probe
from v2a_foley.presets import Overrides
from v2a_foley.progress import SILENT, Progress
from v2a_foley.rendering import RenderedScene, render
from v2a_foley.spotting import DEFAULTS, SpotSettings, fingerprint, spot

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models


@dataclass(frozen=True, slots=True)
class Result:
    """What one run made; ``seconds`` is the wall time of each stage.

    ``kept``: whether the sheet and its stems still exist, or were only for this run.
    """

    sheet: CueSheet
    kept: bool
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
    handles: bool = False,
    timelines: Sequence[Path] = (),
    sidecar: Path | None = None,
    audio_track: int = 0,
    keep_original: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Result:
    """Put foley on ``video`` and write it to ``output`` (beside the video by default).

    ``sheet`` keeps the cue sheet; one that exists is used as it is, with its edits, instead of
    spotting again. Without it sheet and stems are gone after the run. The other arguments are
    those of :func:`spot`, :func:`render` and :func:`deliver`.
    """
    info = probe(video)
    target = output or default_output(video)
    handover = HandOver(stems, handles, tuple(timelines), sidecar)
    inputs = [video] if sheet is None else [video, sheet]
    handover.check(target, info, inputs, overwrite=overwrite)
    with contextlib.ExitStack() as stack:
        where = sheet or stack.enter_context(cache.work_folder()) / "run.cues.toml"
        watch = _Watch()
        if where.exists():
            spotted = _existing(where, video)
            progress.note(f"{where}: this cue sheet is used, the video is not spotted again")
        else:
            spotted = spot(
                video,
                where,
                models=models,
                preset=preset,
                seed=seed,
                settings=settings,
                progress=progress,
            )
        check_targets(spotted, info, target, handover, overwrite=overwrite)
        watch.stop("spot")
        scenes = render(
            spotted, models=models, overrides=overrides, keep_takes=sheet is not None,
            progress=progress,
        )  # fmt: skip
        watch.stop("render")
        delivery = deliver(
            spotted,
            target,
            overrides=overrides,
            stems=stems,
            handles=handles,
            timelines=timelines,
            sidecar=sidecar,
            audio_track=audio_track,
            keep_original=keep_original,
            overwrite=overwrite,
            progress=progress,
        )
        watch.stop("deliver")
    return Result(spotted, sheet is not None, scenes, delivery, watch.seconds)


class _Watch:
    """Wall time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = time.perf_counter()

    def stop(self, stage: str) -> None:
        """End ``stage``; the next one begins."""
        now = time.perf_counter()
        self.seconds[stage], self._begun = now - self._begun, now


def _existing(sheet: Path, video: Path) -> CueSheet:
    found = cuesheet.load(sheet)
    if found.fingerprint != fingerprint(video):
        raise CueSheetError(
            f"{sheet}: belongs to another video than {video} (or the video has changed): choose "
            "another --cue-sheet, or remove this one"
        )
    return replace(found, video=video)  # it may have moved
