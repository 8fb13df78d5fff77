"""The clips of a timeline in Final Cut Pro 7's XML (Premiere, Resolve) or Final Cut Pro's FCPXML.

OpenTimelineIO's adapters read 29.97 frames a second as 29 from FCPXML, and no sequence that lies
in a project from FCP7's XML; neither knows lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from v2a_foley.errors import InputError

_CLIPS = ("clip", "asset-clip", "ref-clip", "sync-clip", "mc-clip", "video")  # FCPXML's


class Cut(NamedTuple):
    """A scene in seconds, and where in its file it stands."""

    start: float
    end: float
    place: str


def read(path: Path) -> list[Cut]:
    """The clips of the first timeline in a file, in order.

    Raises:
        InputError: naming the line, for what is neither of the two formats.
    """
    root, lines = _parsed(path)
    kinds = {"xmeml": _xmeml, "fcpxml": _fcpxml}
    if root.tag not in kinds:
        known = " and ".join(f"<{kind}>" for kind in kinds)
        raise InputError(f"{path}, line 1: begins with <{root.tag}>; known are {known}")
    cuts = []
    for element, start, end in kinds[root.tag](root):
        place = f"line {lines[element]}"
        if start is None or end is None:
            raise InputError(f"{path}, {place}: <{element.tag}> has no start or no end")
        cuts.append(Cut(float(start), float(end), place))
    return cuts


_Clip = tuple[Element, Fraction | None, Fraction | None]


def _parsed(path: Path) -> tuple[Element, dict[Element, int]]:
    """The root element and the line of each; entities, which could be bombs, are refused."""
    parser = expat.ParserCreate()
    builder = ElementTree.TreeBuilder()
    lines: dict[Element, int] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def entity(name: str, *rest: object) -> None:
        line = parser.CurrentLineNumber
        raise InputError(f"{path}, line {line}: defines the entity {name!r}, which is not allowed")

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from problem
    except expat.ExpatError as problem:
        what = expat.errors.messages[problem.code]
        raise InputError(f"{path}, line {problem.lineno}: is not valid XML: {what}") from None
    except LookupError as problem:
        raise InputError(f"{path}, line 1: {problem}; save it as UTF-8") from None
    return builder.close(), lines


# Final Cut Pro 7 ---------------------------------------------------------------------------------


def _xmeml(root: Element) -> Iterator[_Clip]:
    """Clips in frames of their sequence; -1 is a bound inside a transition, cut in its middle."""
    sequence = root.find(".//sequence")
    if sequence is None:
        return
    frame = _frame(sequence)
    for track in sequence.iterfind("media/video/track"):
        if track.find("clipitem") is not None:
            items = [each for each in track if each.tag in ("clipitem", "transitionitem")]
            for number, item in enumerate(items):
                if item.tag == "clipitem":
                    before = items[number - 1] if number else None
                    after = items[number + 1] if number + 1 < len(items) else None
                    start, end = _bound(item, "start", before), _bound(item, "end", after)
                    yield item, start and start * frame, end and end * frame
            return


def _frame(sequence: Element) -> Fraction:
    """A frame's length in seconds; ``ntsc`` slows a round rate down by 1001/1000."""
    timebase = _whole(sequence.findtext("rate/timebase")) or 25
    ntsc = (sequence.findtext("rate/ntsc") or "").strip().lower() == "true"
    return Fraction(1001 if ntsc else 1000, timebase * 1000)


def _bound(clip: Element, which: str, beside: Element | None) -> Fraction | None:
    at = _whole(clip.findtext(which))
    if at != -1:
        return None if at is None else Fraction(at)
    if beside is None or beside.tag != "transitionitem":
        return None
    start, end = _whole(beside.findtext("start")), _whole(beside.findtext("end"))
    return None if start is None or end is None else Fraction((start + end) // 2)


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\s*-?\d{1,12}\s*", text) else None


# Final Cut Pro X ---------------------------------------------------------------------------------


def _fcpxml(root: Element) -> Iterator[_Clip]:
    """The primary storyline; an offset counts from its sequence's start, ``tcStart``."""
    sequence = root.find(".//sequence")
    spine = None if sequence is None else sequence.find("spine")
    if sequence is None or spine is None:
        return
    zero = at = _seconds(sequence.get("tcStart", "0s")) or Fraction(0)
    for item in spine:
        if item.tag in (*_CLIPS, "gap", "title"):
            offset, duration = _seconds(item.get("offset")), _seconds(item.get("duration"))
            start = at if offset is None else offset
            if item.tag in _CLIPS:
                yield item, start - zero, None if duration is None else start + duration - zero
            at = start + (duration or 0)


def _seconds(text: str | None) -> Fraction | None:
    """``1001/30000s`` or ``5s``."""
    match = re.fullmatch(r"\s*(-?\d{1,18})(?:/([1-9]\d{0,17}))?s\s*", text or "")
    return Fraction(int(match[1]), int(match[2] or 1)) if match else None
