"""The starter pack's audio tower: a sound-effects network and a projection to the sound space."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import max_pool2d, normalize, relu

SAMPLE_RATE = 44_100
N_FFT, HOP, BANDS = 2048, 1024, 96
BLOCK = 100  # frames, 2.3 s: what the network was trained on
LOG_MAX = 9.457798957824707  # the largest log-mel of its training data


class ConvBlock(nn.Module):
    """Two convolutions with batch normalisation, then max pooling."""

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(n, inputs, time, band)`` to ``(n, outputs, time / pool, band / pool)``."""
        x = relu(self.bn1(self.conv1(x)))
        x = relu(self.bn2(self.conv2(x)))
        return max_pool2d(x, self.pool)


class SoundNet(nn.Module):
    """The convolutional network of aiSFX (Ma and Lerch, ISMIR 2022; weights CC BY 4.0)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1 = ConvBlock(1, 64, 2)
        self.conv_block2 = ConvBlock(64, 128, 2)
        self.conv_block3 = ConvBlock(128, 256, 2)
        self.conv_block4 = ConvBlock(256, 512, 1)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Map log-mel blocks ``(n, 100, 96)`` to features ``(n, 512)``."""
        x = mel.unsqueeze(1)
        for block in (self.conv_block1, self.conv_block2, self.conv_block3, self.conv_block4):
            x = block(x)
        return x.mean(3).amax(2)


def _htk_filters() -> torch.Tensor:
    """HTK mel triangles over 0 to 22.05 kHz, each with unit sum: ``(96, 1025)``."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    freqs = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)[None]
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    tri = np.maximum(0, np.minimum((freqs - low) / (mid - low), (high - freqs) / (high - mid)))
    return torch.from_numpy(tri / np.maximum(tri.sum(1, keepdims=True), 1e-9)).float()


class SoundEncoder(nn.Module):
    """Audio tower: log-mel blocks, :class:`SoundNet`, two-layer projection, unit length."""

    mean: torch.Tensor
    std: torch.Tensor
    filters: torch.Tensor

    def __init__(self, width: int = 512, dim: int = 512) -> None:
        super().__init__()
        self.net = SoundNet()
        self.head = nn.Sequential(nn.Linear(512, width), nn.GELU(), nn.Linear(width, dim))
        self.register_buffer("mean", torch.zeros(512))
        self.register_buffer("std", torch.ones(512))
        self.register_buffer("filters", _htk_filters(), persistent=False)

    def blocks(self, wave: torch.Tensor) -> torch.Tensor:
        """Log-mel blocks ``(n, blocks, 100, 96)`` of ``wave`` (``(n, samples)``, 44.1 kHz)."""
        window = torch.hann_window(N_FFT, device=wave.device)
        wave = nn.functional.pad(wave, (N_FFT // 2, N_FFT // 2))
        spectrum = torch.stft(wave, N_FFT, HOP, window=window, center=False, return_complex=True)
        # No window normalisation, as in the upstream project's front end.
        mel = (
            torch.log10(1e4 * (self.filters @ spectrum.abs().square()) + 1).transpose(1, 2)
            / LOG_MAX
        )
        count = max(1, round(mel.shape[1] / BLOCK))
        if mel.shape[1] < BLOCK:
            mel = nn.functional.pad(mel, (0, 0, 0, BLOCK - mel.shape[1]))
        starts = np.linspace(0, mel.shape[1] - BLOCK, count).round().astype(int)
        return torch.stack([mel[:, s : s + BLOCK] for s in starts], 1)

    def features(self, wave: torch.Tensor) -> torch.Tensor:
        """Network features ``(n, 512)``, the mean over the blocks of ``wave``."""
        blocks = self.blocks(wave)
        return self.net(blocks.flatten(0, 1)).unflatten(0, blocks.shape[:2]).mean(1)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Features ``(n, 512)`` to unit-length embeddings ``(n, dim)``."""
        return normalize(self.head((features - self.mean) / self.std), dim=-1)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """Embed ``wave`` (float32 ``(n, samples)``, mono, 44.1 kHz): ``(n, dim)``, unit length."""
        return self.project(self.features(wave))
