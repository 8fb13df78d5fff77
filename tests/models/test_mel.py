from __future__ import annotations

import torch

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


def test_filters_made_in_inference_serve_training_too() -> None:
    filterbank.cache_clear()
    wave = tone(440)
    with torch.inference_mode():
        log_mel(wave)
    heard = wave.clone().requires_grad_()
    log_mel(heard).sum().backward()
    assert heard.grad is not None
