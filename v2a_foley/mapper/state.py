"""The state of a training, in one checkpoint file: what a killed training goes on from."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel

from v2a_foley.errors import InputError
from v2a_foley.mapper.config import TrainingSettings
from v2a_foley.mapper.network import Network
from v2a_foley.media.files import atomic


class State:
    """Weights, their moving average, the optimizer, and the best average so far.

    There is no state of random numbers: those of a step follow from the seed and the step.
    ``step``: steps done. ``stale``: looks at the held-out pairs since the best.
    """

    def __init__(self, network: Network, settings: TrainingSettings) -> None:
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=_averaging(settings.average))
        self.average.eval()
        self.optimizer = _optimizer(network, settings)
        self.scaler: Any = None
        self.step = 0
        self.best: dict[str, torch.Tensor] = {}
        self.best_loss = float("inf")
        self.best_step = 0
        self.stale = 0

    @property
    def averaged(self) -> Network:
        """The network with the averaged weights."""
        return cast(Network, self.average.module)

    def look(self, loss: float) -> bool:
        """Take the loss of the averaged weights on held-out pairs; true where it is the best."""
        self.stale += 1
        if not loss < self.best_loss:
            return False
        self.best_loss, self.best_step, self.stale = loss, self.step, 0
        weights = self.averaged.state_dict()
        self.best = {k: v.detach().cpu().clone() for k, v in weights.items()}
        return True

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Write the checkpoint in one step; ``identity`` says what is trained on what."""
        state = {
            "identity": identity,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else {},
            "best": self.best,
            "numbers": [self.step, self.best_loss, self.best_step, self.stale],
        }
        with atomic(path, overwrite=True) as part:
            torch.save(state, part)

    def restore(self, path: Path, identity: dict[str, Any]) -> None:
        """Go on from a checkpoint, where there is one.

        Raises InputError when it is damaged, or of another training.
        """
        if not path.exists():
            return
        begin = f"remove it to begin anew ({path.name})"
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            own = state["identity"]
        except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{path}: damaged checkpoint ({reason}): {begin}") from None
        for key, value in identity.items():
            if own.get(key) != value:
                raise InputError(
                    f"{path}: is the checkpoint of a training with {key} {own.get(key)!r}, not "
                    f"{value!r}: go on with that one, choose another output, or {begin}"
                )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.best = state["best"]
        self.step, self.best_loss, self.best_step, self.stale = state["numbers"]


def _averaging(decay: float) -> Any:
    """Exponential moving average whose decay warms up, so that early steps are forgotten."""

    @torch.no_grad()
    def update(
        averages: list[torch.Tensor], values: list[torch.Tensor], updates: torch.Tensor
    ) -> None:
        own = min(decay, (1 + float(updates)) / (10 + float(updates)))
        torch._foreach_lerp_(averages, values, 1 - own)

    return update


def _optimizer(network: Network, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW as in DALLE2-pytorch's prior: vectors (biases, norms) do not decay."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [w for w in trained if w.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.99), eps=1e-6)
