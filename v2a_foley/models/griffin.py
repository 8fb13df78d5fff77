"""A vocoder without weights: mel inversion and Griffin-Lim, in the shape diffusers expects."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from v2a_foley.models.mel import BINS, FLOOR, HOP, N_FFT, SAMPLE_RATE, filterbank

CONFIG_NAME = "griffin_lim"


class GriffinLim(nn.Module):
    """Turns network mels into waves by fast Griffin-Lim (Perraudin et al., WASPAA 2013).

    ``mean`` and ``scale`` undo the normalisation of the mels: log mel = mel * scale + mean.
    ``config`` names what ``AudioLDMPipeline`` asks a vocoder for.
    """

    filters: torch.Tensor
    inverse: torch.Tensor

    def __init__(self, mean: float, scale: float, iterations: int) -> None:
        super().__init__()
        self.mean, self.scale, self.iterations = mean, scale, iterations
        self.config = SimpleNamespace(
            model_in_dim=BINS, sampling_rate=SAMPLE_RATE, upsample_rates=[HOP]
        )
        filters = filterbank()
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(filters).clamp_min(0), persistent=False)

    @classmethod
    def from_pretrained(cls, folder: Path) -> GriffinLim:
        """Read ``folder/config.json``."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(config["mean"], config["scale"], config["iterations"])

    @property
    def dtype(self) -> torch.dtype:
        """Always float32: phases do not survive half precision."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Where the filters are."""
        return self.inverse.device

    def magnitude(self, mel: torch.Tensor) -> torch.Tensor:
        """Non-negative linear magnitude ``(n, 513, frames)`` that explains ``mel``.

        Starts from the clamped pseudo-inverse and takes multiplicative least-squares steps
        (Lee and Seung, 2001), which keep it non-negative.
        """
        target = (mel.float() * self.scale + self.mean).exp().sub(FLOOR).clamp_min(0)
        target = target.transpose(1, 2)
        estimate = (self.inverse @ target).clamp_min(1e-8)
        back = self.filters.T
        gram, wanted = back @ self.filters, back @ target
        for _ in range(8):
            estimate = estimate * wanted / (gram @ estimate).clamp_min(1e-10)
        return estimate

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Waves ``(n, frames * 160)`` of network mels ``(n, frames, 64)``."""
        magnitude = self.magnitude(mel)
        frames = magnitude.shape[2]
        window = torch.hann_window(N_FFT, device=magnitude.device)
        # One frame more on both sides: frames are centred half a hop apart from torch's.
        magnitude = nn.functional.pad(magnitude, (0, 1), mode="replicate")
        # Seeded phases: the same mel gives the same wave in any batch.
        generator = torch.Generator().manual_seed(0)
        phase = torch.rand(magnitude.shape[1:], generator=generator).to(magnitude.device)
        angles = torch.polar(torch.ones_like(phase), phase * 2 * torch.pi).expand(magnitude.shape)
        previous = torch.zeros_like(angles)
        for _ in range(self.iterations):
            wave = torch.istft(magnitude * angles, N_FFT, HOP, window=window)
            rebuilt = torch.stft(wave, N_FFT, HOP, window=window, return_complex=True)
            step = rebuilt + 0.99 * (rebuilt - previous)
            angles = step / step.abs().clamp_min(1e-8)
            previous = rebuilt
        wave = torch.istft(magnitude * angles, N_FFT, HOP, window=window)
        return wave[:, : frames * HOP]
