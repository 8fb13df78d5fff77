"""Audition: a scene's takes are heard, and the one that is kept is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from v2a_foley.progress import Progress
from v2a_foley.stems import fit
from v2a_foley.takes import guards
from v2a_foley.takes.jobs import Job
from v2a_foley.takes.studio import Credit, Studio, Take, chunks, warn
from v2a_foley.timing import sync

REROLLS = 3  # further takes where all are rejected
ON_TIME = 0.08  # seconds by which onsets may miss the picture's and still belong to it


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of a scene's sounds, as it is kept on disk under its ``number`` (from 1).

    ``fault``: why it was rejected: ``speech``, ``music``, ``silent``, ``clipped``, ``dc`` or
    nothing. ``offset``: mean distance of its onsets from the picture's in seconds, None where
    they were not placed. The others are those of a take.
    """

    number: int
    seed: int
    similarity: float | None
    speech: float | None
    music: float | None
    fault: str
    offset: float | None
    sources: tuple[Credit, ...]


class Audition:
    """The takes of one scene, and the choice among them."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.takes: dict[int, Take] = {}
        self._fitted: dict[int, tuple[np.ndarray, float | None]] = {}

    def missing(self) -> list[int]:
        """Numbers of the takes that must be made before the choice.

        First the scene's candidates and the one picked by ear; where all of them are rejected,
        one more at a time.
        """
        job = self.job
        first = [*range(1, job.count + 1), *([job.scene.pick] if job.scene.pick else [])]
        lacking = [number for number in dict.fromkeys(first) if number not in self.takes]
        if lacking or job.scene.pick or any(not self.fault(take) for take in self.takes.values()):
            return lacking
        further = range(job.count + 1, job.count + 1 + REROLLS)
        return [number for number in further if number not in self.takes][:1]

    def fault(self, take: Take) -> str:
        """Why a take is rejected; nothing where it is not."""
        return take.fault or guards.offence(
            take.speech, take.music, self.job.preset.generation.guard
        )

    @property
    def _placing(self) -> bool:
        """Whether onsets are laid on the picture's."""
        return self.job.preset.timing.sync == "onset"

    def _offset(self, take: Take) -> float | None:
        return self.fitted(take)[1] if self._placing else None

    def fitted(self, take: Take) -> tuple[np.ndarray, float | None]:
        """A take as a stem ``(samples,)`` at 48 kHz, and its onsets' offset in seconds."""
        if take.number not in self._fitted:
            self._fitted[take.number] = self._fit(take)
        return self._fitted[take.number]

    def _fit(self, take: Take) -> tuple[np.ndarray, float | None]:
        from v2a_foley.media.audio import RATE

        job, timing = self.job, self.job.preset.timing
        wave, offset = take.wave, None
        if self._placing:
            placed = sync.place(wave, take.rate, job.seconds, job.events)
            wave, offset = placed.wave, placed.offset
        audio = fit(wave, take.rate, job.seconds)
        if timing.follow:
            begin, bounds = job.scene.start - job.handle, (job.scene.start, job.scene.end)
            audio = sync.follow(audio, RATE, job.seen, begin, timing.follow, bounds)
        return audio, offset

    @property
    def chosen(self) -> Take:
        """The one picked by ear, else the best: sound, not guarded, on time, near its condition."""
        picked = self.takes.get(self.job.scene.pick or 0)
        return picked or max(self.takes.values(), key=self._worth)

    def _worth(self, take: Take) -> tuple[bool, bool, bool, float, int]:
        offset = self._offset(take)
        on_time = not self._placing or (offset is not None and offset <= ON_TIME)
        similarity = -1.0 if take.similarity is None else take.similarity
        return not take.fault, not self.fault(take), on_time, similarity, -take.number

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All takes in short, in order of their numbers."""
        return tuple(
            Candidate(
                take.number,
                take.seed,
                take.similarity,
                take.speech,
                take.music,
                self.fault(take),
                self._offset(take),
                take.sources,
            )
            for _, take in sorted(self.takes.items())
        )


def recall(audition: Audition, studio: Studio) -> bool:
    """Add the takes that were made before; whether nothing is missing then."""
    while missing := audition.missing():
        found = [studio.kept(audition.job, number) for number in missing]
        audition.takes |= {take.number: take for take in found if take is not None}
        if None in found:
            return False
    return True


def perform(
    auditions: Sequence[Audition], studio: Studio, progress: Progress
) -> Iterator[Audition]:
    """Make what is missing; scenes that sample alike share the generator's batches."""
    if not auditions:
        return
    jobs = [audition.job for audition in auditions]
    of = {id(audition.job): audition for audition in auditions}
    progress.stage("load", 0.0)
    if any(job.preset.generation.source != "library" for job in jobs):
        _ = studio.models.generator
    progress.stage("load", 1.0)
    warn(jobs, studio.models, progress)
    total, done = sum(job.seconds for job in jobs), 0.0
    for chunk in chunks(jobs, studio.models):
        length = sum(job.seconds for job in chunk)
        together = [of[id(job)] for job in chunk]
        while demands := [(a.job, number) for a in together for number in a.missing()]:

            def report(share: float, base: float = done, part: float = length) -> None:
                progress.stage("render", (base + share * part) / total)

            for (job, number), take in zip(demands, studio.make(demands, report), strict=True):
                of[id(job)].takes[number] = take
        done += length
        yield from together
