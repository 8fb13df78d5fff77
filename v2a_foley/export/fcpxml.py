"""Final Cut Pro's FCPXML 1.8. Its times are fractions of seconds, and stay exact here.

OpenTimelineIO's adapter writes 29.97 as 29 frames a second and drops the start timecode.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from v2a_foley.export.stems import Cut
from v2a_foley.export.timeline import Timeline, comment, printable, title, url
from v2a_foley.media.audio import RATE

VERSION = "1.8"
SCENE = "com.apple.proapps.studio.scene"
_PICTURE, _FORMAT = "r2", "r1"


def dumps(timeline: Timeline, path: Path) -> tuple[str, tuple[str, ...]]:
    """The timeline as FCPXML, and what it cannot hold."""
    root = ElementTree.Element("fcpxml", version=VERSION)
    resources = ElementTree.SubElement(root, "resources")
    _resources(resources, timeline)
    event = ElementTree.SubElement(root, "event", name=timeline.name)
    project = ElementTree.SubElement(event, "project", name=timeline.name)
    clock = timeline.clock
    start = _frames(clock.start, timeline)
    sequence = ElementTree.SubElement(
        project, "sequence", format=_FORMAT, duration=_frames(timeline.frames, timeline),
        tcStart=start, tcFormat="DF" if clock.drop else "NDF", audioRate="48k",
    )  # fmt: skip
    spine = ElementTree.SubElement(sequence, "spine")
    _picture(spine, timeline, start)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{body}\n', ()


def _resources(resources: ElementTree.Element, timeline: Timeline) -> None:
    info, clock = timeline.picture, timeline.clock
    ElementTree.SubElement(
        resources, "format", id=_FORMAT, frameDuration=_seconds(1 / clock.rate),
        width=str(info.width), height=str(info.height),
    )  # fmt: skip
    asset = ElementTree.SubElement(
        resources, "asset", id=_PICTURE, name=printable(info.path.name), src=url(info.path),
        start=_frames(clock.start, timeline), duration=_frames(timeline.frames, timeline),
        hasVideo="1", format=_FORMAT,
    )  # fmt: skip
    if info.audio:
        asset.set("hasAudio", "1")
        asset.set("audioSources", str(len(info.audio)))
        asset.set("audioChannels", str(max(track.channels for track in info.audio)))
    for number, cut in enumerate(timeline.cuts):
        first, last = clock.since_midnight(cut.first), clock.sample(cut.last)
        length = last - clock.sample(cut.first)
        asset = ElementTree.SubElement(
            resources, "asset", id=_asset(number), name=printable(cut.path.name),
            src=url(cut.path), start=_samples(first), duration=_samples(length), hasAudio="1",
            audioSources="1", audioChannels=str(cut.channels), audioRate=str(RATE),
        )  # fmt: skip
        metadata = ElementTree.SubElement(asset, "metadata")
        ElementTree.SubElement(metadata, "md", key=SCENE, value=printable(cut.scene.id))


def _picture(spine: ElementTree.Element, timeline: Timeline, start: str) -> None:
    """The picture in the storyline, the stems connected to it, then a marker for each scene."""
    clip = ElementTree.SubElement(
        spine, "asset-clip", ref=_PICTURE, name=printable(timeline.picture.path.name),
        offset=start, start=start, duration=_frames(timeline.frames, timeline), format=_FORMAT,
        tcFormat="DF" if timeline.clock.drop else "NDF", audioRole="dialogue",
    )  # fmt: skip
    if timeline.muted:
        clip.set("srcEnable", "video")
    numbers = {id(cut): number for number, cut in enumerate(timeline.cuts)}
    for lane, cuts in enumerate(timeline.lanes, start=1):
        for cut in cuts:
            _stem(clip, cut, _asset(numbers[id(cut)]), lane, timeline)
    for cut in timeline.cuts:
        ElementTree.SubElement(
            clip, "marker", start=_frames(timeline.clock.start + cut.start, timeline),
            duration=_seconds(1 / timeline.clock.rate), value=title(cut), note=comment(cut),
        )  # fmt: skip


def _stem(clip: ElementTree.Element, cut: Cut, asset: str, lane: int, timeline: Timeline) -> None:
    clock = timeline.clock
    skipped = Fraction(clock.since_midnight(cut.first), RATE) + cut.head / clock.rate
    ElementTree.SubElement(
        clip, "asset-clip", ref=asset, lane=str(-lane), name=printable(cut.path.name),
        offset=_frames(clock.start + cut.start, timeline), start=_seconds(skipped),
        duration=_frames(cut.frames, timeline), audioRole="effects",
    )  # fmt: skip


def _asset(number: int) -> str:
    return f"r{number + 3}"


def _frames(frames: int, timeline: Timeline) -> str:
    return _seconds(frames / timeline.clock.rate)


def _samples(samples: int) -> str:
    return f"{samples}/{RATE}s"


def _seconds(time: Fraction) -> str:
    return f"{time}s"  # a whole number or a fraction
