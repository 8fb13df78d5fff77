from __future__ import annotations

import numpy as np
import torch

from v2a_foley.models.griffin import GriffinLim
from v2a_foley.models.mel import BINS, filterbank, log_mel


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    """A sine at 16 kHz, ``(1, samples)``."""
    return torch.sin(2 * torch.pi * hertz * torch.arange(int(seconds * 16000)) / 16000)[None] * 0.5


def test_a_hundred_frames_a_second() -> None:
    assert log_mel(tone(440)).shape == (1, 100, BINS)


def test_a_tone_is_in_its_band() -> None:
    centres = filterbank() @ torch.arange(513).float() / filterbank().sum(1) * 16000 / 1024
    band = int(log_mel(tone(1000))[0, 50].argmax())
    assert abs(float(centres[band]) - 1000) < 60


def test_griffin_lim_gives_the_mel_back() -> None:
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(0, 0.1, 16000).astype(np.float32))[None]
    wave = noise + tone(700)
    mel = (log_mel(wave) + 6) / 3
    made = GriffinLim(-6.0, 3.0, 32)(mel)
    assert made.shape == (1, 16000)
    error = (log_mel(made)[:, 4:-4] - log_mel(wave)[:, 4:-4]).abs().mean()
    assert error < 0.35  # nats; a wave of the wrong spectrum is off by several


def test_griffin_lim_is_the_same_in_a_batch() -> None:
    mel = (log_mel(torch.cat([tone(300), tone(2000)])) + 6) / 3
    vocoder = GriffinLim(-6.0, 3.0, 8)
    assert torch.allclose(vocoder(mel)[1], vocoder(mel[1:])[0], atol=1e-4)
