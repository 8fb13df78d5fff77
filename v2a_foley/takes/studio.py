"""Takes: the sounds made for a scene, each from a seed of its own, and kept by their content."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley import cache
from v2a_foley.cuesheet import derive_seed
from v2a_foley.level import set_level
from v2a_foley.models.generator import Request
from v2a_foley.progress import SILENT, Progress
from v2a_foley.takes import guards
from v2a_foley.takes.jobs import Job, pieces_key

if TYPE_CHECKING:
    from v2a_foley.library import Library
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.recordings import Recording

CHUNK = 16  # requests made between two writes to the cache, so that an interrupt loses little
LIBRARY_RATE = 48_000  # of what needs no generator
LAYER_DB = -20.0  # level of each of two layers, before the stem's own is set
SHAPING = ("source", "negative", "guidance", "steps", "scheduler", "seeded")
"""The settings of generation that a wave depends on, besides its condition."""

Credit = dict[str, str]
Demand = tuple[Job, int]
"""A job and the number of one of its takes, from 1."""


@dataclass(frozen=True, slots=True)
class Take:
    """One sound for a scene.

    ``wave`` ``(samples,)`` at ``rate`` Hz. ``similarity``: cosine to its condition, ``speech``
    and ``music``: see :class:`~v2a_foley.takes.guards.Guard`; None where the pack's CLAP cannot
    hear. ``fault``: see :func:`~v2a_foley.takes.guards.fault`. ``sources``: the recordings in it,
    as they must be credited.
    """

    number: int
    seed: int
    wave: np.ndarray
    rate: int
    similarity: float | None
    speech: float | None
    music: float | None
    fault: str
    sources: tuple[Credit, ...]


def seed_of(job: Job, number: int) -> int:
    """The seed of one of a scene's takes; the first one's is the scene's own."""
    seed = job.scene.seed
    return seed if number == 1 else derive_seed(seed, f"candidate {number - 1}")


