"""Sees that a machine has the memory a model pack needs, before it is loaded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley.errors import ModelError
from v2a_foley.models.packs import Pack

if TYPE_CHECKING:
    import torch

WORKING = 0.9 * 2**30  # bytes beside the weights: libraries, activations, sound (measured)
FLOATS = ("F64", "F32", "F16", "BF16")


def needed(pack: Pack, device: torch.device) -> float:
    """Bytes that a pack's models and their work take, weights as they are on ``device``."""
    from safetensors import safe_open

    from v2a_foley.models.runtime import choose_dtype

    size = choose_dtype(device).itemsize
    total = WORKING
    for path in pack.folder.rglob("*.safetensors"):
        with safe_open(path, framework="np") as file:
            for key in file.keys():  # noqa: SIM118
                part = file.get_slice(key)
                own = size if part.get_dtype() in FLOATS else 8
                total += math.prod(part.get_shape()) * own
    return total


def available(device: torch.device) -> float | None:
    """Bytes that can still be taken on ``device``; None where the system does not say."""
    if device.type == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    free = [_kilobytes(Path("/proc/meminfo"), "MemAvailable:"), _container()]
    return min((value for value in free if value is not None), default=None)


def require(pack: Pack, device: torch.device, free: float | None) -> None:
    """Raise ModelError when ``free`` bytes are too few for ``pack`` on ``device``."""
    if free is None:
        return
    need = needed(pack, device)
    if free < need:
        raise ModelError(
            f"model pack '{pack.name}' needs about {need / 2**30:.1f} GiB of memory on "
            f"{device.type}, {free / 2**30:.1f} GiB are free: close other programs, or use a "
            "smaller pack (--models starter) or another device (--device)"
        )


def _kilobytes(path: Path, name: str) -> float | None:
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _container() -> float | None:
    """What a container's limit leaves (cgroup version 2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = float((folder / "memory.current").read_text(encoding="ascii"))
        cache = _field(folder / "memory.stat", "inactive_file ")
        return None if limit == "max" else float(limit) - used + cache
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> float:
    lines = path.read_text(encoding="ascii").splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(name)), 0.0)
