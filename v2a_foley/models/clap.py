"""CLAP: the sound space. A text tower always, an audio tower where the pack has one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley.errors import ModelError
from v2a_foley.level import set_level
from v2a_foley.models.packs import Pack, require_intact
from v2a_foley.models.runtime import prepare

if TYPE_CHECKING:
    import torch

# Two CLAPs share a space when they agree on these (cosine over 0.99 on each).
FINGERPRINT_PROMPTS = (
    "a dog barking",
    "heavy rain on a tin roof",
    "footsteps on gravel",
    "a steam train passing by",
    "people applauding in a hall",
    "an explosion in the distance",
    "waves breaking on a beach",
    "a piano playing a slow melody",
)
AGREEMENT = 0.99
AUDIO_BATCH = 16


class Clap:
    """A pack's CLAP. Embeddings are float32 ``(n, dim)`` on the CPU, L2-normalised.

    The text tower is the generator's own, so that prompts, negatives and the generator share
    one space; an audio tower of another space is refused when the pack is checked.
    """

    def __init__(self, pack: Pack, device: torch.device) -> None:
        prepare()
        from transformers import AutoTokenizer, ClapTextModelWithProjection

        self.device = device
        self._pack = pack
        folder = pack.generator
        require_intact(pack, f"{folder.relative_to(pack.folder)}/text_encoder/")
        require_intact(pack, f"{folder.relative_to(pack.folder)}/tokenizer/")
        try:
            model: Any = ClapTextModelWithProjection.from_pretrained(
                folder / "text_encoder", local_files_only=True, use_safetensors=True
            )
            self._tokenizer = AutoTokenizer.from_pretrained(
                folder / "tokenizer", local_files_only=True
            )
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise ModelError(f"{folder}: the CLAP text tower cannot be loaded ({error})") from error
        size = model.config.vocab_size
        if len(self._tokenizer) > size or len(self._tokenizer) < size // 2:
            # A tokenizer that lost its vocabulary still runs, and its embeddings are noise.
            raise ModelError(
                f"{folder / 'tokenizer'}: the tokenizer has {len(self._tokenizer)} tokens, the "
                f"text tower {size}: install the pack again"
            )
        self._text = model.float().to(device).eval().requires_grad_(False)
        self._audio: AudioTower | None = None

    @property
    def has_audio(self) -> bool:
        """Whether sounds can be embedded (needed to rank candidates)."""
        return self._pack.clap_audio is not None

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed captions of sounds: ``(n, dim)``."""
        import torch

        out = []
        limit = self._text.config.max_position_embeddings - 2
        for at in range(0, len(texts), 128):
            batch = self._tokenizer(
                list(texts[at : at + 128]),
                padding=True,
                truncation=True,
                max_length=min(77, limit),
                return_tensors="pt",
            ).to(self.device)
            with torch.inference_mode():
                made = self._text(
                    input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
                ).text_embeds
            out.append(torch.nn.functional.normalize(made.float(), dim=-1).cpu().numpy())
        return np.concatenate(out)

    def sounds(self, waves: Sequence[np.ndarray], sample_rate: int) -> np.ndarray:
        """Embed mono waves (float32 ``(samples,)``): ``(n, dim)``."""
        if self._pack.clap_audio is None:
            raise ModelError(f"model pack '{self._pack.name}' has no CLAP audio tower")
        if self._audio is None:
            require_intact(self._pack, str(self._pack.clap_audio.relative_to(self._pack.folder)))
            self._audio = load_audio_tower(self._pack.clap_audio, self.device)
        return np.concatenate([self._audio(np.asarray(w, np.float32), sample_rate) for w in waves])

    def fingerprint(self) -> np.ndarray:
        """Text embeddings of the fixed prompts: ``(8, dim)``, what identifies the space."""
        return self.texts(FINGERPRINT_PROMPTS)


class AudioTower:
    """An audio encoder: one mono wave to a unit-length embedding ``(1, dim)``."""

    sample_rate: int

    def __call__(self, wave: np.ndarray, sample_rate: int) -> np.ndarray:
        """Resample and embed ``wave`` (float32 ``(samples,)``)."""
        import soxr
        import torch

        if sample_rate != self.sample_rate:
            wave = soxr.resample(wave, sample_rate, self.sample_rate)
        with torch.inference_mode():
            made = self.embed(np.ascontiguousarray(wave, np.float32))
        return torch.nn.functional.normalize(made.float(), dim=-1).cpu().numpy()

    def embed(self, wave: np.ndarray) -> torch.Tensor:
        """Embed a wave at the tower's own sample rate."""
        raise NotImplementedError


class SoundEncoderTower(AudioTower):
    """The starter's tower: :class:`v2a_foley.models.sfx.SoundEncoder`."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        from safetensors.torch import load_file

        from v2a_foley.models.sfx import SAMPLE_RATE, SoundEncoder

        state = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
        width, dim = state["head.0.weight"].shape[0], state["head.2.weight"].shape[0]
        self._model = SoundEncoder(width, dim)
        self._model.load_state_dict(state)
        self._model = self._model.to(device).eval().requires_grad_(False)
        self._device = device
        self.sample_rate = SAMPLE_RATE

    def embed(self, wave: np.ndarray) -> torch.Tensor:
        """Embed a wave at 44.1 kHz."""
        import torch

        leveled = set_level(wave, self.sample_rate)  # the level it was trained at
        return self._model(torch.from_numpy(leveled)[None].to(self._device))


class ClapTower(AudioTower):
    """The audio half of transformers' ClapModel (LAION's weights after conversion)."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        from transformers import ClapAudioModelWithProjection, ClapFeatureExtractor

        # The extractor's default is fusion, which unfused checkpoints were not trained with.
        self._extract = ClapFeatureExtractor.from_pretrained(
            folder, local_files_only=True, truncation="rand_trunc", padding="repeatpad"
        )
        model: Any = ClapAudioModelWithProjection.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        self._model = model.float().to(device).eval().requires_grad_(False)
        self._device = device
        self.sample_rate = int(self._extract.sampling_rate)

    def embed(self, wave: np.ndarray) -> torch.Tensor:
        """Embed a wave at 48 kHz; what is longer than 10 s is cut to its middle."""
        longest = self._extract.nb_max_samples
        if len(wave) > longest:  # the extractor would cut at random
            start = (len(wave) - longest) // 2
            wave = wave[start : start + longest]
        batch = self._extract(wave, sampling_rate=self.sample_rate, return_tensors="pt")
        return self._model(input_features=batch["input_features"].to(self._device)).audio_embeds


def load_audio_tower(folder: Path, device: torch.device) -> AudioTower:
    """Load the audio tower in ``folder``; its ``config.json`` says which kind it is."""
    prepare()
    towers = {"sound_encoder": SoundEncoderTower, "clap": ClapTower, "clap_audio_model": ClapTower}
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        return towers[kind](folder, device)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: the CLAP audio tower cannot be loaded ({error})") from error


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Least cosine between two fingerprints ``(8, dim)``; 0 where the dimensions differ."""
    if first.shape != second.shape:
        return 0.0
    return float((first * second).sum(1).min())
