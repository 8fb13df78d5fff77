"""Rendering: a cue sheet to stems, one WAV a scene. Knows nothing of video files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley import cache, frames, provenance, takes
from v2a_foley.cuesheet import CueSheet, Scene, resolve
from v2a_foley.errors import ModelError
from v2a_foley.models.generator import window_starts
from v2a_foley.presets import Overrides, Preset
from v2a_foley.progress import SILENT, Progress
from v2a_foley.stems import fit, stem_path
from v2a_foley.takes import Job, Take

if TYPE_CHECKING:
    from v2a_foley.frames import Frames
    from v2a_foley.models.bundle import Models


@dataclass(frozen=True, slots=True)
class RenderedScene:
    """What was rendered for one scene.

    ``seconds``: length of the stem, handles included. ``similarity``: cosine of the sound to
    its condition in CLAP's space, None where the pack has no audio tower. ``sources``: the
    recordings it started from, as they must be credited.
    """

    id: str
    stem: Path
    seconds: float
    cached: bool
    seed: int
    candidates: int
    similarity: float | None
    sources: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


def render(
    sheet: CueSheet,
    *,
    models: Models,
    overrides: Overrides | None = None,
    progress: Progress = SILENT,
) -> list[RenderedScene]:
    """Render every scene of ``sheet`` to ``sheet.artefacts / 'stems'``.

    ``overrides`` come from the command line. Takes that were made before from the same inputs
    (conditions, settings, seed, models) are reused.
    """
    seen = frames.load(sheet.artefacts)
    if seen.clip_id != models.pack.clip_id:
        raise ModelError(
            f"{sheet.path}: was spotted with the CLIP '{seen.clip_id}', the pack in use has "
            f"'{models.pack.clip_id}': run spot again, or use --models {sheet.pack}"
        )
    jobs = list(_jobs(sheet, seen, models, overrides))
    reports: dict[str, RenderedScene] = {}
    missing = []
    for job in jobs:
        take = takes.kept(job)
        if take is None:
            missing.append(job)
        else:
            reports[job.scene.id] = _finish(sheet, job, take, cached=True)
    for job, take in takes.make(missing, models, progress):
        reports[job.scene.id] = _finish(sheet, job, take, cached=False)
    progress.stage("render", 1.0)
    rendered = [reports[scene.id] for scene in sheet.scenes]
    generations = {job.scene.id: asdict(job.preset.generation) for job in jobs}
    provenance.save(
        sheet.artefacts,
        [
            {"scene": one.id, "seed": one.seed, "similarity": one.similarity}
            | {"generation": generations[one.id], "sources": one.sources}
            for one in rendered
        ],
    )
    return rendered


def handles(lengths: Sequence[float], crossfades: Sequence[float], window: float) -> list[float]:
    """Handle of each scene in seconds: half of the longer crossfade at its two ends.

    ``crossfades[i]`` is the fade at the start of scene ``i``. A scene that fits one window is
    not pushed into two by its handles; where they are short, the mix moves the crossfade.
    """
    following = [*crossfades[1:], 0.0]
    wanted = [max(pair) / 2 for pair in zip(crossfades, following, strict=True)]
    return [
        min(handle, (window - length) / 2) if length <= window else handle
        for handle, length in zip(wanted, lengths, strict=True)
    ]


def _jobs(
    sheet: CueSheet, seen: Frames, models: Models, overrides: Overrides | None
) -> Iterator[Job]:
    settings = [resolve(sheet, scene, command_line=overrides) for scene in sheet.scenes]
    own = handles(
        [scene.duration for scene in sheet.scenes],
        [preset.timing.crossfade for preset in settings],
        models.pack.window,
    )
    for scene, preset, handle in zip(sheet.scenes, settings, own, strict=True):
        conditions = _conditions(scene, preset, handle, seen, models)
        generation = asdict(preset.generation)
        seconds = round(scene.duration + 2 * handle, 6)
        key = cache.key(
            "take", 2, models.pack.id, models.mapper_id, generation, conditions, seconds, scene.seed
        )
        yield Job(scene, preset, handle, conditions, key)


def _conditions(
    scene: Scene, preset: Preset, handle: float, seen: Frames, models: Models
) -> np.ndarray:
    """Map the frames of each of the scene's windows, or all at once: ``(k or 1, d_clap)``."""
    window = models.pack.window
    spans = [(scene.start, scene.end)]
    if models.per_window:
        starts = window_starts(scene.duration + 2 * handle, window)
        begun = [scene.start - handle + start for start in starts]
        spans = [(max(scene.start, at), min(scene.end, at + window)) for at in begun]
    mapped = models.map(
        [seen.between(start, end) for start, end in spans],
        temperature=preset.generation.temperature,
        top_k=preset.generation.top_k,
        seed=scene.seed,
    )
    return models.focus(mapped, preset.generation.focus)


def _finish(sheet: CueSheet, job: Job, take: Take, *, cached: bool) -> RenderedScene:
    """Write the stem of a scene and tell what it is."""
    from v2a_foley.media.audio import write_wav

    stem = stem_path(sheet, job.scene)
    write_wav(stem, fit(take.wave, take.rate, job.seconds), overwrite=True)
    notes = ("silent",) if take.silent else ()
    return RenderedScene(
        job.scene.id,
        stem,
        job.seconds,
        cached,
        take.seed,
        job.preset.generation.candidates,
        take.similarity,
        take.sources,
        notes,
    )
