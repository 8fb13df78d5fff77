"""Makes torch ready: the torchvision stand-in, the device and the number type."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import TYPE_CHECKING

from v2a_foley.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


@cache
def prepare() -> None:
    """Make ``import torchvision`` work beside a CPU build of torch; call before model imports.

    PyPI's Linux wheels of torchvision are linked to CUDA. With a CPU torch their extension does
    not load, and the import of torchvision fails on an op that is never registered. Declaring
    the two op schemas is enough: transforms and models then work (nothing here uses ops.nms).
    """
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    threads()
    if torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        library.define(schema)
    _kept.append(library)


_kept: list[object] = []  # a Library's definitions live as long as the object


@cache
def threads() -> int:
    """How many threads torch has on a CPU, as it was when it was made ready."""
    import torch

    return torch.get_num_threads()


def use_threads(count: int | None = None) -> None:
    """Give the calling thread ``count`` threads of torch (all of them if not given).

    Their number changes the rounding, and a thread that is new takes the number that any other
    was given last: models ask for theirs at each call, lest a result depend on what else runs.
    """
    import torch

    wanted = count or threads()
    if torch.get_num_threads() != wanted:  # looking is also what ends a new thread's own start
        torch.set_num_threads(wanted)


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device for ``name`` (``auto`` takes CUDA, then MPS, then the CPU).

    Raises InputError when the named device is not on this machine.
    """
    import torch

    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if has[kind]))
    kind = name.partition(":")[0]
    if kind not in has:
        raise InputError(f"unknown device '{name}': choose one of {', '.join(DEVICES)}")
    if not has[kind]:
        raise InputError(f"device '{name}' is not available on this machine: use --device auto")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device '{name}': {error}") from None
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if device.index is not None and device.index >= count:
        raise InputError(f"device '{name}' is not on this machine: use --device auto")
    return device


def choose_dtype(device: torch.device) -> torch.dtype:
    """Half precision on CUDA, float32 elsewhere (bf16 is slower on CPUs without native support)."""
    import torch

    return torch.float16 if device.type == "cuda" else torch.float32
