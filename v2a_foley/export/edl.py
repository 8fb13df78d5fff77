"""CMX 3600 edit decision lists: the oldest format, and the one that holds least."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from v2a_foley.export.stems import Cut
from v2a_foley.export.timeline import Timeline, printable, title

REEL = 8  # characters in the name of a reel
MOST_EVENTS = 999  # three digits
SPECIAL = {"AX", "BL", "BLACK", "BARS"}  # reels that mean something else


def dumps(timeline: Timeline, path: Path) -> tuple[str, tuple[str, ...]]:
    """The picture as the first event, then one for each stem; and what could not be held.

    A stem's own timecode is that of its place, so its source and record times are the same.
    """
    clock = timeline.clock
    held = timeline.lanes[0] if timeline.lanes else []
    lost = tuple(_lost(timeline, held))
    names = reels([timeline.picture.path.stem, *(cut.path.stem for cut in held)])
    lines = [f"TITLE: {timeline.name[:70]}"]
    lines += [f"FCM: {'DROP FRAME' if clock.drop else 'NON-DROP FRAME'}", ""]
    lines.append(_event(1, names[0], "V", 0, timeline.frames, timeline))
    lines.append(f"* FROM CLIP NAME: {printable(timeline.picture.path.name)}")
    lines += [f"* NOT HELD: {what}" for what in lost]
    for number, (cut, reel) in enumerate(zip(held, names[1:], strict=True), start=2):
        channels = "A" if cut.channels == 1 else "AA"
        lines.append(_event(number, reel, channels, cut.start, cut.frames, timeline))
        lines.append(f"* FROM CLIP NAME: {printable(cut.path.name)}")
        lines.append(f"* LOC: {clock.timecode(cut.start)} GREEN   {title(cut)}")
    return "\n".join([*lines, ""]), lost


def reels(names: Iterable[str]) -> list[str]:
    """Names of at most eight capital letters, digits and ``_``, no two the same."""
    made: list[str] = []
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()
        stem = reel = re.sub(r"[^A-Z0-9]+", "_", plain).strip("_")[:REEL] or "CLIP"
        number = 1
        while reel in made or reel in SPECIAL:
            number += 1
            reel = f"{stem[: REEL - len(str(number))]}{number}"
        made.append(reel)
    return made


def _event(
    number: int, reel: str, channels: str, start: int, frames: int, timeline: Timeline
) -> str:
    at, until = (timeline.clock.timecode(frame) for frame in (start, start + frames))
    return f"{number:03}  {reel:<{REEL}} {channels:<5} C        {at} {until} {at} {until}"


def _lost(timeline: Timeline, held: list[Cut]) -> Iterator[str]:
    """What this timeline has that an EDL has no place for."""
    yield "where the files lie (only their names), the picture's size"
    if timeline.picture.audio:
        yield "the video's own sound"
    if any(cut.head or cut.tail for cut in held):
        yield "the lengths of the handles (the stems have them all the same)"
    if len(held) < len(timeline.cuts):
        others = len(timeline.cuts) - len(held)
        yield f"{others} stems that overlap another: one track of stems is written"
    if len(held) + 1 > MOST_EVENTS:
        yield f"three-digit numbers of its {len(held) + 1} events: some programs read {MOST_EVENTS}"
