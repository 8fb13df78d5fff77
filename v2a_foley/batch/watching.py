"""How a batch tells of itself, and how it hears that it is to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from v2a_foley.batch.ledger import Record
    from v2a_foley.batch.line import Message
    from v2a_foley.batch.order import Plan


class Watcher(Protocol):
    """Is told how a batch goes."""

    def looked(self, done: int, total: int) -> None:
        """Some of the files were looked at."""

    def planned(self, plan: Plan) -> None:
        """All files were looked at; work begins."""

    def worker(self, number: int, message: Message) -> None:
        """A worker is ``ready``, or a file of its enters a ``stage``."""

    def ended(self, record: Record) -> None:
        """A file is done or has failed."""

    def note(self, message: str) -> None:
        """Something worth telling."""


@dataclass(slots=True)
class Stop:
    """How often an end was asked for: once finishes or drops what is begun, twice is at once."""

    asked: int = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count Ctrl-C and SIGTERM (a cluster's warning) instead of ending by them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(*_: object) -> None:
            self.asked += 1

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
