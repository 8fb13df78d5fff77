"""The audio half of a pack's CLAP: one mono wave to a unit-length embedding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley.errors import ModelError
from v2a_foley.level import set_level
from v2a_foley.models.runtime import prepare

if TYPE_CHECKING:
    import torch


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

        model: Any = ClapAudioModelWithProjection.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        # The extractor's default is fusion, which unfused checkpoints were not trained with.
        self._extract = ClapFeatureExtractor.from_pretrained(
            folder,
            local_files_only=True,
            truncation="fusion" if model.config.enable_fusion else "rand_trunc",
            padding="repeatpad",
        )
        self._model = model.float().to(device).eval().requires_grad_(False)
        self._device = device
        self.sample_rate = int(self._extract.sampling_rate)

    def embed(self, wave: np.ndarray) -> torch.Tensor:
        """Embed a wave at 48 kHz; what is longer than 10 s is cut to its middle."""
        import torch

        wave = middle(wave, self._extract.nb_max_samples)  # the extractor would cut at random
        # LAION trained on 16-bit sound: clipped, and with a noise floor that the log-mels show.
        wave = np.trunc(wave.clip(-1, 1) * 32767) / 32767
        batch = self._extract(wave, sampling_rate=self.sample_rate, return_tensors="pt")
        return self._model(
            input_features=batch["input_features"].to(self._device),
            is_longer=torch.zeros(1, 1, dtype=torch.bool),  # the extractor would say so at random
        ).audio_embeds


def middle(wave: np.ndarray, longest: int) -> np.ndarray:
    """At most ``longest`` samples of ``wave``, from its middle."""
    start = max(0, (len(wave) - longest) // 2)
    return wave[start : start + longest]


def tower_kind(folder: Path) -> str:
    """What kind of audio tower ``folder`` holds: the ``model_type`` of its ``config.json``."""
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: the CLAP audio tower cannot be loaded ({error})") from error


def load_audio_tower(folder: Path, device: torch.device) -> AudioTower:
    """Load the audio tower in ``folder``; its ``config.json`` says which kind it is."""
    prepare()
    kind = tower_kind(folder)
    if kind == "laion_clap":
        from v2a_foley.models.laion.package import LaionClap

        return LaionClap(folder, device)
    towers = {"sound_encoder": SoundEncoderTower, "clap": ClapTower, "clap_audio_model": ClapTower}
    try:
        return towers[kind](folder, device)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: the CLAP audio tower cannot be loaded ({error})") from error
