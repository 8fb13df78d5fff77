"""What was expensive, kept under a key of its content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

LIMIT = 4 * 2**30  # bytes; beyond it the entries unused for longest go
ABANDONED = 2 * 86_400  # seconds after which a run's folder is nobody's
SWEEP_EVERY = 64  # writes between two looks at the size
_writes = 0


def folder() -> Path:
    """The cache folder (``V2A_FOLEY_CACHE_DIR``, else the user's cache folder)."""
    import platformdirs

    override = os.environ.get("V2A_FOLEY_CACHE_DIR")
    return Path(override) if override else platformdirs.user_cache_path("v2a-foley")


def key(*parts: object) -> str:
    """A key over ``parts``: arrays by shape, type and bytes, everything else by its JSON."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def get(name: str) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
    """Arrays and notes kept under ``name``, or None. A damaged entry counts as none."""
    from safetensors import SafetensorError, safe_open

    path = _path(name)
    try:
        with safe_open(path, framework="np") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            notes = dict(file.metadata() or {})
        os.utime(path)
    except (OSError, SafetensorError):
        return None
    return arrays, notes


def put(name: str, arrays: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> None:
    """Keep arrays and notes under ``name``. A cache that cannot be written is no error."""
    from safetensors.numpy import save_file

    global _writes
    path = _path(name)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        os.close(handle)
        try:
            contiguous = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
            save_file(contiguous, part, metadata=dict(notes))
            Path(part).replace(path)
        finally:
            Path(part).unlink(missing_ok=True)
        _writes += 1
        if _writes % SWEEP_EVERY == 0:
            sweep()


def size() -> int:
    """Bytes that the cache holds."""
    return sum(entry.stat().st_size for entry in _entries())


def sweep(limit: int = LIMIT) -> int:
    """Remove the entries unused for longest until at most ``limit`` bytes stay; bytes freed."""
    entries = sorted(((e.stat().st_mtime, e.stat().st_size, e) for e in _entries()), reverse=True)
    kept = freed = 0
    for _, length, entry in entries:
        kept += length
        if kept > limit:
            with suppress(OSError):
                entry.unlink()
                freed += length
    return freed


def clear() -> int:
    """Empty the cache; bytes freed."""
    return sweep(0)


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder in the cache for one run, removed after it; so are those a crash left behind."""
    runs = folder() / "runs"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(dir=runs)
    except OSError:  # a cache that cannot be written is no error
        made = tempfile.mkdtemp()
    for left in runs.glob("*"):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - ABANDONED:
                shutil.rmtree(left)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _path(name: str) -> Path:
    return folder() / "entries" / name[:2] / f"{name}.safetensors"


def _entries() -> list[Path]:
    return list((folder() / "entries").glob("*/*.safetensors"))
