"""Rendering: a cue sheet to stems, one WAV a scene. Knows nothing of video files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley import frames, provenance
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import FoleyError, ModelError
from v2a_foley.models.packs import sha256
from v2a_foley.presets import Overrides
from v2a_foley.progress import SILENT, Progress
from v2a_foley.stems import stem_path, take_path
from v2a_foley.takes.audition import Audition, Candidate, perform, recall
from v2a_foley.takes.jobs import Job, jobs
from v2a_foley.takes.studio import Credit, Studio

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models


@dataclass(frozen=True, slots=True)
class RenderedScene:
    """What was rendered for one scene.

    ``seconds``: length of the stem, ``handle`` on both sides included. ``cached``: nothing was
    generated. ``pick``: number of the candidate that was chosen, ``similarity``: cosine of its
    sound to its condition in CLAP's space, None where the pack has no audio tower. ``sources``:
    the recordings in it, as they must be credited. ``changed``: why it was rendered anew.
    """

    id: str
    stem: Path
    seconds: float
    handle: float
    cached: bool
    seed: int
    pick: int
    candidates: tuple[Candidate, ...]
    similarity: float | None
    sources: tuple[Credit, ...]
    notes: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A scene that is heard, and why its stem must be made anew; no reason: it is as it should."""

    id: str
    why: tuple[str, ...]


def render(
    sheet: CueSheet,
    *,
    models: Models,
    overrides: Overrides | None = None,
    keep_takes: bool = True,
    progress: Progress = SILENT,
) -> list[RenderedScene]:
    """Render every scene of ``sheet`` that is heard to ``sheet.artefacts / 'stems'``.

    ``overrides`` come from the command line. ``keep_takes``: every candidate goes into
    ``sheet.artefacts / 'takes'``, to be heard. A stem whose inputs have not changed is left as
    it is; sounds that were made before from the same inputs (conditions, settings, seed,
    models) are reused.

    Raises:
        CueSheetError: what spot saw, or a reference, is missing.
        ModelError: the models do not fit the sheet.
    """
    ((_, made),) = render_all(
        [sheet], models=models, overrides=overrides, keep_takes=keep_takes, progress=progress
    )
    if isinstance(made, FoleyError):
        raise made
    return made


def render_all(
    sheets: Sequence[CueSheet],
    *,
    models: Models,
    overrides: Overrides | None = None,
    keep_takes: bool = True,
    progress: Progress = SILENT,
) -> Iterator[tuple[CueSheet, list[RenderedScene] | FoleyError]]:
    """Render several sheets together, as :func:`render` does each: scenes share batches.

    Yields each sheet as it is complete, or with what was wrong with it.
    """
    studio = Studio(models, progress)
    works: list[_Work] = []
    for sheet in sheets:
        try:
            works.append(_Work(sheet, models, overrides, keep_takes))
        except FoleyError as error:
            yield sheet, error
    try:
        for work in works:
            work.reuse(studio)
        of = {id(audition): work for work in works for audition in work.waiting}
        for work in works:
            if not work.waiting:
                yield work.sheet, work.close()
        for audition in perform([a for w in works for a in w.waiting], studio, progress):
            work = of[id(audition)]
            work.waiting.remove(audition)
            work.finish(audition, cached=False)
            if not work.waiting:
                yield work.sheet, work.close()
    except FoleyError as error:
        yield from ((work.sheet, error) for work in works if not work.closed)
    progress.stage("render", 1.0)


def explain(sheet: CueSheet, *, models: Models, overrides: Overrides | None = None) -> list[Change]:
    """Which scenes :func:`render` would make anew, and why; makes nothing."""
    work = _Work(sheet, models, overrides, keep_takes=True)
    return [Change(job.scene.id, work.why(job)) for job in work.jobs]


