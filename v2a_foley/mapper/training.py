"""Training a mapper on a folder of pairs, on one device or several."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from v2a_foley.errors import FoleyError, InputError
from v2a_foley.mapper import checkpoint, config, devices, kinds
from v2a_foley.mapper.batches import Batch, Batches, Material, read
from v2a_foley.mapper.config import Config
from v2a_foley.mapper.curves import Curves
from v2a_foley.mapper.state import State
from v2a_foley.media.files import check_output
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from accelerate import Accelerator

LINE = 10  # steps between two lines of the loss curve
CHECKPOINT = 300.0  # seconds after which a checkpoint is written between two looks
CHUNK = 256  # held-out pairs that are looked at together


@dataclass(frozen=True, slots=True)
class Trained:
    """A mapper that was trained; ``seconds`` are those since the step ``resumed``."""

    path: Path
    kind: str
    parameters: int
    pairs: int
    held_out: int
    steps: int
    best_step: int
    resumed: int
    metrics: dict[str, float]
    curves: Path
    seconds: float


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of a training is kept until its mapper is written."""
    return output.with_name(f"{output.stem}.checkpoint.pt")


def train(
    material: Material,
    output: Path,
    wanted: Config,
    *,
    seed: int = 0,
    device: str = "auto",
    precision: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Trained | None:
    """Train a mapper and write it to ``output``, its loss curves beside it.

    ``precision``: of the arithmetic, see :mod:`v2a_foley.mapper.devices`. A training of the
    same mapper that was killed goes on from its last checkpoint; on a CPU it ends with the same
    bytes as one that was not. Started by ``accelerate launch`` every process trains a share of
    each batch, the first one writes, and the others return None.

    Raises:
        InputError: what is given does not fit, before any work.
        FoleyError: the loss is no number any more.
    """
    begun = monotonic()
    curves = Curves(output)
    kept = checkpoint_path(output)
    check_outputs(output, overwrite)
    accelerator = devices.accelerator(device, precision)
    training = _Training(material, wanted, seed, accelerator, progress)
    training.state.restore(kept, training.identity)
    accelerator.wait_for_everyone()  # the first process must not write what others still read
    resumed = training.state.step
    if material.classes == 1 and accelerator.is_main_process:
        progress.note("all pairs are of one class: this mapper will know no other")
    try:
        training.run(curves, kept)
    except KeyboardInterrupt:
        if accelerator.is_main_process and kept.exists():
            progress.note(f"the same command goes on from the last checkpoint, {kept}")
        raise
    if not accelerator.is_main_process:
        return None
    metrics = training.write(output)
    if not curves.draw():
        progress.note(
            f"{curves.picture}: was not drawn, matplotlib is missing: install 'v2a-foley[train]'"
        )
    kept.unlink(missing_ok=True)
    state = training.state
    return Trained(
        output,
        wanted.kind,
        training.parameters,
        len(material.learned),
        len(material.held_out),
        state.step,
        state.best_step,
        resumed,
        metrics,
        curves.path,
        monotonic() - begun,
    )


def check_outputs(output: Path, overwrite: bool) -> None:
    """Refuse an output that cannot or must not be written; one that was begun may be finished.

    Raises InputError.
    """
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: must end in .safetensors: give another --output")
    check_output(output, overwrite=overwrite)
    curves = Curves(output)
    begun = overwrite or checkpoint_path(output).exists()
    for path in (curves.path, curves.picture):
        check_output(path, overwrite=begun)


class _Training:
    """One training: the state, what it learns from and on which devices."""

    def __init__(
        self,
        material: Material,
        wanted: Config,
        seed: int,
        accelerator: Accelerator,
        progress: Progress,
    ) -> None:
        self.material, self.config, self.seed = material, wanted, seed
        self.accelerator = accelerator
        self.progress = progress if accelerator.is_main_process else SILENT
        pairs = material.pairs
        self.header = config.header(wanted, pairs.d_clip, pairs.d_clap)
        torch.manual_seed(seed)
        network = kinds.build(pairs.d_clip, pairs.d_clap, wanted.frames, wanted.model)
        self.state = State(network.to(accelerator.device), wanted.training)
        self.model, self.state.optimizer = accelerator.prepare(network, self.state.optimizer)
        self.state.scaler = accelerator.scaler
        self.parameters = sum(w.numel() for w in network.parameters() if w.requires_grad)
        self._losses: list[torch.Tensor] = []

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in to be gone on from; steps may be added."""
        tables = {
            f"{name}.{key}": value
            for name, table in (self.header | {"training": asdict(self.config.training)}).items()
            if isinstance(table, dict)
            for key, value in table.items()
        }
        del tables["training.steps"]
        return {"kind": self.config.kind, "seed": self.seed, "pairs": self.material.digest} | tables

    def run(self, curves: Curves, kept: Path) -> None:
        """Train from the state's step to the last, or until the held-out loss stops falling."""
        state, settings, of = self.state, self.config.training, self.accelerator
        batches = Batches(self.material, settings.batch_size, self.config.frames.most, self.seed)
        if of.is_main_process:
            curves.begin(state.step)
        saved = monotonic()
        steps = batches.stream(state.step, settings.steps, of.process_index, of.num_processes)
        for batch in steps:
            if self._stale():  # a checkpoint of the last look
                break
            self._losses.append(self._step(batch))
            looks = state.step % settings.interval == 0 or state.step == settings.steps
            if looks or state.step % LINE == 0:
                self._line(curves, state.step / batches.per_epoch, kept)
                if looks:
                    self._look(curves)
                if of.is_main_process and (looks or monotonic() - saved > CHECKPOINT):
                    state.save(kept, self.identity)
                    saved = monotonic()
            self.progress.stage("train", state.step / settings.steps)
        self.progress.stage("train", 1.0)

    def _stale(self) -> bool:
        patience = self.config.training.patience
        return bool(patience) and self.state.stale >= patience

    def _step(self, batch: Batch) -> torch.Tensor:
        """One optimizer step; the loss, which stays on the device."""
        settings, state, of = self.config.training, self.state, self.accelerator
        torch.manual_seed(self._number(state.step, 1 + of.process_index))
        frames, mask, audio = (part.to(of.device) for part in batch)
        if settings.noise:
            width = settings.noise / frames.shape[-1] ** 0.5
            frames = normalize(frames + width * torch.randn_like(frames), dim=-1)
        for group in state.optimizer.param_groups:
            group["lr"] = self._rate()
        loss = self.model(frames, mask, audio)
        of.backward(loss)
        of.clip_grad_norm_(self.model.parameters(), settings.clip)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.average.update_parameters(state.network)
        state.step += 1
        return loss.detach()

    def _rate(self) -> float:
        settings = self.config.training
        return settings.lr * min(1.0, (self.state.step + 1) / max(1, settings.warmup))

    def _number(self, *parts: int) -> int:
        """A seed for torch that follows from the training's own and ``parts``."""
        return int(np.random.SeedSequence([self.seed, *parts]).generate_state(1)[0])

    def _line(self, curves: Curves, epoch: float, kept: Path) -> None:
        """Add the mean loss since the last line to the curve."""
        loss = float(torch.stack(self._losses).mean())
        self._losses = []
        if not np.isfinite(loss):
            rest = f" (the last checkpoint is {kept}: remove it)" if kept.exists() else ""
            raise FoleyError(
                f"the loss is no number any more at step {self.state.step}: train with a lower "
                f"--lr, or without --precision fp16{rest}"
            )
        if self.accelerator.is_main_process:
            curves.add(step=self.state.step, epoch=round(epoch, 4), loss=loss, lr=self._rate())

    def _look(self, curves: Curves) -> None:
        """Judge the averaged weights on the held-out pairs."""
        state = self.state
        if not len(self.material.held_out):
            return
        loss = self._held_out_loss()
        best = state.look(loss)
        if self.accelerator.is_main_process:
            curves.add(step=state.step, valid_loss=loss)
        self.progress.note(f"step {state.step}: held-out loss {loss:.4f}{' (best)' * best}")

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        """Mean loss of the averaged weights on held-out pairs, with the same noise every time."""
        held_out, of = self.material.held_out, self.accelerator
        total = torch.zeros(2, device=of.device)
        starts = range(0, len(held_out), CHUNK)
        for at in starts[of.process_index :: of.num_processes]:
            torch.manual_seed(self._number(at, 0))
            some = held_out[at : at + CHUNK]
            batch = read(self.material.pairs, some, self.config.frames.most)
            loss = self.state.averaged(*(part.to(of.device) for part in batch))
            total += torch.tensor([float(loss) * len(some), len(some)], device=of.device)
        total = of.reduce(total)
        return float(total[0] / total[1])

    @torch.no_grad()
    def write(self, output: Path) -> dict[str, float]:
        """Write the best weights as a mapper file, with how good they are."""
        state, material = self.state, self.material
        if not state.best:  # nothing was held out
            state.look(0.0)
            metrics = {}
        state.averaged.load_state_dict(state.best)
        if len(material.held_out):
            metrics = {"valid_loss": state.best_loss, "valid_cosine": self._held_out_cosine()}
        training = {
            "pairs": len(material.learned),
            "held_out": len(material.held_out),
            "classes": material.classes,
            "source": material.pairs.manifest.kind,
            "pack": material.pairs.pack,
            "steps": state.step,
            "best_step": state.best_step,
            "parameters": self.parameters,
            "seed": self.seed,
            "settings": asdict(self.config.training),
        }
        header = checkpoint.Header(
            self.config.kind, self.header, material.pairs.clip_id, training, metrics
        )
        checkpoint.save(output, header, state.best, material.pairs.fingerprint)
        return metrics

    def _held_out_cosine(self) -> float:
        """Mean cosine to the truth, over some pairs: sampling takes long where a CPU trains."""
        pairs, all_ = self.material.pairs, self.material.held_out
        some = all_[:: -(-len(all_) // CHUNK)]
        scenes = [torch.from_numpy(pairs.frames(index)) for index in some]
        generator = torch.Generator().manual_seed(self.seed)
        mapped = self.state.averaged.map(scenes, generator=generator)
        return float((mapped * torch.from_numpy(pairs.audio(some))).sum(1).mean())
