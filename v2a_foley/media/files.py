"""Output files that are either whole or not there.

Work goes to ``.<stem>.part<suffix>`` beside its target, is synced, then renamed. The final name
never holds half a file, and no temporary folder on another disk is involved.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from v2a_foley.errors import DiskFullError, InputError, MediaError

NAME_MAX = 255  # bytes in one file name, on every common file system
FULL_ERRNO = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = "No space left on device"  # ffmpeg's and libsndfile's words for ENOSPC
FULL_BYTES = 1 << 16  # a library that hides errno: less than this left is a full disk


def named(path: Path) -> str:
    """``path`` for a message: as it is, or escaped where it holds control characters."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def check_output(path: Path, inputs: Iterable[Path] = (), *, overwrite: bool = False) -> None:
    """Refuse an output that cannot or must not be written, before any work is done.

    Raises:
        InputError: the target is a folder, is one of ``inputs`` (also by a link), exists while
            ``overwrite`` is false, has too long a name, or lies in a folder that cannot be
            written.
    """
    if any(len(os.fsencode(part)) > NAME_MAX for part in path.parts):
        raise InputError(
            f"{named(path)}: has a name of more than {NAME_MAX} bytes; choose a shorter one"
        )
    try:
        if path.is_dir():
            raise InputError(f"{named(path)}: is a folder; give the name of a file to write")
        for other in inputs:
            if _same(path, other):
                raise InputError(f"{named(path)}: is the input itself; choose another output name")
        if os.path.lexists(path) and not overwrite:
            raise InputError(f"{named(path)}: exists already; remove it or use --overwrite")
    except OSError as error:  # a folder on the way that may not be entered
        raise InputError(
            f"{named(path)}: cannot be written ({error.strerror}); choose another output folder"
        ) from error
    _check_folder(path)


@contextmanager
def atomic(path: Path, inputs: Iterable[Path] = (), *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a part file's name to write; on success it becomes ``path``, on any error it goes.

    Missing folders are made. The part is synced before the rename, its folder after it.

    Raises:
        InputError: as in :func:`check_output`.
        DiskFullError: the disk is full.
        MediaError: nothing was written, or the file cannot be stored.
    """
    check_output(path, inputs, overwrite=overwrite)
    part = part_name(path)
    with _work_on(path, part):
        yield part
        _commit(part, path)


@contextmanager
def scratch(path: Path, suffix: str) -> Iterator[Path]:
    """Yield the name of a file to be used while ``path`` is made; in the end it is gone.

    It lies beside ``path``, so that no other disk is filled, and errors name ``path``.

    Raises:
        DiskFullError: the disk is full.
        MediaError: the file cannot be stored.
    """
    part = part_name(path.with_suffix(suffix))
    with _work_on(path, part):
        yield part
        part.unlink(missing_ok=True)


@contextmanager
def _work_on(path: Path, part: Path) -> Iterator[None]:
    """Have a folder for ``path``; on any error ``part`` goes, and the folders that were made."""
    made = [folder for folder in path.parents if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:  # KeyboardInterrupt too: no half file may stay
        full = _disk_full(error, path.parent)
        with suppress(OSError):
            part.unlink(missing_ok=True)
        with suppress(OSError):  # what somebody else has put into them stays
            for folder in made:
                folder.rmdir()
        if full:
            raise _full(path, path.parent) from error
        if isinstance(error, OSError):
            raise MediaError(f"{named(path)}: cannot be written: {error}") from error
        raise


def part_name(path: Path) -> Path:
    """Return ``.<stem>.part<suffix>`` beside ``path``, the stem cut where the name is too long."""
    tail = f".part{path.suffix}"
    room = NAME_MAX - len(os.fsencode(tail)) - 1
    stem = os.fsencode(path.stem)[:room].decode("utf-8", "ignore")
    return path.with_name(f".{stem}{tail}")


def _commit(part: Path, path: Path) -> None:
    if not part.is_file():
        raise MediaError(f"{named(path)}: nothing was written")
    _sync(part, os.O_RDWR)
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    if os.name == "posix":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder; the rename itself has been done.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


def _check_folder(path: Path) -> None:
    folder = path.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(
            f"{named(path)}: {named(folder)} is not a folder; choose another output folder"
        )
    try:  # trying is the only test that holds for root, read-only mounts and ACLs alike
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno in FULL_ERRNO:
            raise _full(path, folder) from error
        raise InputError(
            f"{named(path)}: cannot write into {named(folder)} ({error.strerror}); "
            "choose another output folder"
        ) from error


def _full(path: Path, folder: Path) -> DiskFullError:
    return DiskFullError(
        f"{named(path)}: the disk is full; free some space in {named(folder.resolve())}"
    )


def _disk_full(error: BaseException, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in FULL_ERRNO:
        return True
    if FULL_WORDS in str(error):
        return True
    if not isinstance(error, Exception):
        return False
    with suppress(OSError):
        return shutil.disk_usage(folder).free < FULL_BYTES
    return False
