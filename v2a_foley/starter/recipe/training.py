"""What the training steps share: the clock, checkpoints and the moving average."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside ``path`` and move it there in one step."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, or None where there is none."""
    return torch.load(path, weights_only=True) if path.exists() else None


class Average:
    """Exponential moving average of a module's parameters and buffers."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        """Move towards ``module``; the decay warms up so that early steps count."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mine, new in zip(
            self.module.state_dict().values(), module.state_dict().values(), strict=True
        ):
            if mine.is_floating_point():
                mine.lerp_(new, 1 - decay)
            else:
                mine.copy_(new)


class Run:
    """A model in training with its average and optimizer, kept in one checkpoint file."""

    def __init__(
        self, path: Path, model: torch.nn.Module, average: Average, optimizer: torch.optim.Optimizer
    ) -> None:
        self.path, self.model, self.average, self.optimizer = path, model, average, optimizer
        state = load_checkpoint(path) or {}
        self.step, self.spent = int(state.get("step", 0)), float(state.get("spent", 0.0))
        if state:
            model.load_state_dict(state["model"])
            average.module.load_state_dict(state["average"])
            average.updates = self.step
            optimizer.load_state_dict(state["optimizer"])

    def save(self, spent: float) -> None:
        """Write the checkpoint; ``spent`` is the training time so far, in seconds."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": spent,
        }
        save_checkpoint(self.path, state)

    def update(self, loss: torch.Tensor, rate: float) -> None:
        """One optimizer step at learning rate ``rate``, gradients clipped to 1."""
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1


def steps(
    budget: float, done: float, save: Callable[[float], None], every: float = 120.0
) -> Iterator[float]:
    """Yield the share of the time budget (seconds) that is spent, saving on the way.

    Training lengths are given as time, so ``done`` (seconds spent before a restart) counts.
    The learning rate follows the share: a schedule that ends with the budget.
    """
    started = saved = time.monotonic()
    while True:
        now = time.monotonic()
        spent = done + now - started
        if spent >= budget:
            save(spent)
            return
        if now - saved > every:
            save(spent)
            saved = now
        yield spent / budget


def warm_cosine(share: float, warm: float = 0.02) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine to 2 % (no rest at zero)."""
    import math

    if share < warm:
        return max(share / warm, 0.02)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (share - warm) / (1 - warm)))
