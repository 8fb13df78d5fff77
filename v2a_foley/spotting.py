"""Spotting: one pass over a video gives its scenes, what they show and how they move."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley import cache, frames, presets
from v2a_foley.cuesheet import CueSheet, Scene, derive_seed, fingerprint, save
from v2a_foley.errors import MediaError
from v2a_foley.frames import Frames
from v2a_foley.media.probe import MediaInfo, probe
from v2a_foley.presets import Tag
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from v2a_foley.media.scenes import KnownScenes, SceneDetector
    from v2a_foley.models.bundle import Models

TAGS = 5
WAITING = 4  # batches of frames that may wait for the encoder
TAG_TEMPERATURE = 0.02  # of the zero-shot softmax over the phrase bank


@dataclass(frozen=True, slots=True)
class SpotSettings:
    """How scenes are found and frames are chosen.

    ``threshold`` None is the detector's own; ``min_scene`` is in seconds, ``rate`` in sampled
    frames a second. ``scenes`` are bounds in seconds that are known, so that none are detected.
    """

    detector: str = "adaptive"
    threshold: float | None = None
    min_scene: float = 0.6
    rate: float = 2.0
    scenes: tuple[tuple[float, float], ...] | None = None

    def finder(self) -> SceneDetector | KnownScenes:
        """What finds the scenes in the decoding pass."""
        from v2a_foley.media.scenes import KnownScenes, SceneDetector

        if self.scenes is not None:
            return KnownScenes(self.scenes)
        return SceneDetector(self.detector, self.threshold, self.min_scene)


DEFAULTS = SpotSettings()


@dataclass(frozen=True, slots=True)
class Pass:
    """What the decoding pass gives: scene bounds in seconds, the frames and the duration."""

    scenes: list[tuple[float, float]]
    frames: Frames
    duration: float


def detect(
    video: Path, settings: SpotSettings = DEFAULTS, progress: Progress = SILENT
) -> list[tuple[float, float]]:
    """The scenes of a video as ``(start, end)`` seconds; needs no model."""
    from v2a_foley.media.decode import decode

    info = probe(video)
    finder = settings.finder()
    decode(info, [finder], progress=_share(progress))
    return finder.scenes


def spot(
    video: Path,
    sheet: Path,
    *,
    models: Models,
    preset: str | None = None,
    seed: int = 0,
    settings: SpotSettings = DEFAULTS,
    progress: Progress = SILENT,
) -> CueSheet:
    """Spot ``video`` and write the cue sheet ``sheet`` and its artefacts folder.

    ``preset`` is given to every scene; without it each gets the one whose rules match what it
    shows. ``seed`` is the run's, from which every scene derives its own.
    """
    if preset is not None:
        presets.find(preset)
    info = probe(video)
    mark = fingerprint(video)
    seen = _seen(info, mark, models, settings, progress)
    progress.stage("load", 0.0)
    models.bank  # noqa: B018 - embeds the phrases where this pack has not been used before
    progress.stage("load", 1.0)
    known = [] if preset else presets.load_all()
    scenes = []
    for number, (start, end) in enumerate(seen.scenes, 1):
        tags = tag(seen.frames.mean(start, end), models)
        name = preset or presets.match(tags, known).name
        scene_id = f"{number:03d}"
        scenes.append(Scene(scene_id, start, end, name, derive_seed(seed, scene_id), tags))
    made = CueSheet(
        video=video,
        duration=seen.duration,
        fingerprint=mark,
        scenes=tuple(scenes),
        pack=models.pack.name,
        preset=preset,
        seed=seed,
    )
    sheet.parent.mkdir(parents=True, exist_ok=True)
    saved = save(made, sheet)
    frames.save(seen.frames, saved.artefacts)
    return saved


def tag(embedding: np.ndarray, models: Models, count: int = TAGS) -> tuple[Tag, ...]:
    """The concepts a CLIP embedding ``(d,)`` shows, best first, scored by zero-shot softmax."""
    from v2a_foley.mapper.bridge import phrases

    keys = models.bank.seen + models.bank.named
    cosines = keys @ embedding / np.linalg.norm(keys, axis=1)
    scores = np.exp((cosines - cosines.max()) / TAG_TEMPERATURE)
    scores /= scores.sum()
    rows = phrases()
    best = np.argsort(-scores)[:count]
    return tuple(Tag(rows[i].concept, rows[i].group, float(scores[i])) for i in best)


def _seen(
    info: MediaInfo, mark: str, models: Models, settings: SpotSettings, progress: Progress
) -> Pass:
    """The decoding pass, or what an earlier one with the same settings saw."""
    name = cache.key("spot", 1, mark, models.pack.id, asdict(settings))
    kept = cache.get(name)
    if kept is None:
        seen = _look(info, models, settings, progress)
        arrays = {
            "scenes": np.array(seen.scenes),
            "duration": np.array([seen.duration]),
            "times": seen.frames.times,
            "embeddings": seen.frames.embeddings,
            "motion_times": seen.frames.motion_times,
            "motion": seen.frames.motion,
        }
        cache.put(name, arrays, {})
        return seen
    arrays = kept[0]
    bounds = [(float(start), float(end)) for start, end in arrays.pop("scenes")]
    duration = float(arrays.pop("duration")[0])
    progress.stage("spot", 1.0)
    return Pass(bounds, Frames(**arrays, clip_id=models.pack.clip_id), duration)


def _look(info: MediaInfo, models: Models, settings: SpotSettings, progress: Progress) -> Pass:
    """Decode once: the scene finder, the CLIP sampler and the motion curve share every frame."""
    from v2a_foley.media.decode import decode
    from v2a_foley.media.frames import FrameSampler
    from v2a_foley.media.motion import MotionCurve

    times: list[float] = []
    batches: list[Future[np.ndarray]] = []
    room = BoundedSemaphore(WAITING)

    def encode(images: list[np.ndarray]) -> np.ndarray:
        try:
            return models.clip.images(images)
        finally:
            room.release()

    def embed(images: list[np.ndarray], at: list[float]) -> None:
        room.acquire()
        batches.append(encoder.submit(encode, images))
        times.extend(at)

    finder = settings.finder()
    sampler = FrameSampler(finder, embed, rate=settings.rate)
    motion = MotionCurve()
    # Another thread loads the models and encodes: decoding does not wait for them.
    with ThreadPoolExecutor(1) as encoder:
        encoder.submit(lambda: models.bank)
        try:
            passed = decode(info, [finder, sampler, motion], progress=_share(progress))
        except BaseException:
            encoder.shutdown(cancel_futures=True)
            raise
        embeddings = [batch.result() for batch in batches]
    if not times:
        raise MediaError(f"{info.path}: no frame of this video can be used")
    if passed.skipped:
        progress.note(f"{info.path.name}: {passed.skipped} damaged frames were skipped")
    order = np.argsort(times, kind="stable")
    seen = Frames(
        np.array(times)[order],
        np.concatenate(embeddings)[order],
        motion.times,
        motion.values,
        models.pack.clip_id,
    )
    return Pass(list(finder.scenes), seen, passed.duration)


def _share(progress: Progress) -> Callable[[float, float], None]:
    def report(done: float, total: float) -> None:
        progress.stage("spot", min(1.0, done / total) if total else 0.0)

    return report
