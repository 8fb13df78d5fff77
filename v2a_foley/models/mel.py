"""The log-mel spectrogram that AudioLDM's autoencoder and vocoder work on."""

from __future__ import annotations

from functools import cache

import torch

SAMPLE_RATE = 16_000
N_FFT = 1024
HOP = 160
BINS = 64
FLOOR = 1e-5


@cache
def filterbank(
    bins: int = BINS, sample_rate: int = SAMPLE_RATE, n_fft: int = N_FFT
) -> torch.Tensor:
    """Slaney mel filters from 0 Hz to half the sample rate, float32 ``(bins, n_fft // 2 + 1)``."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        n_fft // 2 + 1, bins, 0.0, sample_rate / 2, sample_rate, norm="slaney", mel_scale="slaney"
    )
    with torch.inference_mode(False):  # kept for all callers, those that train among them
        return torch.from_numpy(filters.T.copy()).float()


def log_mel(wave: torch.Tensor) -> torch.Tensor:
    """Natural-log mel spectrogram of ``wave`` (float32 ``(n, samples)``, 16 kHz).

    Returns ``(n, frames, 64)`` with one frame each 160 samples: ``frames = samples // 160``.
    Source: AudioLDM's mel settings (n_fft 1024, hop 160, 0 to 8 kHz, floor 1e-5).
    """
    pad = (N_FFT - HOP) // 2
    wave = torch.nn.functional.pad(wave.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
    window = torch.hann_window(N_FFT, device=wave.device)
    spectrum = torch.stft(wave, N_FFT, HOP, window=window, center=False, return_complex=True)
    mel = filterbank().to(wave.device) @ spectrum.abs()
    return mel.clamp_min(FLOOR).log().transpose(1, 2)
