"""What spot saw: the sampled frames' embeddings and the motion curve, beside the cue sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from v2a_foley.errors import CueSheetError

NAME = "frames.safetensors"


@dataclass(frozen=True, slots=True)
class Frames:
    """``times`` ``(n,)`` seconds and ``embeddings`` ``(n, d_clip)`` of the sampled frames.

    ``motion_times`` and ``motion`` ``(m,)``: seconds, and mean luma change a second.
    ``clip_id`` names the CLIP that made the embeddings.
    """

    times: np.ndarray
    embeddings: np.ndarray
    motion_times: np.ndarray
    motion: np.ndarray
    clip_id: str

    def between(self, start: float, end: float) -> np.ndarray:
        """Embeddings of the frames from ``start`` to ``end``, or the nearest one: ``(k, d)``."""
        inside = (self.times >= start - 1e-6) & (self.times < end)
        if not inside.any():
            inside[np.abs(self.times - (start + end) / 2).argmin()] = True
        return self.embeddings[inside]

    def mean(self, start: float, end: float) -> np.ndarray:
        """The mean of :meth:`between`, unit length, ``(d,)``: the paper's aggregator."""
        mean = self.between(start, end).mean(0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)


def save(frames: Frames, folder: Path) -> None:
    """Write ``folder/frames.safetensors`` in one step."""
    from safetensors.numpy import save_file

    from v2a_foley.media.files import atomic

    arrays = {
        "times": frames.times,
        "embeddings": frames.embeddings,
        "motion_times": frames.motion_times,
        "motion": frames.motion,
    }
    with atomic(folder / NAME, overwrite=True) as part:
        save_file(arrays, part, metadata={"clip_id": frames.clip_id})


def load(folder: Path) -> Frames:
    """Read ``folder/frames.safetensors``.

    Raises CueSheetError when it is missing or damaged: the video must be spotted again.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / NAME
    try:
        with safe_open(path, framework="np") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            clip_id = (file.metadata() or {}).get("clip_id", "")
        return Frames(**arrays, clip_id=clip_id)
    except (OSError, SafetensorError, TypeError) as error:
        raise CueSheetError(
            f"{path}: missing or damaged ({error}): run 'v2a-foley spot' on the video again"
        ) from None