class Studio:
    """Makes takes with one set of models; what is not needed is not loaded."""

    def __init__(self, models: Models, progress: Progress = SILENT) -> None:
        self.models, self.progress = models, progress
        self._negatives: dict[str, np.ndarray] = {}

    @cached_property
    def guard(self) -> guards.Guard:
        """Tells speech and music by the pack's CLAP."""
        return guards.Guard.of(self.models)

    @cached_property
    def library(self) -> Library:
        """The user's own recordings. Raises InputError where there are none."""
        from v2a_foley.library import open_library

        return open_library(self.models, self.progress)

    def kept(self, job: Job, number: int) -> Take | None:
        """The take that was made before from the same inputs."""
        entry = cache.get(self._key(job, number))
        if entry is None:
            return None
        arrays, notes = entry
        values = json.loads(notes["take"])
        values["sources"] = tuple(values["sources"])
        return Take(number=number, seed=seed_of(job, number), wave=arrays["wave"], **values)

    def make(
        self, demands: Sequence[Demand], report: Callable[[float], None] = lambda share: None
    ) -> list[Take]:
        """Make takes whose jobs share their sampler's settings, and keep them."""
        drafts = self._generated(demands, report)
        rows = [
            draft if job.preset.generation.source == "generated" else self._layered(job, n, draft)
            for (job, n), draft in zip(demands, drafts, strict=True)
        ]
        heard = self._heard(demands, [(wave, rate) for wave, rate, _ in rows])
        made = []
        for (job, number), (wave, rate, sources), scores in zip(demands, rows, heard, strict=True):
            fault = guards.fault(wave, rate)
            seed = seed_of(job, number)
            take = Take(number, seed, wave.astype(np.float32), rate, *scores, fault, sources)
            values = {k: v for k, v in asdict(take).items() if k not in ("number", "seed", "wave")}
            cache.put(self._key(job, number), {"wave": take.wave}, {"take": json.dumps(values)})
            made.append(take)
        return made

    def _key(self, job: Job, number: int) -> str:
        generation = asdict(job.preset.generation)
        shaping = {name: generation[name] for name in SHAPING}
        seed, pack = seed_of(job, number), self.models.pack.id
        found = ""
        if shaping["source"] != "generated":
            found = pieces_key(self.library, job.condition, seed)
        return cache.key("take", 3, pack, found, shaping, job.conditions, job.seconds, seed)

    def _generated(
        self, demands: Sequence[Demand], report: Callable[[float], None]
    ) -> list[tuple[np.ndarray, int, tuple[Credit, ...]]]:
        """What the generator makes for each demand: wave, rate and sources; none where unasked."""
        asked = [i for i, (job, _) in enumerate(demands) if _generates(job)]
        drafts: list[tuple[np.ndarray, int, tuple[Credit, ...]]]
        drafts = [(np.zeros(0, np.float32), LIBRARY_RATE, ())] * len(demands)
        if not asked:
            return drafts
        generator, g = self.models.generator, demands[asked[0]][0].preset.generation
        waves = generator.generate(
            [self._request(*demands[i]) for i in asked],
            unconditional=self.models.bank.empty,
            steps=g.steps,
            guidance=g.guidance,
            scheduler=g.scheduler,
            progress=report,
        )
        for i, wave in zip(asked, waves, strict=True):
            sources = tuple(item.credit for item in self._started(*demands[i]))
            drafts[i] = wave, generator.sample_rate, sources
        return drafts

    def _request(self, job: Job, number: int) -> Request:
        g, seed = job.preset.generation, seed_of(job, number)
        chosen, start = self._started(job, number), None
        if chosen and self.models.recordings is not None:
            rate = self.models.generator.sample_rate
            start = self.models.recordings.start(chosen, job.seconds, rate, seed)
        return Request(job.conditions, job.seconds, seed, self._negative(job), start, g.seeded)

    def _negative(self, job: Job) -> np.ndarray | None:
        text = job.preset.generation.negative
        if text and text not in self._negatives:
            self._negatives[text] = self.models.clap.texts([text])[0]
        return self._negatives.get(text)

    def _started(self, job: Job, number: int) -> tuple[Recording, ...]:
        """The recordings that a take starts from, if any."""
        if self.models.recordings is None or job.preset.generation.seeded == 0:
            return ()
        return self.models.recordings.choose(job.condition, seed_of(job, number))

    def _layered(
        self, job: Job, number: int, draft: tuple[np.ndarray, int, tuple[Credit, ...]]
    ) -> tuple[np.ndarray, int, tuple[Credit, ...]]:
        """The library's sound, over the generated one where both are wanted."""
        from v2a_foley.media.audio import resample

        wave, credits = self.library.take(
            job.condition, job.seconds, LIBRARY_RATE, seed_of(job, number)
        )
        made, rate, sources = draft
        if len(made):
            made = resample(np.ascontiguousarray(made, np.float32), rate, to=LIBRARY_RATE)
            made = set_level(made[: len(wave)], LIBRARY_RATE, LAYER_DB)
            wave = set_level(wave, LIBRARY_RATE, LAYER_DB)
            wave[: len(made)] += made
            wave /= max(1.0, float(np.abs(wave).max(initial=0.0)))
        return wave, LIBRARY_RATE, sources + credits

    def _heard(
        self, demands: Sequence[Demand], waves: Sequence[tuple[np.ndarray, int]]
    ) -> list[tuple[float | None, float | None, float | None]]:
        """Similarity, speech and music of each wave; None where CLAP cannot hear."""
        clap = self.models.clap
        if not clap.has_audio:
            return [(None, None, None)] * len(waves)
        heard = np.concatenate([clap.sounds([wave], rate) for wave, rate in waves])
        near = [float(h @ job.condition) for h, (job, _) in zip(heard, demands, strict=True)]
        scores = self.guard.scores(heard)
        return [(n, float(s), float(m)) for n, (s, m) in zip(near, scores, strict=True)]


def _generates(job: Job) -> bool:
    return job.preset.generation.source != "library"


# Several scenes together -------------------------------------------------------------------------


def chunks(jobs: Sequence[Job], models: Models) -> Iterator[list[Job]]:
    """Jobs that one call of the generator can serve: alike in sampler, and about as long."""
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        g = job.preset.generation
        groups.setdefault((_generates(job), g.steps, g.guidance, g.scheduler), []).append(job)
    for (generates, *_), group in groups.items():
        frames = models.generator.frames if generates else float
        chunk: list[Job] = []
        for job in sorted(group, key=lambda job: frames(job.seconds)):
            if chunk and sum(each.count for each in chunk) + job.count > CHUNK:
                yield chunk
                chunk = []
            chunk.append(job)
        yield chunk


def warn(jobs: Sequence[Job], models: Models, progress: Progress) -> None:
    """Say what these models cannot do of what was asked for."""
    generation = [job.preset.generation for job in jobs]
    if not models.clap.has_audio:
        if any(g.candidates > 1 for g in generation):
            progress.note("this pack has no CLAP audio tower to rank candidates by")
        if any(g.guard for g in generation):
            progress.note("this pack has no CLAP audio tower to hear music or speech by: no guard")
    stated = (job.preset.stated.get("generation", {}) for job in jobs)
    if models.recordings is None and any("seeded" in values for values in stated):
        progress.note("this pack has no recordings to start from: 'seeded' does nothing with it")
