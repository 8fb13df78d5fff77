"""What is done with one file: spotted into its own folder, rendered, delivered, summed up."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from v2a_foley import cuesheet, frames, presets
from v2a_foley.batch.job import Job, Task
from v2a_foley.batch.sidecars import anywhere
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.errors import CueSheetError, FoleyError

if TYPE_CHECKING:
    from v2a_foley.delivery import Delivery
    from v2a_foley.models.bundle import Models
    from v2a_foley.rendering import RenderedScene

T = TypeVar("T")
NAME = "clip.cues.toml"


def load(models: Models) -> None:
    """Load all models now: two threads that need one for the first time would load it twice.

    Raises FoleyError when one does not load.
    """
    models.bank  # noqa: B018
    models.mapper_file  # noqa: B018
    models.recordings  # noqa: B018
    models.clip  # noqa: B018
    models.clap  # noqa: B018
    models.generator  # noqa: B018


def spotted(task: Task, job: Job, models: Models) -> CueSheet:
    """The file's cue sheet, in the task's folder: spotted, or the clip's own with its edits."""
    from v2a_foley.spotting import spot

    folder, video = Path(task.folder), Path(task.video)
    shutil.rmtree(folder, ignore_errors=True)
    settings = job.spot_settings()

    def look(into: Path) -> CueSheet:
        return spot(
            video, into, models=models, preset=task.preset, seed=task.seed, settings=settings
        )

    if task.sheet is None:
        sheet = look(folder / NAME)
    else:
        own = _own(Path(task.sheet), video)
        sheet = replace(_moved(own, Path(task.sheet).parent), path=folder / NAME)
        frames.save(_frames(own, look(folder / "seen.cues.toml"), models), sheet.artefacts)
    return replace(sheet, defaults=presets.merge(task.settings, sheet.defaults))


def rendered(
    sheets: Sequence[CueSheet], job: Job, models: Models
) -> Iterator[tuple[CueSheet, list[RenderedScene] | Exception]]:
    """Render sheets together; each comes with its scenes, or alone with what was wrong with it.

    What fails among others is tried again alone, as the fault may have been a neighbour's. The
    generator itself makes smaller batches where the device's memory does not do.
    """
    from v2a_foley.rendering import render_all

    left, alone = list(sheets), []
    together = render_all(sheets, models=models, overrides=job.overrides, keep_takes=False)
    try:
        for sheet, made in together:
            left.remove(sheet)
            if isinstance(made, FoleyError) and len(sheets) > 1:
                alone.append(sheet)
            else:
                yield sheet, made
    except Exception as error:
        if len(sheets) == 1:
            yield sheets[0], error
            return
        _free_memory()
        alone += left
    for sheet in alone:
        yield from rendered([sheet], job, models)


def frugal(work: Callable[[], T]) -> T:
    """Do ``work``; once more where the device's memory did not do for it."""
    try:
        return work()
    except Exception as error:
        if not _out_of_memory(error):
            raise
    _free_memory()
    return work()


def delivered(task: Task, job: Job, sheet: CueSheet) -> Delivery:
    """Write the finished file into the task's folder, and remove what it was made of."""
    from v2a_foley.delivery import deliver

    made = deliver(
        sheet, task.made, overrides=job.overrides, audio_track=job.audio_track,
        keep_original=job.keep_original, overwrite=True,
    )  # fmt: skip
    for left in Path(task.folder).iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        elif left != task.made:
            left.unlink()
    return made


def summary(sheet: CueSheet, scenes: Sequence[RenderedScene], made: Delivery) -> dict[str, Any]:
    """What the ledger keeps of a finished file, as plain values."""
    with made.output.open("rb") as file:
        output_hash = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "input_hash": sheet.fingerprint,
        "output_hash": output_hash,
        "scenes": len(sheet.scenes),
        "cached": sum(scene.cached for scene in scenes),
        "duration": made.duration,
        "loudness": _finite(asdict(made.loudness)),
    }


def _own(path: Path, video: Path) -> CueSheet:
    """A clip's own cue sheet; its video must be this one."""
    from v2a_foley.spotting import fingerprint

    sheet = cuesheet.load(path)
    if sheet.fingerprint != fingerprint(video):
        raise CueSheetError(
            f"{path}: belongs to another video than {video} (or the video has changed): spot it "
            "again, or remove this sheet"
        )
    return replace(sheet, video=video)


def _frames(own: CueSheet, seen: CueSheet, models: Models) -> frames.Frames:
    """What spot saw when the sheet was made; what it sees now where that is gone."""
    try:
        before = frames.load(own.artefacts)
    except CueSheetError:
        return frames.load(seen.artefacts)
    fits = before.clip_id == models.pack.clip_id
    return before if fits else frames.load(seen.artefacts)


def _moved(sheet: CueSheet, folder: Path) -> CueSheet:
    """A sheet whose relative paths hold from anywhere."""

    def preset(name: str) -> str:
        return str((folder / name).absolute()) if name.endswith(".toml") else name

    def scene(each: Scene) -> Scene:
        return replace(each, preset=preset(each.preset), overrides=anywhere(each.overrides, folder))

    return replace(
        sheet,
        preset=preset(sheet.preset) if sheet.preset else None,
        defaults=anywhere(sheet.defaults, folder),
        scenes=tuple(scene(each) for each in sheet.scenes),
    )


def _out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers without an end become None, which JSON can say."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
