"""The starter's vocoder: mel to wave through an inverse STFT, in the shape diffusers expects."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from v2a_foley.models.mel import BINS, HOP, SAMPLE_RATE, filterbank, log_mel

CONFIG_NAME = "vocos"


@dataclass(frozen=True, slots=True)
class VocosConfig:
    """Sizes of the network, and what turns its mels into log mels: ``mel * scale + mean``.

    ``n_fft`` is the inverse STFT's; ``corrections`` counts the rounds of mel correction.
    """

    dim: int = 224
    inner: int = 672
    layers: int = 6
    n_fft: int = 640
    mean: float = -6.0
    scale: float = 3.0
    corrections: int = 2


class Block(nn.Module):
    """A one-dimensional ConvNeXt block over ``(n, dim, frames)``."""

    def __init__(self, dim: int, inner: int, layers: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.widen = nn.Linear(dim, inner)
        self.narrow = nn.Linear(inner, dim)
        self.gain = nn.Parameter(torch.full((dim,), 1 / layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Residual: mix in time, then across channels."""
        y = self.norm(self.depthwise(x).transpose(1, 2))
        y = self.gain * self.narrow(nn.functional.gelu(self.widen(y)))
        return x + y.transpose(1, 2)


class Vocos(nn.Module):
    """Magnitudes and phases by frame, joined by an inverse STFT (Vocos, Siuzdak, ICLR 2024).

    ``config`` names what ``AudioLDMPipeline`` asks a vocoder for.
    """

    window: torch.Tensor

    def __init__(self, sizes: VocosConfig | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or VocosConfig()
        self.config = SimpleNamespace(
            model_in_dim=BINS, sampling_rate=SAMPLE_RATE, upsample_rates=[HOP]
        )
        self.embed = nn.Conv1d(BINS, sizes.dim, 7, padding=3)
        self.first_norm = nn.LayerNorm(sizes.dim, eps=1e-6)
        blocks = [Block(sizes.dim, sizes.inner, sizes.layers) for _ in range(sizes.layers)]
        self.blocks = nn.Sequential(*blocks)
        self.last_norm = nn.LayerNorm(sizes.dim, eps=1e-6)
        self.head = nn.Linear(sizes.dim, sizes.n_fft + 2)
        self.register_buffer("window", torch.hann_window(sizes.n_fft), persistent=False)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Vocos:
        """Read ``folder/config.json`` and ``folder/model.safetensors``."""
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.pop("model_type")
        model = cls(VocosConfig(**config))
        state = load_file(folder / "model.safetensors")
        model.load_state_dict({key: value.float() for key, value in state.items()})
        return model

    def save_pretrained(self, folder: Path) -> None:
        """Write what :meth:`from_pretrained` reads, matrices in half precision."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        table = {"model_type": CONFIG_NAME, **asdict(self.sizes)}
        (folder / "config.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        state = {k: v.half() if v.ndim > 1 else v for k, v in self.state_dict().items()}
        state = {k: v.contiguous() for k, v in state.items()}
        save_file(state, folder / "model.safetensors", {"format": "pt"})

    @property
    def dtype(self) -> torch.dtype:
        """Always float32: phases do not survive half precision."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.window.device

    def synthesise(self, mel: torch.Tensor) -> torch.Tensor:
        """Waves ``(n, frames * 160)`` of network mels ``(n, frames, 64)``, by the network alone."""
        x = self.embed(mel.float().transpose(1, 2))
        x = self.first_norm(x.transpose(1, 2)).transpose(1, 2)
        x = self.last_norm(self.blocks(x).transpose(1, 2))
        magnitude, phase = self.head(x).transpose(1, 2).chunk(2, dim=1)
        spectrum = torch.polar(magnitude.exp().clamp_max(1e2), phase)
        return self._inverse(spectrum)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Waves ``(n, frames * 160)`` whose mels are, corrected, those of ``mel``."""
        wave = self.synthesise(mel)
        for _ in range(self.sizes.corrections):
            wave = self.correct(wave, mel)
        return wave

    def correct(self, wave: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
        """Scale ``wave``'s bins by what its mel bands lack to ``mel``; phases stay.

        A gain in each band and frame, spread over the bins by the mel filters: what the network
        missed in level is put right without a search for phases.
        """
        wanted = mel.float() * self.sizes.scale + self.sizes.mean
        ratio = (wanted - log_mel(wave)).clamp(-2.3, 2.3).exp().transpose(1, 2)
        filters = filterbank(n_fft=self.sizes.n_fft).to(wave.device)
        total = filters.sum(0)
        gains = (filters.T @ ratio) / total.clamp_min(1e-8)[:, None]
        gains = torch.where(total[:, None] > 0, gains, torch.ones_like(gains))
        pad = (self.sizes.n_fft - HOP) // 2
        padded = nn.functional.pad(wave.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
        spectrum = torch.stft(
            padded, self.sizes.n_fft, HOP, window=self.window, center=False, return_complex=True
        )
        return self._inverse(spectrum * gains)

    def _inverse(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Overlap-add of frames ``(n, bins, frames)`` that stand half a hop inside the wave."""
        n_fft, frames = self.sizes.n_fft, spectrum.shape[2]
        parts = torch.fft.irfft(spectrum, n_fft, dim=1) * self.window[:, None]
        length = (frames - 1) * HOP + n_fft
        fold = {"output_size": (1, length), "kernel_size": (1, n_fft), "stride": (1, HOP)}
        wave = nn.functional.fold(parts, **fold)[:, 0, 0]
        squares = self.window.square()[:, None].expand(n_fft, frames)[None]
        weight = nn.functional.fold(squares, **fold)[0, 0, 0]
        pad = (n_fft - HOP) // 2
        return wave[:, pad : length - pad] / weight[pad : length - pad].clamp_min(1e-6)
