"""A ``.npy`` of embeddings that grows at its end and is mapped, not read."""

from __future__ import annotations

import io
import os
import tokenize
from pathlib import Path

import numpy as np

from v2a_foley.errors import InputError


def create(path: Path, dim: int) -> None:
    """Write an empty file of float32 ``(0, dim)``."""
    with path.open("wb") as file:
        file.write(_header(0, dim))


def append(path: Path, rows: np.ndarray) -> int:
    """Add ``rows`` ``(n, dim)`` at the end; returns the number of the first.

    The header is written last: killed before, the file has the rows that it had.
    """
    count, dim = opened(path).shape
    with path.open("r+b") as file:
        file.seek(len(_header(count, dim)) + count * dim * 4)
        file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        _sync(file)
        file.seek(0)
        file.write(_header(count + len(rows), dim))
        _sync(file)
    return count


def opened(path: Path) -> np.ndarray:
    """The embeddings ``(n, dim)``, mapped into memory.

    Raises InputError when the file is missing or damaged.
    """
    try:
        if len(_header(*_shape(path))) + 4 * int(np.prod(_shape(path))) > path.stat().st_size:
            raise ValueError("it was cut off")
        if not _shape(path)[0]:  # nothing cannot be mapped
            return np.zeros(_shape(path), np.float32)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, tokenize.TokenError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path}: the library's embeddings are damaged ({reason}): delete the folder "
            f"{path.parent} and add your sound folders again"
        ) from None


def _shape(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it has another version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if len(shape) != 2 or fortran or dtype != np.dtype("<f4"):
        raise ValueError(f"it holds {dtype} {shape}")
    return shape[0], shape[1]


def _header(count: int, dim: int) -> bytes:
    """As long for every ``count``: numpy leaves room for the first axis to grow."""
    made = io.BytesIO()
    what = {"descr": "<f4", "fortran_order": False, "shape": (count, dim)}
    np.lib.format.write_array_header_1_0(made, what)
    return made.getvalue()


def _sync(file: io.BufferedRandom) -> None:
    file.flush()
    os.fsync(file.fileno())
