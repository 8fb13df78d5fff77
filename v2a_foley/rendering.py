"""Rendering: a cue sheet to stems, one WAV a scene. Knows nothing of video files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley import cache, frames
from v2a_foley.cuesheet import CueSheet, Scene, derive_seed, resolve
from v2a_foley.errors import ModelError
from v2a_foley.models.generator import Request, window_starts
from v2a_foley.presets import Overrides, Preset
from v2a_foley.progress import SILENT, Progress
from v2a_foley.stems import fit, stem_path

if TYPE_CHECKING:
    from v2a_foley.frames import Frames
    from v2a_foley.models.bundle import Models

CHUNK = 16  # requests made between two writes to the cache, so that an interrupt loses little
SILENCE = 1e-4  # RMS (-80 dBFS) under which a wave counts as silent and is made again
REROLLS = 3


@dataclass(frozen=True, slots=True)
class RenderedScene:
    """What was rendered for one scene.

    ``seconds``: length of the stem, handles included. ``similarity``: cosine of the sound to
    its condition in CLAP's space, None where the pack has no audio tower.
    """

    id: str
    stem: Path
    seconds: float
    cached: bool
    seed: int
    candidates: int
    similarity: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """A scene, its settings, its handle in seconds, and its windows' conditions ``(k, d_clap)``."""

    scene: Scene
    preset: Preset
    handle: float
    conditions: np.ndarray
    key: str

    @property
    def seconds(self) -> float:
        return self.scene.duration + 2 * self.handle


@dataclass(frozen=True, slots=True)
class _Take:
    """The wave that was chosen for a scene."""

    wave: np.ndarray
    rate: int
    seed: int
    similarity: float | None


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
        take = _kept(job)
        if take is None:
            missing.append(job)
        else:
            reports[job.scene.id] = _finish(sheet, job, take, cached=True)
    for job, take in _make(missing, models, progress):
        reports[job.scene.id] = _finish(sheet, job, take, cached=False)
    progress.stage("render", 1.0)
    return [reports[scene.id] for scene in sheet.scenes]


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
) -> Iterator[_Job]:
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
            "take", 1, models.pack.id, models.mapper_id, generation, conditions, seconds, scene.seed
        )
        yield _Job(scene, preset, handle, conditions, key)


def _conditions(
    scene: Scene, preset: Preset, handle: float, seen: Frames, models: Models
) -> np.ndarray:
    """Map the frames of each of the scene's windows into CLAP's space: ``(k, d_clap)``."""
    window = models.pack.window
    starts = window_starts(scene.duration + 2 * handle, window)
    visual = []
    for start in starts:
        first = scene.start - handle + start
        visual.append(seen.mean(max(scene.start, first), min(scene.end, first + window)))
    return models.map(
        np.stack(visual).astype(np.float32),
        temperature=preset.generation.temperature,
        top_k=preset.generation.top_k,
        seed=scene.seed,
    )


def _kept(job: _Job) -> _Take | None:
    entry = cache.get(job.key)
    if entry is None:
        return None
    arrays, notes = entry
    similarity = float(notes["similarity"]) if notes.get("similarity") else None
    return _Take(arrays["wave"], int(notes["rate"]), int(notes["seed"]), similarity)


def _make(jobs: list[_Job], models: Models, progress: Progress) -> Iterator[tuple[_Job, _Take]]:
    """Generate the takes of ``jobs``; scenes with the same sampler settings share batches."""
    if not jobs:
        return
    progress.stage("load", 0.0)
    generator = models.generator
    progress.stage("load", 1.0)
    if not models.clap.has_audio and any(j.preset.generation.candidates > 1 for j in jobs):
        progress.note("this pack has no CLAP audio tower to rank candidates: one is made a scene")
    groups: dict[tuple[Any, ...], list[_Job]] = {}
    for job in jobs:
        g = job.preset.generation
        groups.setdefault((g.steps, g.guidance, g.scheduler), []).append(job)
    total = sum(job.seconds for job in jobs)
    done = 0.0
    for (steps, guidance, scheduler), group in groups.items():
        options = {
            "steps": steps,
            "guidance": guidance,
            "scheduler": scheduler,
            "unconditional": models.bank.empty,
        }
        for chunk in _chunks(sorted(group, key=lambda job: generator.frames(job.seconds)), models):
            length = sum(job.seconds for job in chunk)

            def report(share: float, base: float = done, part: float = length) -> None:
                progress.stage("render", (base + share * part) / total)

            for job, take in zip(chunk, _takes(chunk, models, options, report), strict=True):
                _keep(job, take)
                yield job, take
            done += length


