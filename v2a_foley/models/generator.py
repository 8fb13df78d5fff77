"""AudioLDM: latent diffusion conditioned by one CLAP embedding a window."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley.errors import FoleyError, ModelError
from v2a_foley.models import audioldm, memory
from v2a_foley.models.packs import Pack, require_intact
from v2a_foley.models.runtime import choose_dtype, prepare, threads, use_threads
from v2a_foley.models.windows import OVERLAP, joined, overlapped, window_starts

if TYPE_CHECKING:
    import torch

DECODE_SECONDS = 20.48  # longer waves are decoded in parts of this length


@dataclass(frozen=True, slots=True)
class Request:
    """One wave to make.

    ``conditions``: CLAP embeddings float32 ``(k, dim)``, one for each window that
    :func:`~v2a_foley.models.windows.window_starts` names (``k`` may be 1: the same for all).
    ``negative``: ``(dim,)`` or None for the empty text.
    ``seconds``: least length of the wave. ``seed``: of its noise, and of nothing else's.
    ``start``: a sound to begin from instead of noise alone, float32 ``(samples,)`` at the
    generator's rate; ``faithful`` is the share of the denoising steps that it saves, from 0
    (nothing of it stays) to 1 (nothing is changed).
    """

    conditions: np.ndarray
    seconds: float
    seed: int
    negative: np.ndarray | None = None
    start: np.ndarray | None = None
    faithful: float = 0.0

    def skipped(self, steps: int) -> int:
        """How many of ``steps`` denoising steps the start saves."""
        return 0 if self.start is None else round(steps * min(1.0, max(0.0, self.faithful)))


class Generator:
    """A pack's AudioLDM. Waves are float32 ``(samples,)`` at ``sample_rate``, mono."""

    def __init__(self, pack: Pack, device: torch.device) -> None:
        prepare()
        import torch

        memory.require(pack, device, memory.available(device))
        require_intact(pack, f"{pack.generator.relative_to(pack.folder)}/")
        self.device = device
        self.dtype = choose_dtype(device)
        self.window, self.bucket = pack.window, pack.bucket
        self._unet, self._vae, self._vocoder, self._config = audioldm.load(
            pack.generator, self.dtype, device
        )
        self.sample_rate = int(self._vocoder.config.sampling_rate)
        sizes = getattr(self._vocoder, "sizes", None)  # AudioLDM's own takes log mels as they are
        self._mel_mean: float = sizes.mean if sizes else 0.0
        self._mel_scale: float = sizes.scale if sizes else 1.0
        self._factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        hop = math.prod(self._vocoder.config.upsample_rates)
        self._rate = self.sample_rate / hop / self._factor  # latent frames a second
        self._bins = int(self._vocoder.config.model_in_dim) // self._factor
        # A CPU rounds differently by batch size: one window at a time makes a scene the same
        # to the bit, alone and among others. Its cores work on several requests instead.
        self._batch = 1 if device.type == "cpu" else 16
        self.dim = int(self._unet.config.projection_class_embeddings_input_dim)
        self._torch = torch
        if device.type == "cpu" and pack.channels_last:
            self._unet.to(memory_format=torch.channels_last)

    def frames(self, seconds: float) -> int:
        """Latent frames for ``seconds``: a bucket up to a window, whole window steps beyond."""
        if seconds <= self.window:
            return round(max(1, math.ceil(seconds / self.bucket - 1e-6)) * self.bucket * self._rate)
        beyond = len(window_starts(seconds, self.window)) - 1
        return self._window_frames() + beyond * self._step_frames()

    def generate(
        self,
        requests: Sequence[Request],
        *,
        unconditional: np.ndarray,
        steps: int = 15,
        guidance: float = 2.5,
        scheduler: str = "dpm++",
        progress: Callable[[float], None] = lambda share: None,
    ) -> list[np.ndarray]:
        """Make every request's wave; requests of one length and start share batches.

        ``unconditional`` is the CLAP text embedding of the empty text, ``(dim,)``: the other
        branch of classifier-free guidance, where a request names no negative. Noise is drawn
        per request, so a request's wave does not depend on its neighbours.
        """
        torch = self._torch
        waves: list[np.ndarray] = [np.empty(0, np.float32)] * len(requests)
        alike: dict[tuple[int, int], list[int]] = {}
        for index, request in enumerate(requests):
            shape = self.frames(request.seconds), request.skipped(steps)
            alike.setdefault(shape, []).append(index)
        groups = [
            group[at : at + size]
            for (length, _), group in sorted(alike.items())
            for size in [max(1, self._batch // len(self._starts(length)))]
            for at in range(0, len(group), size)
        ]
        weights = [len(group) * self.frames(requests[group[0]].seconds) for group in groups]
        shares = [0.0] * len(groups)

        def make(number: int) -> None:
            def report(share: float) -> None:
                shares[number] = share
                progress(sum(map(mul, shares, weights)) / sum(weights))

            def solve(group: list[int]) -> None:
                chosen = [requests[i] for i in group]
                try:
                    latents = self._denoise(
                        chosen, unconditional, steps, guidance, scheduler, report
                    )
                    for index, latent in zip(group, latents, strict=True):
                        waves[index] = self._decode(latent)
                    return
                except torch.OutOfMemoryError:
                    self._relieve(len(group))
                half = max(1, len(group) // 2)
                for part in (group[:half], group[half:]):
                    if part:
                        solve(part)

            solve(groups[number])

        with self._workers() as workers:
            list(workers.map(make, range(len(groups))))
        return waves

    def _relieve(self, count: int) -> None:
        """After the memory ran out for ``count`` requests: half as much at once from now on.

        Groups that were formed before may be larger than what is used by now.
        """
        if self._batch == 1 and count == 1:
            raise FoleyError(
                f"{self.device}: its memory is too small for one window of this model pack: close "
                "other programs that use it, or try --device cpu"
            ) from None
        self._batch = max(1, self._batch // 2 if count == 1 else min(self._batch, count // 2))
        if self.device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _workers(self) -> ThreadPoolExecutor:
        """On a CPU one thread a core, each with a request of its own; else one.

        One window cannot keep several cores busy, and their number would change the rounding.
        """
        if self.device.type != "cpu":
            return ThreadPoolExecutor(1)
        return ThreadPoolExecutor(threads(), initializer=use_threads, initargs=(1,))

    def _window_frames(self) -> int:
        return round(self.window * self._rate)

    def _step_frames(self) -> int:
        return round(self.window * (1 - OVERLAP) * self._rate)

    def _starts(self, length: int) -> list[int]:
        return list(range(0, max(1, length - self._window_frames() + 1), self._step_frames()))

    def _noise(self, seed: int, length: int) -> torch.Tensor:
        torch = self._torch
        generator = torch.Generator().manual_seed(seed)
        shape = (self._unet.config.in_channels, length, self._bins)
        return torch.randn(shape, generator=generator)

    def _denoise(
        self,
        requests: list[Request],
        unconditional: np.ndarray,
        steps: int,
        guidance: float,
        scheduler_name: str,
        report: Callable[[float], None],
    ) -> torch.Tensor:
        """Latents ``(n, channels, frames, bins)`` of requests of one length.

        Overlapping windows are denoised jointly: each step averages the windows' predictions
        where they overlap (MultiDiffusion, Bar-Tal et al., ICML 2023).
        """
        torch = self._torch
        length = self.frames(requests[0].seconds)
        starts = self._starts(length)
        scheduler = audioldm.make_scheduler(scheduler_name, self._config)
        scheduler.set_timesteps(steps, device=self.device)
        latents = torch.stack([self._noise(r.seed, length) for r in requests]).to(self.device)
        skipped = requests[0].skipped(steps)
        timesteps = scheduler.timesteps[skipped:]
        if skipped:
            latents = self._noised(requests, latents, length, scheduler, skipped)
        else:
            latents = latents * scheduler.init_noise_sigma
        positive = self._embeddings([r.conditions for r in requests], len(starts))
        negative = self._embeddings(
            [(unconditional if r.negative is None else r.negative)[None] for r in requests],
            len(starts),
        )
        size = min(length, self._window_frames())
        ramp = self._ramp(size)
        with torch.inference_mode():
            for index, step in enumerate(timesteps):
                scaled = scheduler.scale_model_input(latents, step).to(self.dtype)
                windows = torch.stack([scaled[:, :, s : s + size] for s in starts], 1)
                predicted = self._predict(windows.flatten(0, 1), step, positive, negative, guidance)
                predicted = predicted.unflatten(0, (len(requests), len(starts)))
                joint = overlapped(predicted, starts, length, ramp)
                latents = scheduler.step(joint, step, latents).prev_sample
                report((index + 1) / len(timesteps))
        return latents

    def _noised(
        self, requests: list[Request], noise: torch.Tensor, length: int, scheduler: Any, skip: int
    ) -> torch.Tensor:
        """Latents of the requests' starts with the noise that is left after ``skip`` steps.

        Image-to-image by partial diffusion (SDEdit, Meng et al., ICLR 2022).
        """
        torch = self._torch
        starts = [self._encode(r.start, length) for r in requests if r.start is not None]
        clean = torch.stack(starts)
        if skip >= len(scheduler.timesteps):
            return clean
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(skip)
        first = scheduler.timesteps[skip : skip + 1].repeat(len(requests))
        return scheduler.add_noise(clean, noise, first)

    def _encode(self, wave: np.ndarray, length: int) -> torch.Tensor:
        """A wave as a latent ``(channels, length, bins)``; cut, or padded with silence."""
        torch = self._torch
        samples = round(length / self._rate * self.sample_rate)
        padded = np.zeros(samples, np.float32)
        padded[: len(wave)] = wave[:samples]
        from v2a_foley.models.mel import log_mel

        mel = log_mel(torch.from_numpy(padded)[None].to(self.device))
        mel = (mel - self._mel_mean) / self._mel_scale
        with torch.inference_mode():
            latent = self._vae.encode(mel.unsqueeze(1).to(self.dtype)).latent_dist.mode()
        return latent[0].float() * self._vae.config.scaling_factor

    def _embeddings(self, conditions: list[np.ndarray], windows: int) -> torch.Tensor:
        """One unit-length condition a window, ``(n * windows, dim)``."""
        torch = self._torch
        rows = []
        for condition in conditions:
            table = np.atleast_2d(np.asarray(condition, np.float32))
            if table.shape[1] != self.dim or len(table) not in (1, windows):
                raise ModelError(
                    f"a condition of shape {table.shape} does not fit this generator: it takes "
                    f"(1, {self.dim}) or ({windows}, {self.dim}); use a mapper made for its CLAP"
                )
            rows.append(np.broadcast_to(table, (windows, self.dim)))
        stacked = torch.from_numpy(np.concatenate(rows)).to(self.device)
        return torch.nn.functional.normalize(stacked, dim=-1).to(self.dtype)

    def _predict(
        self,
        windows: torch.Tensor,
        step: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        guidance: float,
    ) -> torch.Tensor:
        """Guided prediction of the UNet for windows ``(n, channels, frames, bins)``, float32."""
        torch = self._torch
        out = []
        for at in range(0, len(windows), self._batch):
            part = slice(at, at + self._batch)
            x, labels = windows[part], positive[part]
            if guidance > 1:
                x, labels = torch.cat([x, x]), torch.cat([negative[part], labels])
            made = self._unet(x, step, encoder_hidden_states=None, class_labels=labels).sample
            made = made.float()
            if guidance > 1:
                without, made = made.chunk(2)
                made = without + guidance * (made - without)
            out.append(made)
        return torch.cat(out)

    def _ramp(self, size: int) -> torch.Tensor:
        """Window weights over time: full in the middle, falling linearly over the overlaps."""
        torch = self._torch
        edge = max(1, self._window_frames() - self._step_frames())
        rise = (torch.arange(size, device=self.device) + 1) / edge
        return torch.minimum(rise, rise.flip(0)).clamp_max(1.0)[:, None]

    def _decode(self, latent: torch.Tensor) -> np.ndarray:
        """One latent ``(channels, frames, bins)`` to its wave; long ones in overlapping parts."""
        torch = self._torch
        part = round(DECODE_SECONDS * self._rate)
        overlap = max(1, round(self._rate * 0.64))
        starts = list(range(0, max(1, latent.shape[1] - overlap), part - overlap))
        waves = []
        with torch.inference_mode():
            for start in starts:
                chunk = latent[None, :, start : start + part].to(self.dtype)
                mel = self._vae.decode(chunk / self._vae.config.scaling_factor).sample
                wave = self._vocoder(mel.squeeze(1).to(self._vocoder.dtype))
                waves.append(wave.reshape(-1).float().cpu().numpy())
        wave = joined(waves, round(overlap / self._rate * self.sample_rate))
        if not np.isfinite(wave).all():
            raise FoleyError("the generator made numbers that are not finite: try --device cpu")
        return wave
