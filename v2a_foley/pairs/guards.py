"""Which windows teach nothing: silent ones, and those that speech or music dominates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from v2a_foley.media.audio import RATE, Sound

SILENCE_DB = -60.0  # dBFS; a window is silent if no part of it is louder
_PART = RATE // 10
TEMPERATURE = 0.1
PROMPTS: dict[str, tuple[str, ...]] = {
    "speech": ("a person speaking", "people talking in a conversation", "a narrator's voice"),
    "music": ("music playing", "a song with singing", "instrumental background music"),
    "other": (
        "an animal making a sound", "footsteps", "an engine running", "water flowing", "wind",
        "rain and thunder", "something hitting something", "glass breaking", "a door closing",
        "an explosion", "an alarm ringing", "a machine working", "fire crackling",
        "a crowd cheering", "birds singing", "rustling and clicking",
    ),
}  # fmt: skip


def is_silent(sound: Sound) -> bool:
    """Whether no tenth of a second of ``sound`` (mono, 48 kHz) has an RMS above -60 dBFS."""
    power = np.square(sound, dtype=np.float64)
    if len(power) > _PART:
        power = power[: len(power) // _PART * _PART].reshape(-1, _PART).mean(1)
    elif len(power):
        power = power.mean(keepdims=True)
    return bool(power.max(initial=0.0) < 10 ** (SILENCE_DB / 10))


class Guard:
    """Zero-shot scores of speech and music: how far each is what CLAP hears.

    ``texts`` embeds captions into the space of the sounds, as :meth:`Clap.texts` does.
    """

    def __init__(self, texts: Callable[[Sequence[str]], np.ndarray]) -> None:
        self._kinds = {kind: texts(prompts) for kind, prompts in PROMPTS.items()}

    def scores(self, audio: np.ndarray) -> np.ndarray:
        """Scores of speech and of music, 0 to 1: ``(n, 2)`` for sounds ``(n, d_clap)``."""
        cosines = [(audio @ prompts.T).max(1) for prompts in self._kinds.values()]
        logits = np.stack(cosines, 1) / TEMPERATURE
        exponents = np.exp(logits - logits.max(1, keepdims=True))
        return (exponents / exponents.sum(1, keepdims=True))[:, :2]
