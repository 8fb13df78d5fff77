"""Small freely licensed real recordings, pictures and a clip; credits in CREDITS.tsv."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def material(kind: str) -> list[Path]:
    """The files of one kind: ``sounds``, ``pictures``, ``clips`` or ``voices``."""
    found = sorted(path for path in (FOLDER / kind).iterdir() if path.is_file())
    assert found
    return found
