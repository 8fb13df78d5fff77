"""What a sound must not be: speech or music that nobody asked for, silent, clipped, off zero."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley import cache

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

SILENCE_DB = -60.0  # dBFS; a window is silent if no part of it is louder
DC = 1.0  # times the RMS of what sounds
FULL = 0.999  # of full scale, or of a higher peak: from here on a sample is at the top
CLIPPED = 1e-3  # share of the samples that are held there
LIMIT = 0.5  # score from which on a sound is speech or music
TEMPERATURE = 0.1
MARGIN, SPREAD = 0.05, 0.05  # cosine by which a sound may be nearer to known ones and be speech
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


def is_silent(sound: np.ndarray, rate: int) -> bool:
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
    ``clipped``: its tops are cut off at full scale, not just high. Else ``""``.
    """
    mean = float(wave.mean(dtype=np.float64)) if len(wave) else 0.0
    if is_silent(wave - np.float32(mean), rate):
        return "silent"
    if abs(mean) > DC * float(wave.std(dtype=np.float64)):
        return "dc"
    heights = np.abs(wave)
    top = max(FULL, float(heights.max()) * FULL)
    flat = heights >= top
    held = flat[2:] & flat[1:-1] & flat[:-2]
    return "clipped" if held.sum() > CLIPPED * len(wave) else ""


def offence(speech: float | None, music: float | None, guarded: Collection[str]) -> str:
    """Which of the guarded kinds a sound is, by its scores; nothing where it is none."""
    for kind, score in (("speech", speech), ("music", music)):
        if kind in guarded and score is not None and score > LIMIT:
            return kind
    return ""


class Guard:
    """Scores of speech and music: how far each is what CLAP hears, 0 to 1, an offence from 0.5.

    Zero-shot over several captions a kind. ``texts`` embeds captions into the space of the
    sounds, as :meth:`Clap.texts` does. A CLAP that learnt from few words does not know speech by
    name; where ``known`` ``(k, d_clap)`` are real sounds without speech, speech is therefore what
    is nearer to ``voices`` ``(v, d_clap)``, see :mod:`v2a_foley.takes.voices`, than to them.
    """

    def __init__(
        self,
        texts: Callable[[Sequence[str]], np.ndarray],
        voices: np.ndarray | None = None,
        known: np.ndarray | None = None,
    ) -> None:
        self._kinds = {kind: texts(prompts) for kind, prompts in PROMPTS.items()}
        self._voices, self._known = voices, known

    @classmethod
    def of(cls, models: Models) -> Guard:
        """The guard of a pack: with voices where it can hear and has recordings."""
        if models.recordings is None or not models.clap.has_audio:
            return cls(models.clap.texts)
        return cls(models.clap.texts, _heard(models), models.recordings.embeddings)

    def scores(self, audio: np.ndarray) -> np.ndarray:
        """Scores of speech and of music, 0 to 1: ``(n, 2)`` for sounds ``(n, d_clap)``."""
        cosines = [(audio @ prompts.T).max(1) for prompts in self._kinds.values()]
        logits = np.stack(cosines, 1) / TEMPERATURE
        exponents = np.exp(logits - logits.max(1, keepdims=True))
        scores = (exponents / exponents.sum(1, keepdims=True))[:, :2]
        if self._voices is not None and self._known is not None:
            nearer = (audio @ self._voices.T).max(1) - (audio @ self._known.T).max(1)
            speech = 1 / (1 + np.exp(-(nearer + MARGIN) / SPREAD))
            scores[:, 0] = np.minimum(speech, 1 - scores[:, 1])  # a tune is nearly sung
        return scores


def _heard(models: Models) -> np.ndarray:
    """The made voices in a pack's space, embedded once a pack and kept: ``(v, d_clap)``."""
    from v2a_foley.takes import voices

    name = cache.key("voices", 1, models.pack.id, voices.COUNT)
    kept = cache.get(name)
    if kept is None:
        arrays = {"voices": models.clap.sounds(voices.voices(), voices.RATE)}
        cache.put(name, arrays, {})
    else:
        arrays = kept[0]
    return arrays["voices"]
