"""A page that is served: its sheet, its media, and the render that may run behind it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley import cuesheet, provenance
from v2a_foley.errors import FoleyError, InputError
from v2a_foley.progress import SILENT, Progress
from v2a_foley.review import edits
from v2a_foley.review.content import gather
from v2a_foley.review.media import Media, Shelf
from v2a_foley.review.page import Page, compose

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

_WORDS = {"load": "Loading the models", "render": "Rendering"}


class Session:
    """One sheet, its page and its models; safe to use from several threads.

    Nothing of it goes by a path that a browser names: media go by the names that the page was
    given, scenes by their ids in the sheet.
    """

    def __init__(self, sheet: Path, models: Models, progress: Progress = SILENT) -> None:
        self.sheet = sheet
        self._models = models
        self._shelf = Shelf()
        self._media = Media(self._shelf, progress)
        self._drawing = threading.Lock()
        self._rendering = threading.Lock()
        self._text, self._failed = "", False

    def page(self) -> Page:
        """The page as the sheet and its stems are now.

        Raises:
            FoleyError: the sheet is not valid.
        """
        with self._drawing:
            page = compose(gather(cuesheet.load(self.sheet), self._media), live=True)
            self._shelf.turn()
            return page

    def media(self, name: str) -> tuple[bytes, str] | None:
        """A sound or picture of the page by its name, and its kind."""
        return self._shelf.get(name)

    def edit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Change the sheet as a control of the page asks."""
        return {"done": edits.apply(self.sheet, request), "version": self._version()}

    def state(self) -> dict[str, Any]:
        """What a page looks at now and then, to see whether it is still right."""
        busy = self._rendering.locked()
        told = {"busy": busy, "failed": self._failed, "text": self._text}
        return told | {"version": self._version()}

    def _version(self) -> str:
        """Changes when the sheet is edited, by whomever, and when a render ends."""
        files = (self.sheet, self.sheet.with_name(_artefacts(self.sheet)) / provenance.NAME)
        return "-".join(f"{_stamp(path):x}" for path in files)

    def render(self) -> dict[str, Any]:
        """Begin to render what has changed; returns at once.

        Raises:
            InputError: it is being done already.
            CueSheetError: the sheet is not valid.
        """
        sheet = cuesheet.load(self.sheet)
        if not self._rendering.acquire(blocking=False):
            raise InputError("a render is running; wait for its end")
        self._text, self._failed = "Loading the models", False
        threading.Thread(target=self._render, args=(sheet,), daemon=True).start()
        return {"done": "Rendering"}

    def _render(self, sheet: cuesheet.CueSheet) -> None:
        from v2a_foley.rendering import render

        try:
            made = render(sheet, models=self._models, progress=self)
            fresh = sum(not each.cached for each in made)
            self._text = f"Rendered {fresh} of {len(made)} scenes anew"
        except Exception as problem:  # whatever it is, the page must hear of it
            known = isinstance(problem, FoleyError)
            words = str(problem) if known else f"unexpected {type(problem).__name__}: {problem}"
            self._text, self._failed = f"Not rendered: {words}", True
        finally:
            self._rendering.release()

    def stage(self, name: str, share: float) -> None:
        """Take a render's report."""
        if name in _WORDS:
            self._text = f"{_WORDS[name]} {share:.0%}" if name == "render" else _WORDS[name]

    def note(self, message: str) -> None:
        """Take a render's note; the page shows those of its scenes itself."""


def _artefacts(sheet: Path) -> str:
    return sheet.name.removesuffix(".toml").removesuffix(".cues") + ".cues"


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