class _Work:
    """One sheet's rendering."""

    def __init__(
        self, sheet: CueSheet, models: Models, overrides: Overrides | None, keep_takes: bool
    ) -> None:
        seen = frames.load(sheet.artefacts)
        if seen.clip_id != models.pack.clip_id:
            raise ModelError(
                f"{sheet.path}: was spotted with the CLIP '{seen.clip_id}', the pack in use has "
                f"'{models.pack.clip_id}': run spot again, or use --models {sheet.pack}"
            )
        self.sheet, self.keep_takes = sheet, keep_takes
        self.jobs = list(jobs(sheet, seen, models, overrides))
        self.records = {str(each.get("scene")): each for each in provenance.load(sheet.artefacts)}
        self.waiting: list[Audition] = []
        self.closed = False
        self._made: dict[str, RenderedScene] = {}

    def why(self, job: Job) -> tuple[str, ...]:
        """What has changed since a scene's stem was written."""
        record = self.records.get(job.scene.id)
        if record is None:
            return ("not rendered before",)
        stem = stem_path(self.sheet, job.scene)
        reasons = _differences(record.get("inputs", {}), job.inputs)
        if not reasons and record.get("key") != job.key:
            reasons = ["what it was made with"]
        if not stem.is_file():
            reasons.append("its stem is missing")
        elif not reasons and sha256(stem) != record.get("sha256"):
            reasons.append("its stem is another file than was written")
        return tuple(reasons)

    def reuse(self, studio: Studio) -> None:
        """Leave what is as it should be; finish what needs no generation; the rest waits."""
        for job in self.jobs:
            if not self.why(job) and self._takes_kept(job):
                self._made[job.scene.id] = self._as_before(job)
                continue
            audition = Audition(job)
            if recall(audition, studio):
                self.finish(audition, cached=True)
            else:
                self.waiting.append(audition)

    def _takes_kept(self, job: Job) -> bool:
        numbers = [each["number"] for each in self.records[job.scene.id]["candidates"]]
        return not self.keep_takes or all(
            take_path(self.sheet, job.scene, number).is_file() for number in numbers
        )

    def _as_before(self, job: Job) -> RenderedScene:
        record = self.records[job.scene.id]
        candidates = tuple(
            Candidate(**{**each, "sources": tuple(each["sources"])})
            for each in record["candidates"]
        )
        return RenderedScene(
            id=job.scene.id,
            stem=stem_path(self.sheet, job.scene),
            seconds=job.seconds,
            handle=job.handle,
            cached=True,
            seed=record["seed"],
            pick=record["pick"],
            candidates=candidates,
            similarity=record["similarity"],
            sources=tuple(record["sources"]),
            notes=tuple(record["notes"]),
            changed=(),
        )

    def finish(self, audition: Audition, *, cached: bool) -> None:
        """Write a scene's stem and its takes, and tell what they are."""
        from v2a_foley.media.audio import write_wav

        job, take = audition.job, audition.chosen
        stem = stem_path(self.sheet, job.scene)
        why = self.why(job)
        write_wav(stem, audition.fitted(take)[0], overwrite=True)
        if self.keep_takes:
            self._keep_takes(audition)
        made = RenderedScene(
            id=job.scene.id,
            stem=stem,
            seconds=job.seconds,
            handle=job.handle,
            cached=cached,
            seed=take.seed,
            pick=take.number,
            candidates=audition.candidates,
            similarity=take.similarity,
            sources=take.sources,
            notes=_notes(audition),
            changed=why,
        )
        self._made[made.id] = made
        self.records[made.id] = _record(job, made)

    def _keep_takes(self, audition: Audition) -> None:
        from v2a_foley.media.audio import write_wav

        scene = audition.job.scene
        for number, take in audition.takes.items():
            path = take_path(self.sheet, scene, number)
            write_wav(path, audition.fitted(take)[0], overwrite=True)
        for old in take_path(self.sheet, scene, 1).parent.glob("[0-9]*.wav"):
            if old.stem.isdigit() and int(old.stem) not in audition.takes:
                with suppress(OSError):
                    old.unlink()

    def close(self) -> list[RenderedScene]:
        """Record what the sheet's stems were made of; what was made, in order of time."""
        self.closed = True
        known = [self.records[s.id] for s in self.sheet.scenes if s.id in self.records]
        provenance.save(self.sheet.artefacts, known)
        return [self._made[job.scene.id] for job in self.jobs]


def _record(job: Job, made: RenderedScene) -> dict[str, Any]:
    return {
        "scene": made.id,
        "seed": made.seed,
        "similarity": made.similarity,
        "pick": made.pick,
        "handle": made.handle,
        "generation": asdict(job.preset.generation),
        "timing": asdict(job.preset.timing),
        "sources": made.sources,
        "notes": made.notes,
        "changed": made.changed,
        "candidates": [asdict(each) for each in made.candidates],
        "inputs": dict(job.inputs),
        "key": job.key,
        "sha256": sha256(made.stem),
    }


def _notes(audition: Audition) -> tuple[str, ...]:
    """What is worth telling of a scene: what was rejected, and what had to be kept though bad."""
    faults = {number: audition.fault(take) for number, take in audition.takes.items()}
    kept = faults[audition.chosen.number]
    rejected = [f"{number} ({fault})" for number, fault in sorted(faults.items()) if fault]
    if kept:
        return (f"kept though {kept}: every candidate was rejected",) if rejected else ()
    return (f"rejected: {', '.join(rejected)}",) if rejected else ()


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    now = json.loads(json.dumps(dict(new)))
    return [
        f"{name} {_shown(old.get(name))} -> {_shown(now.get(name))}"
        for name in dict.fromkeys([*now, *old])
        if old.get(name) != now.get(name)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)
