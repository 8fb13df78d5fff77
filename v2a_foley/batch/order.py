"""What a batch is asked for, and what its plan says: plain values, and where files go."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from v2a_foley.batch.finding import TEMPLATE, Patterns
from v2a_foley.batch.job import Task
from v2a_foley.batch.ledger import FOLDER
from v2a_foley.batch.sidecars import Stated


@dataclass(frozen=True, slots=True)
class Shard:
    """Share ``number`` (from 1) of ``count`` of a batch, for machines that work side by side."""

    number: int = 1
    count: int = 1

    @property
    def name(self) -> str:
        """Names the shard's ledger; empty where there is one alone."""
        return "" if self.count == 1 else f"{self.number}of{self.count}"

    def has(self, key: str) -> bool:
        """Whether a file is this shard's: by its key alone, whatever other files there are."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


@dataclass(frozen=True, slots=True)
class Order:
    """What a batch is to make, as it was asked for.

    ``listed`` are inputs of a list. ``overrides``, ``preset`` and ``seed`` are the command
    line's. ``overwrite``: replace outputs that no record explains.
    """

    output: Path
    inputs: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()
    patterns: Patterns = field(default_factory=Patterns)
    template: str = TEMPLATE
    preset: str | None = None
    seed: int | None = None
    shard: Shard = field(default_factory=Shard)
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Clip:
    """A file with all that names say of it; ``problem`` is why it cannot be used."""

    key: str
    video: Path
    stated: Stated
    sheet: Path | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a plan. ``action``: make, skip or fail; ``reason`` is why.

    ``duration`` is in seconds, ``size`` in bytes. ``found`` is the mark of what stands under
    the output's name now, ``before`` of what this batch made there; empty for nothing.
    """

    key: str
    video: Path
    action: str
    reason: str
    task: Task
    duration: float = 0.0
    size: int = 0
    input_mark: str = ""
    settings: str = ""
    found: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All files of a batch; ``notes`` are worth telling before it begins.

    ``estimate`` is the seconds of work for one worker; ``measured`` on how many files made
    before it rests.
    """

    output: Path
    entries: tuple[Entry, ...]
    estimate: float
    measured: int
    notes: tuple[str, ...]

    def only(self, action: str) -> list[Entry]:
        """The entries with one action."""
        return [entry for entry in self.entries if entry.action == action]


def work_folder(order: Order) -> Path:
    """Where the shard's unfinished files are, a folder each."""
    name = order.shard.name
    return order.output / FOLDER / f"work{name and '-'}{name}"


def made_folder(order: Order, key: str) -> Path:
    """Where the file of a key is made."""
    return work_folder(order) / hashlib.sha256(key.encode()).hexdigest()[:20]
