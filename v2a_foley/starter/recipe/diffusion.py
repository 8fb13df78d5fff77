"""Trains the denoiser (diffusers' UNet2DConditionModel, AudioLDM's conditioning)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch.nn.functional import mse_loss, normalize

from v2a_foley.starter.recipe.data import Recording, window
from v2a_foley.starter.recipe.latent import mel_input
from v2a_foley.starter.recipe.training import (
    Average,
    Run,
    steps,
    warm_cosine,
)

DIM = 512
CONFIG = {
    "sample_size": 64,
    "in_channels": 16,
    "out_channels": 16,
    "down_block_types": ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    "block_out_channels": [80, 128, 176],
    "layers_per_block": 1,
    "attention_head_dim": 8,
    "norm_num_groups": 16,
    "cross_attention_dim": [None, None, None],
    "class_embed_type": "simple_projection",
    "projection_class_embeddings_input_dim": DIM,
    "class_embeddings_concat": True,
    "mid_block_type": "UNetMidBlock2D",
    "only_cross_attention": False,
}
SCHEDULE = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
RATE = 8e-4


@torch.no_grad()
def encode(
    vae: AutoencoderKL, items: list[Recording], copies: Callable[[Recording], int], seed: int
) -> tuple[torch.Tensor, list[int]]:
    """Latents ``(n, 16, 64, 8)`` of random windows of every recording, and whose they are."""
    rng = random.Random(seed)
    owners = [i for i, item in enumerate(items) for _ in range(copies(item))]
    out = []
    for at in range(0, len(owners), 16):
        waves = [window(items[i].audio, items[i].label, rng) for i in owners[at : at + 16]]
        mel = mel_input(torch.stack([torch.from_numpy(w) for w in waves]))
        out.append(vae.encode(mel).latent_dist.mean.half())
    return torch.cat(out), owners


def build() -> UNet2DConditionModel:
    """A fresh denoiser; unit-length conditions need a larger first layer to be heard."""
    torch.manual_seed(2)
    model = UNet2DConditionModel.from_config(CONFIG)
    with torch.no_grad():
        model.class_embedding.weight *= DIM**0.5
    return model


def train(
    latents: torch.Tensor,
    weights: torch.Tensor,
    condition: Callable[[torch.Tensor], torch.Tensor],
    work: Path,
    budget: float,
    batch: int = 16,
) -> UNet2DConditionModel:
    """Train on ``latents`` drawn by ``weights`` for ``budget`` seconds; returns the average.

    ``condition`` gives the conditions ``(n, 512)`` of the latents with the given indices,
    with the unconditional one mixed in. Loss: plain v-prediction.
    """
    model = build()
    average = Average(model, 0.9995)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=1e-3)
    run = Run(work / "unet.pt", model, average, optimizer)
    torch.manual_seed(100 + run.step)
    noiser = DDIMScheduler.from_config(SCHEDULE)
    recent = 0.0
    for share in steps(budget, run.spent, run.save):
        index = torch.multinomial(weights, batch, replacement=True)
        clean = latents[index].float() * torch.empty(batch, 1, 1, 1).uniform_(0.97, 1.03)
        noise = torch.randn_like(clean)
        time = ((torch.arange(batch) + torch.rand(batch)) / batch * 1000).long()
        noisy = noiser.add_noise(clean, noise, time)
        wanted = noiser.get_velocity(clean, noise, time)
        labels = normalize(condition(index), dim=-1)
        made = model(noisy, time, encoder_hidden_states=None, class_labels=labels).sample
        loss = mse_loss(made, wanted)
        run.update(loss, RATE * warm_cosine(share))
        recent += loss.item()
        if run.step % 100 == 0:
            print(f"unet {share:.3f} step {run.step} loss {recent / 100:.4f}", flush=True)
            recent = 0.0
    return average.module
