"""What a sound must not be: speech or music that nobody asked for, silent, clipped, off zero."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from v2a_foley.media.audio import RATE, Sound

SILENCE_DB = -60.0  # dBFS; a window is silent if no part of it is louder
DC = 0.5  # share of the RMS
FULL = 0.999  # from here on a sample is at full scale
CLIPPED = 1e-4  # share of the samples that are held there
LIMIT = 0.5  # score from which on a sound is speech or music
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


def is_silent(sound: Sound, rate: int = RATE) -> bool:
    """Whether no tenth of a second of ``sound`` (mono) has an RMS above -60 dBFS."""
    power = np.square(sound, dtype=np.float64)
    part = rate // 10
    if len(power) > part:
        power = power[: len(power) // part * part].reshape(-1, part).mean(1)
    elif len(power):
        power = power.mean(keepdims=True)
    return bool(power.max(initial=0.0) < 10 ** (SILENCE_DB / 10))


def fault(wave: np.ndarray, rate: int) -> str:
    """What is technically wrong with a wave (float32 ``(samples,)``, full scale at 1.0).

    ``silent``: see :func:`is_silent`. ``dc``: it stands beside zero by more than it swings.
    ``clipped``: its tops are cut off at full scale. Else ``""``.
    """
    mean = float(wave.mean(dtype=np.float64)) if len(wave) else 0.0
    if is_silent(wave - np.float32(mean), rate):
        return "silent"
    if abs(mean) > DC * float(wave.std(dtype=np.float64)):
        return "dc"
    flat = np.abs(wave) >= FULL
    held = flat[2:] & flat[1:-1] & flat[:-2]
    return "clipped" if held.sum() > CLIPPED * len(wave) else ""


def offence(speech: float | None, music: float | None, guarded: Collection[str]) -> str:
    """Which of the guarded kinds a sound is, by its scores; nothing where it is none."""
    for kind, score in (("speech", speech), ("music", music)):
        if kind in guarded and score is not None and score > LIMIT:
            return kind
    return ""


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
