"""The video that a cue sheet is of: known by its content, found where it has moved."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from v2a_foley.cuesheet.document import CueSheet
from v2a_foley.cuesheet.selection import checked, refusal
from v2a_foley.errors import InputError


def fingerprint(video: Path) -> str:
    """Key of a video's content: SHA-256 of the file.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        with video.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise InputError(f"{video}: cannot be read: {problem.strerror}") from problem


def located(sheet: CueSheet) -> CueSheet:
    """The sheet with its video where it is: as stated, else of the same name beside the sheet.

    Raises:
        CueSheetError: when it is in neither place, with what to do.
    """
    if sheet.video.exists():
        return sheet
    hint = f"say where it is: v2a-foley cue relink {sheet.path} VIDEO"
    beside = sheet.path.parent / sheet.video.name if sheet.path else None
    if beside is None or not beside.is_file():
        raise refusal(sheet, f"its video {sheet.video} is not there: put it back, or {hint}")
    if fingerprint(beside) != sheet.fingerprint:
        message = f"its video {sheet.video} is not there, and {beside} is another one"
        raise refusal(sheet, f"{message}: put it back, or {hint}")
    return replace(sheet, video=beside)


def relink(sheet: CueSheet, video: Path, changed: bool = False) -> CueSheet:
    """Say where a sheet's video is now; `changed` takes one with other content, too.

    Raises:
        CueSheetError: when it is another video, or scenes are after the end of a changed one.
        InputError: when it cannot be read as a video.
    """
    from v2a_foley.media.probe import probe

    info = probe(video)
    mark = fingerprint(video)
    if mark == sheet.fingerprint:
        return replace(sheet, video=video)
    if not changed:
        raise refusal(
            sheet,
            f"{video} is not the video that was spotted: spot it, or use --changed if it is a new"
            " version of that one with the same cuts",
        )
    return checked(replace(sheet, video=video, fingerprint=mark, duration=info.duration))
