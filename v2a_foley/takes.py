"""Takes: the sounds made for a scene, of which the best is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley import cache
from v2a_foley.cuesheet import Scene, derive_seed
from v2a_foley.models.generator import Request
from v2a_foley.presets import Preset
from v2a_foley.progress import Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.recordings import Recording

CHUNK = 16  # requests made between two writes to the cache, so that an interrupt loses little
SILENCE = 1e-4  # RMS (-80 dBFS) under which a wave counts as silent and is made again
REROLLS = 3


@dataclass(frozen=True, slots=True)
class Job:
    """A scene, its settings, its handle in seconds, and its windows' conditions ``(k, d_clap)``.

    ``key`` names what its take depends on.
    """

    scene: Scene
    preset: Preset
    handle: float
    conditions: np.ndarray
    key: str

    @property
    def seconds(self) -> float:
        """Length of the stem, handles included."""
        return self.scene.duration + 2 * self.handle

    @property
    def condition(self) -> np.ndarray:
        """The windows' mean condition ``(d_clap,)``, unit length."""
        mean = self.conditions.mean(0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)


@dataclass(frozen=True, slots=True)
class Take:
    """The wave that was chosen for a scene.

    ``sources``: the recordings it started from, as they must be credited.
    """

    wave: np.ndarray
    rate: int
    seed: int
    similarity: float | None
    sources: tuple[dict[str, str], ...]

    @property
    def silent(self) -> bool:
        """Whether nothing is heard in it."""
        return silent(self.wave)


def silent(wave: np.ndarray) -> bool:
    """Whether a wave's RMS is under -80 dBFS."""
    return float(np.sqrt(np.square(wave, dtype=np.float64).mean())) <= SILENCE


def kept(job: Job) -> Take | None:
    """The take that was made before from the same inputs."""
    entry = cache.get(job.key)
    if entry is None:
        return None
    arrays, notes = entry
    similarity = float(notes["similarity"]) if notes["similarity"] else None
    sources = tuple(json.loads(notes["sources"]))
    return Take(arrays["wave"], int(notes["rate"]), int(notes["seed"]), similarity, sources)


def keep(job: Job, take: Take) -> None:
    """Put a take into the cache."""
    similarity = "" if take.similarity is None else repr(take.similarity)
    notes = {"rate": str(take.rate), "seed": str(take.seed), "similarity": similarity}
    notes["sources"] = json.dumps(take.sources)
    cache.put(job.key, {"wave": take.wave.astype(np.float32)}, notes)


def make(jobs: Sequence[Job], models: Models, progress: Progress) -> Iterator[tuple[Job, Take]]:
    """Generate the takes of ``jobs``; scenes with the same sampler settings share batches."""
    if not jobs:
        return
    progress.stage("load", 0.0)
    maker = _Maker(jobs, models)
    progress.stage("load", 1.0)
    if not models.clap.has_audio and any(j.preset.generation.candidates > 1 for j in jobs):
        progress.note("this pack has no CLAP audio tower to rank candidates: one is made a scene")
    if models.recordings is None and any("seeded" in _stated(job) for job in jobs):
        progress.note("this pack has no recordings to start from: 'seeded' does nothing with it")
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        g = job.preset.generation
        groups.setdefault((g.steps, g.guidance, g.scheduler), []).append(job)
    total = sum(job.seconds for job in jobs)
    done = 0.0
    for group in groups.values():
        for chunk in maker.chunks(group):
            length = sum(job.seconds for job in chunk)

            def report(share: float, base: float = done, part: float = length) -> None:
                progress.stage("render", (base + share * part) / total)

            for job, take in zip(chunk, maker.takes(chunk, report), strict=True):
                keep(job, take)
                yield job, take
            done += length


def _stated(job: Job) -> Sequence[str]:
    return list(job.preset.stated.get("generation", {}))


class _Maker:
    """Makes the takes of jobs with one set of models."""

    def __init__(self, jobs: Sequence[Job], models: Models) -> None:
        self.models, self.generator = models, models.generator
        texts = sorted({job.preset.generation.negative for job in jobs} - {""})
        self.negatives: dict[str, np.ndarray] = {}
        if texts:
            self.negatives = dict(zip(texts, models.clap.texts(texts), strict=True))

    def chunks(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """Jobs of about equal length together, few enough for one call of the generator."""
        chunk: list[Job] = []
        requests = 0
        for job in sorted(jobs, key=lambda job: self.generator.frames(job.seconds)):
            count = len(self.seeds(job))
            if chunk and requests + count > CHUNK:
                yield chunk
                chunk, requests = [], 0
            chunk.append(job)
            requests += count
        if chunk:
            yield chunk

    def seeds(self, job: Job) -> list[int]:
        """Seeds of the scene's candidates; the first is the scene's own."""
        count = job.preset.generation.candidates if self.models.clap.has_audio else 1
        return [job.scene.seed, *(_reseed(job.scene.seed, k) for k in range(1, count))]

    def takes(self, jobs: list[Job], report: Callable[[float], None]) -> list[Take]:
        """Generate all candidates of some scenes together and choose the best of each."""
        seeds = [self.seeds(job) for job in jobs]
        requests = [
            self.request(job, seed) for job, own in zip(jobs, seeds, strict=True) for seed in own
        ]
        waves = iter(self.generate(requests, jobs[0].preset, report))
        return [
            self.best(job, [(seed, next(waves)) for seed in own])
            for job, own in zip(jobs, seeds, strict=True)
        ]

    def generate(
        self,
        requests: list[Request],
        preset: Preset,
        report: Callable[[float], None] = lambda share: None,
    ) -> list[np.ndarray]:
        g = preset.generation
        return self.generator.generate(
            requests,
            unconditional=self.models.bank.empty,
            steps=g.steps,
            guidance=g.guidance,
            scheduler=g.scheduler,
            progress=report,
        )

    def sources(self, job: Job, seed: int) -> tuple[Recording, ...]:
        """The recordings that a candidate starts from, if any."""
        if self.models.recordings is None or job.preset.generation.seeded == 0:
            return ()
        return self.models.recordings.choose(job.condition, seed)

    def request(self, job: Job, seed: int) -> Request:
        g = job.preset.generation
        chosen = self.sources(job, seed)
        start = None
        if chosen and self.models.recordings is not None:
            rate = self.generator.sample_rate
            start = self.models.recordings.start(chosen, job.seconds, rate, seed)
        negative = self.negatives.get(g.negative)
        return Request(job.conditions, job.seconds, seed, negative, start, g.seeded)

    def best(self, job: Job, candidates: list[tuple[int, np.ndarray]]) -> Take:
        """The candidate nearest to its condition; silent ones are made again with other seeds."""
        audible = [(seed, wave) for seed, wave in candidates if not silent(wave)]
        for number in range(REROLLS):
            if audible:
                break
            seed = _reseed(job.scene.seed, 1000 + number)
            wave = self.generate([self.request(job, seed)], job.preset)[0]
            audible = [] if silent(wave) else [(seed, wave)]
        pool = audible or candidates
        scores: list[float | None] = [None] * len(pool)
        if self.models.clap.has_audio:
            waves = [wave for _, wave in pool]
            heard = self.models.clap.sounds(waves, self.generator.sample_rate)
            scores = [float(score) for score in heard @ job.condition]
        first = max(range(len(pool)), key=lambda i: scores[i] or 0.0)
        seed, wave = pool[first]
        sources = tuple(item.credit for item in self.sources(job, seed))
        return Take(wave, self.generator.sample_rate, seed, scores[first], sources)


def _reseed(seed: int, number: int) -> int:
    return derive_seed(seed, f"candidate {number}")
