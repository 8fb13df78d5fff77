"""Steering: what a scene is to sound like, from its frames, a prompt and a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley import cache
from v2a_foley.cuesheet import Scene
from v2a_foley.errors import CueSheetError, FoleyError, ModelError
from v2a_foley.frames import Frames
from v2a_foley.models.packs import sha256
from v2a_foley.models.windows import window_starts
from v2a_foley.presets import Preset

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LONGEST = 30  # seconds of a reference sound that are listened to


@dataclass(frozen=True, slots=True)
class Condition:
    """CLAP embeddings ``(k, d_clap)``, unit length, and what they were made of by name."""

    embeddings: np.ndarray
    inputs: dict[str, Any] = field(default_factory=dict)


def condition(
    scene: Scene,
    preset: Preset,
    handle: float,
    seen: Frames,
    models: Models,
    folders: Sequence[Path],
) -> Condition:
    """Map a scene's frames into CLAP's space and blend in the reference, then the prompt.

    One embedding for each of the scene's windows, or one for all where the mapper wants the
    scene as a whole. Both spaces are joint with text, so that interpolating a condition towards
    another picture, sound or text works (V2A-Mapper, section 4.4). A
    reference and a mapper file are looked for in ``folders``, in their order.

    Raises:
        CueSheetError: the reference is missing or cannot be read.
        ModelError: the mapper does not fit the models, or the pack cannot hear a reference.
    """
    g = preset.generation
    try:
        own = models.with_mapper(g.mapper, _home(g.mapper, folders))
    except ModelError as error:
        raise ModelError(f"{error}; scene {scene.id} asks for it") from None
    spans = _spans(scene, handle, own)
    frames = [seen.between(start, end) for start, end in spans]
    settings: dict[str, Any] = {"temperature": g.temperature, "top_k": g.top_k, "seed": scene.seed}
    mapped = own.map(frames, **settings)
    inputs: dict[str, Any] = {
        "mapper": own.mapper_id,
        "picture": cache.key(*frames)[:12],
    }
    if g.reference and g.reference_weight > 0:
        path = _home(g.reference, folders) / g.reference
        mapped = _blend(mapped, _reference(path, scene, own, settings), g.reference_weight)
        inputs["reference"] = sha256(path)[:12]
    if g.prompt and g.prompt_weight > 0:
        mapped = _blend(mapped, models.clap.texts([g.prompt])[0], g.prompt_weight)
    return Condition(models.focus(mapped, g.focus), inputs)


def _home(name: str, folders: Sequence[Path]) -> Path:
    """The first of the folders that has a file of this name, or else the first."""
    return next((each for each in folders if (each / name).is_file()), folders[0])


def _spans(scene: Scene, handle: float, models: Models) -> list[tuple[float, float]]:
    """The time of the scene that each of its windows covers, or all of it."""
    if not models.per_window:
        return [(scene.start, scene.end)]
    window = models.pack.window
    starts = window_starts(scene.duration + 2 * handle, window)
    begun = [scene.start - handle + start for start in starts]
    return [(max(scene.start, at), min(scene.end, at + window)) for at in begun]


def _blend(embeddings: np.ndarray, other: np.ndarray, weight: float) -> np.ndarray:
    """Interpolate unit vectors ``(k, d)`` towards ``(d,)`` and bring them back to unit length."""
    mixed = (1 - weight) * embeddings + weight * other
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True).clip(1e-9)


def _reference(path: Path, scene: Scene, models: Models, settings: dict[str, Any]) -> np.ndarray:
    """A picture as the mapper hears it, or a sound as CLAP does: ``(d_clap,)``."""
    if not path.is_file():
        raise CueSheetError(
            f"{path}: the reference of scene {scene.id} is not there: put it back, or change "
            "'reference' (a path is relative to the cue sheet)"
        )
    if path.suffix.lower() in PICTURES:
        picture = models.clip.images([_picture(path, scene)])
        return models.map([picture], **settings)[0]
    if models.pack.clap_audio is None:
        raise CueSheetError(
            f"{path}: the reference of scene {scene.id} is a sound, and model pack "
            f"'{models.pack.name}' has no CLAP audio tower to hear it: use a picture, or a pack "
            "that has one ('v2a-foley models convert')"
        )
    return models.clap.sounds([_sound(path, scene)], _RATE)[0]


def _picture(path: Path, scene: Scene) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CueSheetError(
            f"{path}: the reference of scene {scene.id} cannot be read as a picture ({error})"
        ) from None


_RATE = 48_000


def _sound(path: Path, scene: Scene) -> np.ndarray:
    from v2a_foley.media.ffmpeg import pipe, source

    graph = source(path).output(
        "pipe:1", map="0:a:0", format="f32le", acodec="pcm_f32le", ac=1, ar=_RATE, t=LONGEST
    )
    try:
        wave = np.frombuffer(b"".join(pipe(graph, subject=path)), "<f4")
    except FoleyError:
        wave = np.zeros(0, np.float32)
    if not np.abs(wave).max(initial=0.0) > 0:
        raise CueSheetError(
            f"{path}: no sound can be read from the reference of scene {scene.id}: use a picture "
            f"({', '.join(PICTURES)}) or a sound file"
        )
    return wave.astype(np.float32)
