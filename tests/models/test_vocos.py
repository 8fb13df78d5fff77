from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from tests.material import material
from v2a_foley.models.bundle import Models
from v2a_foley.models.mel import HOP, log_mel
from v2a_foley.models.vocos import Vocos, VocosConfig

TINY = VocosConfig(dim=16, inner=32, layers=1)


def network_mel(wave: torch.Tensor) -> torch.Tensor:
    return (log_mel(wave) + 6) / 3


def test_frames_and_their_inverse_are_the_wave_again() -> None:
    model = Vocos(TINY)
    wave = torch.randn(2, 80 * HOP, generator=torch.Generator().manual_seed(0))
    pad = (model.sizes.n_fft - HOP) // 2
    padded = torch.nn.functional.pad(wave[:, None], (pad, pad), mode="reflect")[:, 0]
    spectrum = torch.stft(
        padded, model.sizes.n_fft, HOP, window=model.window, center=False, return_complex=True
    )
    assert spectrum.shape[2] == 80
    assert (model._inverse(spectrum) - wave).abs().max() < 1e-4


def test_correction_brings_the_mel_nearer() -> None:
    torch.manual_seed(0)
    model = Vocos(TINY)
    wave = torch.randn(1, 16_000) * torch.linspace(0.01, 0.3, 16_000)
    flat = torch.randn(1, 16_000) * 0.1
    wanted = network_mel(wave)
    errors = [float((network_mel(flat) - wanted).abs().mean())]
    for _ in range(2):
        flat = model.correct(flat, wanted)
        errors.append(float((network_mel(flat) - wanted).abs().mean()))
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < errors[1]


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Vocos(TINY).eval()
    model.save_pretrained(tmp_path)
    again = Vocos.from_pretrained(tmp_path).eval()
    assert again.sizes == model.sizes
    mel = torch.randn(1, 50, 64)
    with torch.no_grad():
        assert (model(mel) - again(mel)).abs().max() < 2e-2 * model(mel).abs().max()


def test_the_starter_s_vocoder_gives_real_sounds_back(starter: Models) -> None:
    vocoder = starter.generator._vocoder
    for path in material("sounds")[:4]:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        import soxr

        sound = soxr.resample(wave.mean(1), rate, 16_000)[: 16_000 * 2 // HOP * HOP]
        sound = torch.from_numpy(sound[: len(sound) // HOP * HOP])[None]
        mel = network_mel(sound)
        with torch.no_grad():
            made = vocoder(mel)
        assert made.shape == sound.shape
        heard = mel > float(mel.max()) - 3  # within 9 nats (78 dB) of the loudest
        assert (network_mel(made) - mel)[heard].abs().mean() < 0.15
        assert np.isfinite(made.numpy()).all()


def test_a_batch_changes_nothing(starter: Models) -> None:
    vocoder = starter.generator._vocoder
    mel = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(2)) * 0.3
    with torch.no_grad():
        assert torch.allclose(vocoder(mel)[1], vocoder(mel[1:])[0], atol=1e-4)
