"""How long work tells of itself. The library reports; the command line draws."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives reports. Stages are ``spot``, ``load``, ``render`` and ``deliver``."""

    def stage(self, name: str, share: float) -> None:
        """Report that ``share`` (0 to 1) of a stage is done."""

    def note(self, message: str) -> None:
        """Pass on a line worth telling."""


class Silent:
    """Reports to nobody."""

    def stage(self, name: str, share: float) -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""


SILENT = Silent()
