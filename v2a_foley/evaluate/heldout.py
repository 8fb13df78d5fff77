"""The held-out pairs that mappers are judged on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.errors import InputError, ModelError
from v2a_foley.evaluate.retrieval import distinct
from v2a_foley.pairs.dataset import Pairs

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

FEWEST = 5  # scenes and sounds; of fewer no measure means anything


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Scenes and sounds, each once, however many pairs it is in.

    ``scenes`` are indices into ``pairs``, ``labels`` their classes ("" where unknown). ``sounds``
    is ``(m, d_clap)``, unit length; ``owned[i]`` says which of them belong to scene ``i``: a
    picture may be paired with several recordings of what it shows.
    """

    pairs: Pairs
    scenes: list[int]
    labels: list[str]
    sounds: np.ndarray
    sound_labels: list[str]
    owned: list[list[int]]

    @classmethod
    def open(cls, folder: Path, split: str) -> HeldOut:
        """Read a split of a pairs folder.

        Raises:
            InputError: it is missing, damaged, or holds too few scenes or sounds.
        """
        pairs = Pairs.open(folder, split=split)
        scenes, scene_of = distinct(pairs.frames(i) for i in range(len(pairs)))
        audio = pairs.audio(slice(None))
        sounds, sound_of = distinct(audio)
        if min(len(scenes), len(sounds)) < FEWEST:
            raise InputError(
                f"{folder}: its split '{split}' has {len(scenes)} different scenes and "
                f"{len(sounds)} different sounds; {FEWEST} are needed: embed more sources"
            )
        owned: list[set[int]] = [set() for _ in scenes]
        for scene, sound in zip(scene_of, sound_of, strict=True):
            owned[scene].add(sound)
        return cls(
            pairs,
            scenes,
            [pairs.records[i].label for i in scenes],
            audio[sounds],
            [pairs.records[i].label for i in sounds],
            [sorted(each) for each in owned],
        )

    def seen(self) -> np.ndarray:
        """The mean frame of each scene, ``(n, d_clip)``, unit length."""
        means = np.stack([self.pairs.frames(i).mean(0) for i in self.scenes])
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)

    def partners(self) -> list[int]:
        """The one sound of each scene, -1 where it has several, which say but its class."""
        return [own[0] if len(own) == 1 else -1 for own in self.owned]


def check_pack(pairs: Pairs, models: Models) -> None:
    """See that pairs were embedded by the CLIP and the CLAP of the pack in use.

    Raises:
        ModelError: they were not; names both.
    """
    from v2a_foley.models.clap import AGREEMENT, agreement

    advice = f"use the pack that made them ({pairs.pack}) or embed the sources again"
    if pairs.clip_id != models.pack.clip_id:
        raise ModelError(
            f"{pairs.folder}: these pairs were made with the CLIP '{pairs.clip_id}', the pack in "
            f"use has '{models.pack.clip_id}': {advice}"
        )
    if pairs.d_clip != models.bank.seen.shape[1]:
        raise ModelError(
            f"{pairs.folder}: these pairs have {pairs.d_clip} dimensions, the pack's CLIP "
            f"{models.bank.seen.shape[1]}: {advice}"
        )
    cosine = agreement(pairs.fingerprint, models.bank.fingerprint)
    if not cosine > AGREEMENT:
        raise ModelError(
            f"{pairs.folder}: these pairs were made with another CLAP than the pack's (they agree "
            f"to {cosine:.3f}, {AGREEMENT} is needed): {advice}"
        )


def spoken(label: str) -> str:
    """The text that stands for a class: the phrase bank's, or words around the label."""
    words = " ".join(label.replace("_", " ").split()).lower()
    return _bank().get(words, f"the sound of {words}")


@cache
def _bank() -> dict[str, str]:
    from v2a_foley.mapper.bridge import phrases

    return {row.concept: row.sound for row in phrases()}
