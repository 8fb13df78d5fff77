"""Trains the autoencoder of log-mel spectrograms (diffusers' AutoencoderKL)."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn.functional import avg_pool2d, l1_loss, leaky_relu

from v2a_foley.models.mel import log_mel
from v2a_foley.models.vocos import VocosConfig
from v2a_foley.starter.recipe.data import Recording, Windows
from v2a_foley.starter.recipe.training import (
    Average,
    Run,
    steps,
    warm_cosine,
)

CROP = 128  # frames: 1.28 s
POSITIONS = CROP // 8 * 8  # of the latent of a crop
MEL_MEAN, MEL_SCALE = VocosConfig().mean, VocosConfig().scale  # the networks see (log mel + 6) / 3
CONFIG = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [8, 24, 64, 96],
    "layers_per_block": 1,
    "latent_channels": 16,
    "norm_num_groups": 8,
    "sample_size": 512,
    "mid_block_add_attention": False,
    "scaling_factor": 1.0,
}


def mel_input(wave: torch.Tensor) -> torch.Tensor:
    """Waves ``(n, samples)`` to network input ``(n, 1, frames, 64)``."""
    return ((log_mel(wave) - MEL_MEAN) / MEL_SCALE).unsqueeze(1)


def reconstruction_loss(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """L1 at three scales, and L1 of the differences in time and frequency (keeps edges)."""
    loss = l1_loss(made, real)
    for scale in (2, 4):
        loss = loss + 0.5 * l1_loss(avg_pool2d(made, scale), avg_pool2d(real, scale))
    for dim in (2, 3):
        loss = loss + 0.5 * l1_loss(made.diff(dim=dim), real.diff(dim=dim))
    return loss


def train(items: list[Recording], work: Path, budget: float, batch: int = 8) -> AutoencoderKL:
    """Train for ``budget`` seconds (resuming from ``work/vae.pt``) and return the average."""
    torch.manual_seed(1)
    model = AutoencoderKL.from_config(CONFIG)
    average = Average(model, 0.999)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-4)
    run = Run(work / "vae.pt", model, average, optimizer)
    windows = Windows(items, seed=run.step)

    for share in steps(budget, run.spent, run.save):
        waves, _ = windows.batch(batch)
        # Short crops: the network is convolutional, and more steps fit into the time.
        mel = mel_input(torch.from_numpy(waves))
        at = int(torch.randint(0, mel.shape[2] - CROP + 1, ()))
        mel = mel[:, :, at : at + CROP]
        posterior = model.encode(mel).latent_dist
        made = model.decode(posterior.sample()).sample
        loss = reconstruction_loss(made, mel) + 3e-4 * posterior.kl().mean() / POSITIONS
        run.update(loss, 1e-3 * warm_cosine(share))
        if run.step % 50 == 0:
            kl = float(posterior.kl().mean()) / POSITIONS
            l1 = float(l1_loss(made.detach(), mel))
            print(f"vae {share:.3f} step {run.step} l1 {l1:.4f} kl {kl:.2f}", flush=True)
    return average.module


class Patches(nn.Module):
    """Judges patches of a network mel ``(n, 1, frames, 64)`` (PatchGAN, Isola et al., 2017)."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        widths = (1, 24, 48, 64)
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(a, b, 4, stride, 1))
            for a, b, stride in zip(widths, widths[1:], (2, 2, 1), strict=False)
        )
        self.last = norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, mel: torch.Tensor) -> list[torch.Tensor]:
        """The layers' features, the verdict last."""
        features = []
        for layer in self.layers:
            mel = leaky_relu(layer(mel), 0.2)
            features.append(mel)
        return [*features, self.last(mel)]


def texture_loss(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """L1 of how rough patches are in time and in frequency: blur is heard as another material."""
    loss = made.new_zeros(())
    for dim in (2, 3):
        own, wanted = (avg_pool2d(mel.diff(dim=dim).abs(), 4) for mel in (made, real))
        loss = loss + l1_loss(own, wanted)
    return loss


def sharpen(
    model: AutoencoderKL, items: list[Recording], work: Path, budget: float, batch: int = 8
) -> AutoencoderKL:
    """Train the decoder alone for ``budget`` seconds so that what it cannot know looks real.

    The encoder stays, and with it the latents that the denoiser learns. Resumes from
    ``work/decoder.pt``.
    """
    torch.manual_seed(4)
    model.requires_grad_(False)
    parts = nn.ModuleList([model.post_quant_conv, model.decoder]).requires_grad_(True)
    patches = Patches()
    average = Average(parts, 0.999)
    optimizer = torch.optim.AdamW(parts.parameters(), lr=4e-4, betas=(0.5, 0.9))
    against = torch.optim.AdamW(patches.parameters(), lr=8e-4, betas=(0.5, 0.9))
    run = Run(work / "decoder.pt", parts, average, optimizer)
    rival = Run(work / "decoder_patches.pt", patches, Average(patches, 0.0), against)
    windows = Windows(items, seed=run.step + 7)

    def save(spent: float) -> None:
        run.save(spent)
        rival.save(spent)

    for share in steps(budget, run.spent, save):
        mel = mel_input(torch.from_numpy(windows.batch(batch)[0]))
        at = int(torch.randint(0, mel.shape[2] - CROP + 1, ()))
        mel = mel[:, :, at : at + CROP]
        with torch.no_grad():
            latent = model.encode(mel).latent_dist.mode()
            latent = latent + 0.1 * torch.randn_like(latent) * torch.rand(batch, 1, 1, 1)
        made = model.decode(latent).sample
        rate = warm_cosine(share)
        hinge = (1 - patches(mel)[-1]).relu().mean() + (
            1 + patches(made.detach())[-1]
        ).relu().mean()
        rival.update(hinge, 8e-4 * rate)
        with torch.no_grad():
            wanted = patches(mel)[:-1]
        *features, verdict = patches(made)
        matched = torch.stack([l1_loss(a, b) for a, b in zip(features, wanted, strict=True)])
        loss = reconstruction_loss(made, mel) + 2 * texture_loss(made, mel)
        loss = loss + 0.05 * min(1.0, share * 20) * (matched.sum() - verdict.mean())
        run.update(loss, 4e-4 * rate)
        if run.step % 50 == 0:
            l1 = float(l1_loss(made.detach(), mel))
            print(f"decoder {share:.3f} step {run.step} l1 {l1:.4f} hinge {hinge:.3f}", flush=True)
    for own, mean in zip(parts.parameters(), average.module.parameters(), strict=True):
        own.data.copy_(mean.data)
    return model


@torch.no_grad()
def fold_statistics(model: AutoencoderKL, items: list[Recording]) -> None:
    """Make the latents zero-mean and unit-variance by channel, inside the quantisation layers."""
    windows = Windows(items, seed=99)
    latents = torch.cat(
        [
            model.encode(mel_input(torch.from_numpy(windows.batch(16)[0]))).latent_dist.mean
            for _ in range(24)
        ]
    )
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    n = len(mean)
    weight = model.quant_conv.weight
    bias = model.quant_conv.bias
    weight[:n] /= std[:, None, None, None]
    bias[:n] = (bias[:n] - mean) / std
    bias[n:] -= 2 * std.log()
    post = model.post_quant_conv
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(1)
    post.weight *= std[None, :, None, None]
