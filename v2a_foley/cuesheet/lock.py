"""One who edits at a time: a lock beside the file that is edited."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from v2a_foley.errors import FoleyError

PATIENCE = 10.0
"""Seconds that an edit waits for another one, which takes a fraction of one."""
_PAUSE = 0.02


@contextmanager
def locked(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold a file's lock; whoever else wants it waits, in this process or another.

    The system holds the lock on a hidden file beside `path`, so that it ends with its process,
    however that ends. Links to one file share its lock.

    Raises:
        FoleyError: when another holds it for longer than `patience` seconds, or the folder
            cannot be written.
    """
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{target.name[:50]}.lock")
    end = time.monotonic() + patience
    try:
        while (file := _taken(lock)) is None:
            if time.monotonic() > end:
                raise FoleyError(
                    f"{path}: is being edited by another program; try again when that is done"
                )
            time.sleep(_PAUSE)
    except OSError as problem:
        raise FoleyError(f"{path}: cannot be written: {problem.strerror}") from problem
    try:
        yield
    finally:
        _let_go(lock, file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _let_go(lock: Path, file: BinaryIO) -> None:
        file.close()
        with suppress(OSError):  # another has it open and will remove it
            lock.unlink()

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _let_go(lock: Path, file: BinaryIO) -> None:
        with suppress(OSError):
            lock.unlink()  # while it is held: whoever waits sees that its file is gone
        file.close()


def _taken(lock: Path) -> BinaryIO | None:
    """The locked file, or None while another holds it."""
    file = lock.open("ab")
    try:
        _lock(file)
        if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            return file
    except (BlockingIOError, PermissionError, FileNotFoundError):
        pass  # held, or removed in the meantime
    except BaseException:
        file.close()
        raise
    file.close()
    return None
