"""How a run tells of itself: bars with an estimate on a terminal, now and then a line off it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from v2a_foley.cli import console
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

EVERY = 10.0  # seconds between two lines about one stage
PANEL = "Messages"


@dataclass(frozen=True, slots=True)
class Messages:
    """How much a command says on stderr."""

    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Say nothing but errors.", rich_help_panel=PANEL),
    ] = False
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, show_default=False, rich_help_panel=PANEL,
            help="Tell of every scene; twice, as --debug.",
        ),
    ] = 0  # fmt: skip

    def say(self, message: str) -> None:
        """Print a message unless quiet is wanted."""
        if not self.quiet:
            console.say(message)

    def detail(self, message: str) -> None:
        """Print a message only where details are wanted."""
        if self.verbose:
            self.say(message)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A receiver of the library's reports that suits where stderr goes."""
        if self.quiet:
            yield SILENT
        elif sys.stderr and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            with _bars() as bars:
                yield OnTerminal(bars)
        else:
            yield InLog()


class InLog:
    """Prints the end of each stage, and every so many seconds how far a long one is."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._begun: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._ended: set[str] = set()

    def stage(self, name: str, share: float) -> None:
        """Take a report of a stage."""
        now = time.monotonic()
        begun = self._begun.setdefault(name, now)
        if share >= 1:
            if name not in self._ended:
                self._ended.add(name)
                console.say(f"{name}: done in {now - begun:.1f} s")
        elif now - self._told.setdefault(name, now) >= self._every:
            self._told[name] = now
            console.say(f"{name}: {share:.0%}")

    def note(self, message: str) -> None:
        """Pass on a line."""
        console.say(message)


class OnTerminal:
    """Shows a bar a stage, with the time it took and the time it will take."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def stage(self, name: str, share: float) -> None:
        """Take a report of a stage; one that has only begun has no end in sight yet."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=None)
        self._bars.update(self._tasks[name], total=1.0 if share else None, completed=share)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        text = console.safe(message)
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<8}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
