"""Trains the autoencoder's decoder and the vocoder together, on the sound that leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn.functional import cosine_similarity, l1_loss

from v2a_foley.models import sfx
from v2a_foley.models.mel import HOP, SAMPLE_RATE, log_mel
from v2a_foley.models.vocos import Vocos
from v2a_foley.starter.recipe.data import Recording, Windows
from v2a_foley.starter.recipe.latent import mel_input, reconstruction_loss, texture_loss
from v2a_foley.starter.recipe.training import Average, Run, steps, warm_cosine
from v2a_foley.starter.recipe.vocoder import Discriminators, crops, spectral_loss

CROP = 128 * HOP  # 1.28 s: a whole number of latent frames
RATE = 3e-4


class Heard(nn.Module):
    """What the CLAP's sound network makes of 16 kHz waves: its layers' features, in training.

    The network's input is that of :class:`v2a_foley.models.sfx.SoundEncoder`, taken at 16 kHz
    with windows of the same duration, so that no resampling stands between loss and wave.
    """

    filters: torch.Tensor

    def __init__(self, encoder: sfx.SoundEncoder) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.n_fft = round(sfx.N_FFT * SAMPLE_RATE / sfx.SAMPLE_RATE)
        self.hop = round(sfx.HOP * SAMPLE_RATE / sfx.SAMPLE_RATE)
        own = np.fft.rfftfreq(self.n_fft, 1 / SAMPLE_RATE)
        theirs = np.fft.rfftfreq(sfx.N_FFT, 1 / sfx.SAMPLE_RATE)
        rows = [np.interp(own, theirs, row) for row in encoder.filters.numpy()]
        self.register_buffer("filters", torch.from_numpy(np.stack(rows)).float())

    def forward(self, wave: torch.Tensor) -> list[torch.Tensor]:
        """Features of the network's blocks, and the embedding ``(n, d_clap)`` last."""
        window = torch.hann_window(self.n_fft)
        spectrum = torch.stft(wave, self.n_fft, self.hop, window=window, return_complex=True)
        power = (spectrum.abs() * (sfx.N_FFT / self.n_fft)).square()
        mel = torch.log10(1e4 * (self.filters @ power) + 1).transpose(1, 2) / sfx.LOG_MAX
        x, net = mel.unsqueeze(1), self.encoder.net
        features = []
        for block in (net.conv_block1, net.conv_block2, net.conv_block3, net.conv_block4):
            x = block(x)
            features.append(x)
        return [*features, self.encoder.project(x.mean(3).amax(2))]

    def loss(self, made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Relative L1 of the features (Johnson et al., 2016), and the embeddings' distance."""
        with torch.no_grad():
            *wanted, goal = self(real)
        *features, embedding = self(made)
        apart = 1 - cosine_similarity(embedding, goal).mean()
        pairs = zip(features, wanted, strict=True)
        return apart + torch.stack([l1_loss(a, b) / b.abs().mean() for a, b in pairs]).mean()


def refine(
    vae: AutoencoderKL,
    vocoder: Vocos,
    encoder: sfx.SoundEncoder,
    items: list[Recording],
    work: Path,
    budget: float,
    batch: int = 8,
) -> None:
    """Train ``vae``'s decoder and ``vocoder`` in place for ``budget`` seconds.

    The encoder stays, and with it the latents that the denoiser learns. A quarter of each batch
    passes by the autoencoder: the vocoder must still render true mels. Resumes from
    ``work/refine.pt``.
    """
    torch.manual_seed(6)
    vae.requires_grad_(False)
    parts = nn.ModuleList([vae.post_quant_conv, vae.decoder, vocoder]).requires_grad_(True)
    judges, heard = Discriminators(), Heard(encoder)
    average = Average(parts, 0.998)
    optimizer = torch.optim.AdamW(parts.parameters(), lr=RATE, betas=(0.8, 0.95), weight_decay=1e-4)
    against = torch.optim.AdamW(judges.parameters(), lr=RATE, betas=(0.8, 0.95))
    run = Run(work / "refine.pt", parts, average, optimizer)
    rival = Run(work / "refine_judges.pt", judges, Average(judges, 0.0), against)
    windows = Windows(items, seed=run.step + 13)

    def save(spent: float) -> None:
        run.save(spent)
        rival.save(spent)

    through = batch - batch // 4
    for share in steps(budget, run.spent, save):
        real = crops(windows, batch, CROP)
        mel = mel_input(real)
        with torch.no_grad():
            latent = vae.encode(mel[:through]).latent_dist.mode()
            latent = latent + 0.1 * torch.randn_like(latent) * torch.rand(through, 1, 1, 1)
        decoded = vae.decode(latent).sample
        made = vocoder.synthesise(torch.cat([decoded, mel[through:]]).squeeze(1))
        rate = warm_cosine(share)
        half = slice(0, batch // 2)  # the discriminators cost as much as all the rest
        rival.update(judges.verdict_loss(made[half].detach(), real[half]), RATE * rate)
        loss = reconstruction_loss(decoded, mel[:through]) + texture_loss(decoded, mel[:through])
        loss = loss + l1_loss(log_mel(made), log_mel(real)) + spectral_loss(made, real)
        close = heard.loss(made[:through], real[:through])
        joined = 0.3 * min(1.0, share / 0.1)
        loss = loss + 2 * close + joined * judges.maker_loss(made[half], real[half])
        run.update(loss, RATE * rate)
        if run.step % 50 == 0:
            losses = f"loss {loss.item():.3f} heard {close.item():.4f}"
            print(f"refine {share:.3f} step {run.step} {losses}", flush=True)
    for own, mean in zip(parts.parameters(), average.module.parameters(), strict=True):
        own.data.copy_(mean.data)
