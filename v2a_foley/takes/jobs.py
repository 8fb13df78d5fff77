"""Jobs: what is to be made for each scene of a cue sheet, and everything it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley import cache
from v2a_foley.cuesheet import CueSheet, Scene, resolve
from v2a_foley.frames import Frames
from v2a_foley.library import Library, open_library
from v2a_foley.presets import Overrides, Preset
from v2a_foley.takes import steering
from v2a_foley.timing import sync

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A scene to be rendered.

    ``handle``: seconds before and after the scene. ``conditions`` ``(k, d_clap)``: one for each
    window, or one for all. ``seen``: what the picture shows and how it moves. ``count``: how
    many candidates are made. ``inputs``: what the stem depends on, by name, to tell what changed.
    """

    scene: Scene
    preset: Preset
    handle: float
    conditions: np.ndarray
    seen: Frames
    count: int
    inputs: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Length of the stem, handles included."""
        return round(self.scene.duration + 2 * self.handle, 6)

    @property
    def condition(self) -> np.ndarray:
        """The windows' mean condition ``(d_clap,)``, unit length."""
        mean = self.conditions.mean(0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)

    @property
    def events(self) -> np.ndarray:
        """The onsets of the picture's motion, in seconds from the stem's start."""
        return sync.picture_events(self.seen, self.scene.start, self.scene.end) + self.handle

    @property
    def key(self) -> str:
        """Names the stem by its content."""
        return cache.key("stem", 1, dict(self.inputs), self.conditions)


def jobs(
    sheet: CueSheet, seen: Frames, models: Models, overrides: Overrides | None
) -> Iterator[Job]:
    """The jobs of the scenes that are heard, in order of time.

    Raises:
        CueSheetError: a reference cannot be used.
        InputError: a scene's sound comes from a library, and there is none.
        ModelError: a mapper does not fit.
    """
    settings = [resolve(sheet, scene, command_line=overrides) for scene in sheet.scenes]
    own = handles(
        [scene.duration for scene in sheet.scenes],
        [preset.timing.crossfade for preset in settings],
        models.pack.window,
        [preset.timing.handle for preset in settings],
    )
    library = None
    for scene, preset, handle in zip(sheet.scenes, settings, own, strict=True):
        if sheet.sounds(scene):
            job = _job(sheet, scene, preset, handle, seen, models, overrides)
            if preset.generation.source != "generated":
                library = library or open_library(models)
                found = pieces_key(library, job.condition, scene.seed)
                job = replace(job, inputs=dict(job.inputs) | {"library": found[:12]})
            yield job


def pieces_key(library: Library, condition: np.ndarray, seed: int) -> str:
    """Names by their content the pieces of the user's library that a seed's take is made of."""
    pieces = library.choose(condition, seed)
    return cache.key([[p.file.hash, p.start, p.end, p.file.licence] for p in pieces])


def _job(
    sheet: CueSheet,
    scene: Scene,
    preset: Preset,
    handle: float,
    seen: Frames,
    models: Models,
    overrides: Overrides | None,
) -> Job:
    # The video's folder is the second, for runs that keep no sheet.
    folders = (sheet.path.parent if sheet.path else Path(), sheet.video.parent)
    made = steering.condition(scene, preset, handle, seen, models, folders)
    count = preset.generation.candidates
    if models.pack.clap_audio is None:  # nothing ranks them: more than one only where asked for
        layers = (scene.overrides, sheet.defaults, overrides or {})
        count = count if any("candidates" in each.get("generation", {}) for each in layers) else 1
    inputs = {
        "seed": scene.seed,
        "start": scene.start,
        "end": scene.end,
        "handle": round(handle, 6),
        "pick": scene.pick,
        "models": models.pack.id,
        "candidates": count,
    }
    inputs |= made.inputs
    for section in ("generation", "timing"):
        values = asdict(getattr(preset, section))
        inputs |= {f"{section}.{key}": value for key, value in values.items()}
    for derived in ("generation.candidates", "timing.crossfade", "timing.handle"):
        del inputs[derived]  # told by candidates and handle
    return Job(scene, preset, handle, made.embeddings, seen, count, inputs)


def handles(
    lengths: Sequence[float],
    crossfades: Sequence[float],
    window: float,
    least: Sequence[float] | None = None,
) -> list[float]:
    """Handle of each scene in seconds: half of the longer crossfade at its two ends.

    ``crossfades[i]`` is the fade at the start of scene ``i``. A scene that fits one window is
    not pushed into two by its crossfades; where handles are short, the mix moves the crossfade.
    ``least`` is what each scene gets whatever it costs.
    """
    following = [*crossfades[1:], 0.0]
    wanted = [max(pair) / 2 for pair in zip(crossfades, following, strict=True)]
    asked = [0.0] * len(wanted) if least is None else least
    return [
        max(own, min(handle, (window - length) / 2) if length <= window else handle)
        for handle, length, own in zip(wanted, lengths, asked, strict=True)
    ]
