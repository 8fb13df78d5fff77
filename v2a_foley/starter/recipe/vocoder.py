"""Trains the vocoder, first on spectra alone, then against spectrogram discriminators."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn.functional import l1_loss, leaky_relu

from v2a_foley.models.mel import HOP, log_mel
from v2a_foley.models.vocos import Vocos
from v2a_foley.starter.recipe.data import Recording, Windows
from v2a_foley.starter.recipe.latent import mel_input
from v2a_foley.starter.recipe.training import Average, Run, steps, warm_cosine

CROP = 80 * HOP  # 0.8 s
RESOLUTIONS = ((2048, 240), (1024, 120), (512, 60), (128, 20))
ALONE = 0.5  # share of the time before the discriminators join
RATE = 8e-4


def spectra(wave: torch.Tensor, n_fft: int, hop: int) -> torch.Tensor:
    """Magnitudes ``(n, n_fft / 2 + 1, frames)``."""
    window = torch.hann_window(n_fft)
    made = torch.stft(wave, n_fft, hop, window=window, return_complex=True)
    return made.abs().clamp_min(1e-5)


def spectral_loss(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Multi-resolution STFT loss: spectral convergence and log magnitudes (Yamamoto, 2020)."""
    loss = made.new_zeros(())
    for n_fft, hop in RESOLUTIONS:
        a, b = spectra(made, n_fft, hop), spectra(real, n_fft, hop)
        loss = loss + (a - b).norm() / b.norm() + l1_loss(a.log(), b.log())
    return loss / len(RESOLUTIONS)


class Discriminator(nn.Module):
    """Judges log magnitudes at one resolution (UnivNet, Jang et al., 2021)."""

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        norm = nn.utils.parametrizations.weight_norm
        # Early strides in time and frequency: the full resolution would cost ten times as much.
        self.layers = nn.ModuleList(
            [
                norm(nn.Conv2d(1, 16, (5, 9), (2, 4), (2, 4))),
                norm(nn.Conv2d(16, 32, (3, 5), (2, 2), (1, 2))),
                norm(nn.Conv2d(32, 32, (3, 3), (1, 2), (1, 1))),
            ]
        )
        self.last = norm(nn.Conv2d(32, 1, 3, 1, 1))

    def forward(self, wave: torch.Tensor) -> list[torch.Tensor]:
        """The layers' features, the verdict last."""
        x = spectra(wave, self.n_fft, self.hop).log().transpose(1, 2).unsqueeze(1) / 3
        features = []
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.1)
            features.append(x)
        return [*features, self.last(x)]


class Discriminators(nn.Module):
    """One at each of two resolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.ModuleList(Discriminator(*size) for size in RESOLUTIONS[1:3])

    def verdict_loss(self, made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Hinge loss of the discriminators."""
        loss = made.new_zeros(())
        for each in self.all:
            loss = loss + (1 - each(real)[-1]).relu().mean() + (1 + each(made)[-1]).relu().mean()
        return loss / len(self.all)

    def maker_loss(self, made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Hinge loss of the vocoder and feature matching."""
        loss = made.new_zeros(())
        for each in self.all:
            with torch.no_grad():
                wanted = each(real)[:-1]
            *features, verdict = each(made)
            loss = loss - verdict.mean()
            matched = [l1_loss(a, b) for a, b in zip(features, wanted, strict=True)]
            loss = loss + 2 * torch.stack(matched).sum()
        return loss / len(self.all)


def crops(windows: Windows, batch: int, length: int = CROP) -> torch.Tensor:
    """Waves ``(batch, length)`` from the louder places of random windows."""
    waves = torch.from_numpy(windows.batch(batch)[0])
    blocks = waves.unfold(1, length, length // 4)  # (batch, places, length)
    power = blocks.square().mean(2) + 1e-5
    place = torch.multinomial(power.sqrt(), 1)[:, 0]
    return blocks[torch.arange(batch), place]


@torch.no_grad()
def rebuilt(mel: torch.Tensor, vae: AutoencoderKL) -> torch.Tensor:
    """Network mels ``(n, frames, 64)`` as the autoencoder gives them back."""
    latent = vae.encode(mel.unsqueeze(1)).latent_dist.mode()
    made: torch.Tensor = vae.decode(latent).sample
    return made.squeeze(1)


def train(
    items: list[Recording], work: Path, budget: float, vae: AutoencoderKL, batch: int = 16
) -> Vocos:
    """Train for ``budget`` seconds (resuming from ``work/vocoder.pt``) and return the average.

    Once the discriminators are there, half of each batch is heard through ``vae``: what it
    smooths, the vocoder learns to put back.
    """
    torch.manual_seed(3)
    model, judges = Vocos(), Discriminators()
    average = Average(model, 0.999)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.8, 0.95), weight_decay=1e-4)
    against = torch.optim.AdamW(judges.parameters(), lr=3e-4, betas=(0.8, 0.95))
    run = Run(work / "vocoder.pt", model, average, optimizer)
    rival = Run(work / "vocoder_judges.pt", judges, Average(judges, 0.0), against)
    windows = Windows(items, seed=run.step)

    def save(spent: float) -> None:
        run.save(spent)
        rival.save(spent)

    for share in steps(budget, run.spent, save):
        real = crops(windows, batch)
        mel = mel_input(real).squeeze(1)
        if share > ALONE:
            mel = torch.cat([rebuilt(mel[: batch // 2], vae), mel[batch // 2 :]])
        mel = mel + torch.randn_like(mel) * 0.05 * torch.rand(batch, 1, 1)  # as decoders err
        made = model.synthesise(mel)
        close = l1_loss(log_mel(made), log_mel(real))
        loss = close + spectral_loss(made, real)
        rate = warm_cosine(share)
        if share > ALONE:
            half = slice(0, batch // 2)  # the discriminators cost as much as all the rest
            rival.update(judges.verdict_loss(made[half].detach(), real[half]), 3e-4 * rate)
            joined = 0.3 * min(1.0, (share - ALONE) / 0.05)
            loss = loss + joined * judges.maker_loss(made[half], real[half])
        run.update(loss, RATE * rate)
        if run.step % 50 == 0:
            losses = f"mel {close.item():.4f} loss {loss.item():.3f}"
            print(f"vocoder {share:.3f} step {run.step} {losses}", flush=True)
    vocoder: Vocos = average.module  # type: ignore[assignment]
    return vocoder
