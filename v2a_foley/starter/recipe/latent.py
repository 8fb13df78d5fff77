"""Trains the autoencoder of log-mel spectrograms (diffusers' AutoencoderKL)."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch.nn.functional import avg_pool2d, l1_loss

from v2a_foley.models.mel import log_mel
from v2a_foley.starter.recipe.data import Recording, Windows
from v2a_foley.starter.recipe.training import (
    Average,
    Run,
    steps,
    warm_cosine,
)

CROP = 128  # frames: 1.28 s
POSITIONS = CROP // 8 * 8  # of the latent of a crop
MEL_MEAN, MEL_SCALE = -6.0, 3.0  # the networks see (log mel + 6) / 3
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
