"""How a batch tells of itself: an overview on a terminal, lines off it, or JSON lines."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from v2a_foley.cli import console
from v2a_foley.cli.progress import EVERY, Messages

if TYPE_CHECKING:
    from rich.console import RenderableType

    from v2a_foley.batch.ledger import Record
    from v2a_foley.batch.line import Message
    from v2a_foley.batch.order import Plan
    from v2a_foley.batch.watching import Watcher

SHOWN = 6  # files at work that the overview names a worker


class Lines:
    """A line for the plan, for each file that ends, and for what is worth telling.

    The names of finished outputs go to stdout, all else to stderr; with ``as_json`` every event
    goes to stdout as an object of its own.
    """

    def __init__(self, messages: Messages, as_json: bool) -> None:
        self._messages, self._json = messages, as_json
        self._begun = self._told = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.scenes = 0
        self.total = 0

    def looked(self, done: int, total: int) -> None:
        """Tell now and then how many files were looked at."""
        now = time.monotonic()
        if now - self._told >= EVERY and done < total:
            self._told = now
            self.note(f"looked at {done} of {total} files")

    def planned(self, plan: Plan) -> None:
        """Tell what is to be made, and what is skipped and why."""
        skipped = plan.only("skip")
        self.total = len(plan.entries) - len(skipped)
        self._begun = time.monotonic()
        reasons = Counter(entry.reason for entry in skipped)
        self._event(
            "plan",
            {
                "make": len(plan.only("make")),
                "fail": len(plan.only("fail")),
                "skip": reasons,
                "estimate": plan.estimate,
            },
        )
        for why, number in reasons.items():
            self.note(f"skipped {number}: {why}")
        for entry in skipped:
            self._event("skipped", {"key": entry.key, "input": entry.video, "reason": entry.reason})
            self._messages.detail(f"skipped {console.name(entry.key)}: {entry.reason}")
        for note in plan.notes:
            self.note(note)

    def worker(self, number: int, message: Message) -> None:
        """Tell of a worker that is ready, and of stages where details are wanted."""
        if message["event"] == "ready":
            self.note(f"worker {number + 1}: models loaded, on {message['device']}")
        elif message["stage"] != "wait":
            name = console.name(message["key"])
            self._messages.detail(f"worker {number + 1}: {message['stage']} {name}")

    def ended(self, record: Record) -> None:
        """Tell of a file that is done or has failed."""
        self.counts[record.status] += 1
        self.scenes += record.scenes
        self._event(record.status, asdict(record))
        number = f"[{self.counts.total()}/{self.total}]"
        name = console.name(record.key)
        if record.status == "failed":
            self.line(f"{number} failed {name}: {record.error}")
            return
        spent = sum(record.seconds.get(stage, 0.0) for stage in ("spot", "render", "deliver"))
        self.line(f"{number} done {name}: {record.scenes} scenes, {spent:.1f} s")
        if not self._json:
            console.out(name)

    def note(self, message: str) -> None:
        """Pass on a line."""
        self.line(message)

    def line(self, text: str) -> None:
        """A line for people."""
        self._messages.say(text)

    def rate(self) -> tuple[float, float]:
        """Files an hour, and seconds that the rest will take at this rate."""
        ended = self.counts.total()
        spent = time.monotonic() - self._begun
        return 3600 * ended / max(spent, 1e-9), (self.total - ended) * spent / max(ended, 1)

    def _event(self, name: str, values: Mapping[str, Any]) -> None:
        if self._json:
            console.out(console.json_line({"event": name, **values}))


class OnTerminal(Lines):
    """The same with an overview under the lines, which stays in its place."""

    def __init__(self, messages: Messages, as_json: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(messages, as_json)
        self._at_work: dict[int, dict[str, str]] = {}
        self._console = Console(stderr=True)
        self.live = Live(
            console=self._console,
            get_renderable=self._view,
            refresh_per_second=4,
            redirect_stdout=sys.stdout.isatty(),  # else the names are on their way to a file
        )

    def worker(self, number: int, message: Message) -> None:
        """Remember what each worker is at."""
        files = self._at_work.setdefault(number, {})
        if message["event"] == "ready":
            files.clear()
        else:
            files[message["key"]] = message["stage"]
        super().worker(number, message)

    def ended(self, record: Record) -> None:
        """The file is no worker's any more."""
        for files in self._at_work.values():
            files.pop(record.key, None)
        super().ended(record)

    def line(self, text: str) -> None:
        """A line above the overview."""
        if not self._messages.quiet:
            self._console.print(
                console.safe(text), markup=False, highlight=False, soft_wrap=True, style="none"
            )

    def _view(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        ended = self.counts.total()
        rate, left = self.rate()
        hours, rest = divmod(int(left), 3600)
        eta = f"{hours}:{rest // 60:02d}:{rest % 60:02d} left" if ended else "time left unknown"
        rows = Table.grid()
        rows.add_row(
            f"{ended}/{self.total} files, {self.scenes} scenes, {rate:.0f} files/h, {eta}, "
            f"{self.counts['failed']} failed"
        )
        rows.add_row(ProgressBar(total=max(1, self.total), completed=ended, width=60))
        for number, files in sorted(self._at_work.items()):
            busy = [f"{stage} {name}" for name, stage in list(files.items()) if stage != "wait"]
            rows.add_row(Text(f"worker {number + 1}: {console.name(', '.join(busy[:SHOWN]))}"))
        return rows


@contextmanager
def overview(messages: Messages, as_json: bool) -> Iterator[Watcher]:
    """What suits where stderr goes."""
    terminal = sys.stderr and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if messages.quiet or not terminal:
        yield Lines(messages, as_json)
        return
    shown = OnTerminal(messages, as_json)
    with shown.live:
        yield shown
