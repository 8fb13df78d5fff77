"""Where a mapper is trained: one device, or those that ``accelerate launch`` gives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from v2a_foley.errors import InputError
from v2a_foley.models.runtime import choose_device, prepare

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = ("no", "bf16", "fp16")


def accelerator(device: str = "auto", precision: str | None = None) -> Accelerator:
    """Accelerate, set to a device and a precision of the arithmetic.

    Under ``accelerate launch`` each process has a device of its own and ``device`` only says
    whether it is the CPU. ``precision`` None is what accelerate is set to, else no (float32).

    Raises InputError when the device is not there or does not have the precision.
    """
    import torch

    prepare()
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    chosen = choose_device(device)
    if precision not in (None, *PRECISIONS):
        raise InputError(f"precision '{precision}': choose one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and chosen.type != "cuda":
        raise InputError(f"precision fp16 needs a CUDA device, not {chosen.type}: use bf16 or no")
    if not torch.distributed.is_initialized():
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier training's choice
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone and chosen.index is not None:
        torch.cuda.set_device(chosen)
    return Accelerator(cpu=chosen.type == "cpu", mixed_precision=precision)
