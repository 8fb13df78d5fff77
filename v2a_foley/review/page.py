"""The page itself: one HTML document that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from v2a_foley import cuesheet
from v2a_foley.cuesheet import CueSheet
from v2a_foley.media.files import atomic
from v2a_foley.progress import SILENT, Progress
from v2a_foley.review.content import Review, gather
from v2a_foley.review.media import Media, inline


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML document, and the Content-Security-Policy that it was written for."""

    html: str
    policy: str


def default_page(sheet: Path) -> Path:
    """``clip.cues.toml`` becomes ``clip.review.html`` beside it."""
    return sheet.with_name(sheet.name.removesuffix(".toml").removesuffix(".cues") + ".review.html")


def write(
    sheet: Path, output: Path, *, overwrite: bool = False, progress: Progress = SILENT
) -> CueSheet:
    """Write the review page of the cue sheet ``sheet`` to ``output``, with all that it shows.

    Raises:
        CueSheetError: the sheet is not valid.
        InputError: the output cannot or must not be written.
    """
    loaded = cuesheet.load(sheet)
    with atomic(output, [sheet, loaded.video], overwrite=overwrite) as part:
        page = compose(gather(loaded, Media(inline, progress)))
        part.write_text(page.html, encoding="utf-8")
    return loaded


def compose(review: Review, *, live: bool = False) -> Page:
    """Lay out a page; ``live``: with the controls that need the server."""
    style, script = _asset("page.css"), _asset("page.js")
    source = "'self'" if live else "data:"
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            f"img-src {source}{' data:' if live else ''}",
            f"media-src {source}",
            *(["connect-src 'self'"] if live else []),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    template = _environment().get_template("page.html")
    html = template.render(review=review, live=live, policy=policy, style=style, script=script)
    return Page(html, policy)


def _hash(text: str) -> str:
    """A CSP source that lets exactly this text run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@lru_cache
def _asset(name: str) -> str:
    return (files("v2a_foley.review") / name).read_text(encoding="utf-8")


@lru_cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"timecode": timecode, "mark": mark}
    return made


def timecode(seconds: float) -> str:
    """``1:02:03.450``, without hours where there are none."""
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
    return f"{hours}:{clock}" if hours else clock


def mark(html: Any) -> str:
    """A short name of a fragment's content, by which a page sees that it has changed."""
    return hashlib.sha256(str(html).encode()).hexdigest()[:16]
