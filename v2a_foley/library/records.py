"""What the index knows: folders, their files, and the windows that were embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was added: its name in credits, and the licence stated for all it holds."""

    id: int
    path: Path
    name: str
    licence: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of a folder. ``path`` is relative to it, with slashes; ``mtime`` in nanoseconds.

    ``hash`` is the SHA-256 of its bytes. ``note`` says why it has no windows, if it has none.
    """

    path: str
    size: int
    mtime: int
    hash: str
    seconds: float
    licence: str
    note: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to be written, with its windows: ``spans`` in seconds, ``embeddings`` ``(n, dim)``.

    ``known``: the index has a file with the same bytes, whose windows it gets instead.
    """

    file: File
    spans: Sequence[tuple[float, float]] = ()
    embeddings: Sequence[np.ndarray] = ()
    known: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of a recording: seconds ``start`` to ``end`` of a file, and its embedding's row."""

    folder: Folder
    file: File
    start: float
    end: float
    row: int

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.folder.path / self.file.path