def _chunks(jobs: list[_Job], models: Models) -> Iterator[list[_Job]]:
    chunk: list[_Job] = []
    requests = 0
    for job in jobs:
        count = len(_seeds(job, models))
        if chunk and requests + count > CHUNK:
            yield chunk
            chunk, requests = [], 0
        chunk.append(job)
        requests += count
    if chunk:
        yield chunk


def _seeds(job: _Job, models: Models) -> list[int]:
    """Seeds of the scene's candidates; the first is the scene's own."""
    count = job.preset.generation.candidates if models.clap.has_audio else 1
    return [job.scene.seed, *(_reseed(job.scene.seed, k) for k in range(1, count))]


def _reseed(seed: int, number: int) -> int:
    return derive_seed(seed, f"candidate {number}")


def _takes(jobs: list[_Job], models: Models, options: dict[str, Any], report: Any) -> list[_Take]:
    """Generate all candidates of some scenes together and choose the best of each."""
    seeds = [_seeds(job, models) for job in jobs]
    requests = [
        _request(job, seed, models) for job, own in zip(jobs, seeds, strict=True) for seed in own
    ]
    waves = iter(models.generator.generate(requests, progress=report, **options))
    takes = []
    for job, own in zip(jobs, seeds, strict=True):
        candidates = [(seed, next(waves)) for seed in own]
        takes.append(_best(job, candidates, models, options))
    return takes


def _request(job: _Job, seed: int, models: Models) -> Request:
    negative = job.preset.generation.negative
    vector = models.clap.texts([negative])[0] if negative else None
    return Request(job.conditions, job.seconds, seed, vector)


def _best(
    job: _Job, candidates: list[tuple[int, np.ndarray]], models: Models, options: dict[str, Any]
) -> _Take:
    """The candidate nearest to its condition; silent ones are made again with other seeds."""
    rate = models.generator.sample_rate
    audible = [(seed, wave) for seed, wave in candidates if _rms(wave) > SILENCE]
    for number in range(REROLLS):
        if audible:
            break
        seed = _reseed(job.scene.seed, 1000 + number)
        wave = models.generator.generate([_request(job, seed, models)], **options)[0]
        audible = [(seed, wave)] if _rms(wave) > SILENCE else []
    pool = audible or candidates
    if not models.clap.has_audio:
        return _Take(pool[0][1], rate, pool[0][0], None)
    wanted = job.conditions.mean(0)
    wanted /= max(float(np.linalg.norm(wanted)), 1e-9)
    scores = models.clap.sounds([wave for _, wave in pool], rate) @ wanted
    best = int(scores.argmax())
    return _Take(pool[best][1], rate, pool[best][0], float(scores[best]))


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.square(wave, dtype=np.float64).mean()))


def _keep(job: _Job, take: _Take) -> None:
    similarity = "" if take.similarity is None else repr(take.similarity)
    notes = {"rate": str(take.rate), "seed": str(take.seed), "similarity": similarity}
    cache.put(job.key, {"wave": take.wave.astype(np.float32)}, notes)


def _finish(sheet: CueSheet, job: _Job, take: _Take, *, cached: bool) -> RenderedScene:
    """Write the stem of a scene and tell what it is."""
    from v2a_foley.media.audio import write_wav

    stem = stem_path(sheet, job.scene)
    write_wav(stem, fit(take.wave, take.rate, job.seconds), overwrite=True)
    notes = ("silent",) if _rms(take.wave) <= SILENCE else ()
    return RenderedScene(
        job.scene.id,
        stem,
        job.seconds,
        cached,
        take.seed,
        job.preset.generation.candidates,
        take.similarity,
        notes,
    )
