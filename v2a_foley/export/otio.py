"""Timelines by OpenTimelineIO: its own format, and Final Cut Pro 7 XML by its adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley.export.timeline import Timeline, comment, printable, relative, title, url
from v2a_foley.media.audio import RATE

if TYPE_CHECKING:
    from opentimelineio.opentime import TimeRange
    from opentimelineio.schema import Clip, Marker, Track
    from opentimelineio.schema import Timeline as OtioTimeline

    from v2a_foley.export.stems import Cut

FCP = "fcp_xml"  # what the adapter adds to the elements it writes
OWN = "v2a_foley"


def dumps(timeline: Timeline, path: Path) -> tuple[str, tuple[str, ...]]:
    """The timeline as OTIO JSON, its media relative to ``path``; nothing is lost."""
    builder = _Builder(timeline, lambda file: relative(file, path.parent), exploded=False)
    return str(builder.build().to_json_string()), ()


def dumps_xml(timeline: Timeline, path: Path) -> tuple[str, tuple[str, ...]]:
    """The timeline as Final Cut Pro 7 XML, in which each audio track is one channel."""
    from opentimelineio import adapters

    built = _Builder(timeline, url, exploded=True).build()
    return str(adapters.write_to_string(built, "fcp_xml")), ()


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds OpenTimelineIO's objects.

    ``address`` gives the address of a file. ``exploded``: a track for each channel of sound.
    """

    timeline: Timeline
    address: Callable[[Path], str]
    exploded: bool

    def build(self) -> OtioTimeline:
        """The whole timeline."""
        from opentimelineio.opentime import RationalTime
        from opentimelineio.schema import Timeline as OtioTimeline

        clock = self.timeline.clock
        start = RationalTime(clock.start, float(clock.rate))
        built = OtioTimeline(self.timeline.name, global_start_time=start)
        built.metadata[FCP] = {
            "media": {"video": {"format": self._size()}},
            "timecode": self._display(),
        }
        built.tracks.append(self._track("Picture", "Video", [(0, self._picture())]))
        built.tracks.extend(self._original())
        for number, lane in enumerate(self.timeline.lanes):
            name = "Foley" if number == 0 else f"Foley {number + 1}"
            counts = {cut.channels for cut in lane}
            stereo = counts == {2}
            for channel in self._channels(max(counts)):
                there = [cut for cut in lane if channel < cut.channels]
                clips = [(cut.start, self._stem(cut, channel)) for cut in there]
                built.tracks.append(self._track(name, "Audio", clips, channel, stereo=stereo))
        built.tracks.markers.extend(self._marker(cut) for cut in self.timeline.cuts)
        return built

    def _channels(self, count: int) -> range:
        return range(count if self.exploded else 1)

    def _original(self) -> Iterator[Track]:
        """The video's own sound, as many tracks as the file has."""
        before = 0
        for number, sound in enumerate(self.timeline.picture.audio):
            language = "" if sound.language == "und" else sound.language
            name = printable(sound.title or language or f"Original {number + 1}")
            for channel in self._channels(sound.channels):
                clip = self._picture()
                clip.enabled = not self.timeline.muted
                clip.metadata[OWN] = {"audio_track": number}
                clip.metadata[FCP] = _source(before + channel, enabled=not self.timeline.muted)
                stereo = sound.channels == 2
                yield self._track(name, "Audio", [(0, clip)], channel, stereo=stereo)
            before += sound.channels

    def _track(
        self,
        name: str,
        kind: str,
        clips: Sequence[tuple[int, Clip]],
        channel: int = 0,
        *,
        stereo: bool = False,
    ) -> Track:
        """Clips at their frames, with gaps between; of a stereo pair, the track of a channel."""
        from opentimelineio.schema import Gap, Track

        track, end = Track(name, kind=kind), 0
        for start, clip in clips:
            if start > end:
                track.append(Gap(source_range=self._range(0, start - end)))
            track.append(clip)
            end = start + round(clip.source_range.duration.value)
        if self.exploded and stereo:
            track.metadata[FCP] = {
                "@premiereTrackType": "Stereo",
                "@currentExplodedTrackIndex": str(channel),
                "@totalExplodedTrackCount": "2",
            }
        return track

    def _picture(self) -> Clip:
        info, start = self.timeline.picture, self.timeline.clock.start
        channels = sum(track.channels for track in info.audio)
        media = {"video": self._size()} | ({"audio": _sound(channels)} if channels else {})
        frames = self.timeline.frames
        return self._clip(info.path, (start, frames), (start, frames), media)

    def _stem(self, cut: Cut, channel: int) -> Clip:
        start = self.timeline.clock.start
        media = {"audio": _sound(cut.channels)}
        there = (start + cut.first, cut.last - cut.first)
        clip = self._clip(cut.path, there, (start + cut.start, cut.frames), media)
        clip.metadata[FCP] = _source(channel, enabled=True)
        clip.metadata[OWN] = _scene(cut) | {
            "time_reference": self.timeline.clock.since_midnight(cut.first)
        }
        return clip

    def _clip(
        self, path: Path, there: tuple[int, int], used: tuple[int, int], media: dict[str, Any]
    ) -> Clip:
        """A clip of a file: the frames that are ``there``, and those ``used`` of them."""
        from opentimelineio.schema import Clip, ExternalReference

        name = printable(path.name)
        file = ExternalReference(self.address(path), self._range(*there))
        file.name = name
        file.metadata[FCP] = {"media": media, "timecode": self._display()}
        return Clip(name, file, self._range(*used))

    def _marker(self, cut: Cut) -> Marker:
        from opentimelineio.schema import Marker

        marked = self._range(cut.start, cut.frames)
        metadata = {FCP: {"comment": comment(cut)}, OWN: _scene(cut)}
        return Marker(title(cut), marked, "GREEN", metadata)

    def _range(self, start: int, frames: int) -> TimeRange:
        from opentimelineio.opentime import RationalTime, TimeRange

        rate = float(self.timeline.clock.rate)
        return TimeRange(RationalTime(start, rate), RationalTime(frames, rate))

    def _size(self) -> dict[str, Any]:
        info = self.timeline.picture
        return {"samplecharacteristics": {"width": info.width, "height": info.height}}

    def _display(self) -> dict[str, Any]:
        return {"displayformat": "DF" if self.timeline.clock.drop else "NDF"}


def _source(channel: int, *, enabled: bool) -> dict[str, Any]:
    """Which of its file's channels a clip plays, counted from 0."""
    track = {"mediatype": "audio", "trackindex": channel + 1}
    return {"enabled": "TRUE" if enabled else "FALSE", "sourcetrack": track}


def _sound(channels: int) -> dict[str, Any]:
    return {"samplecharacteristics": {"samplerate": RATE, "depth": 24}, "channelcount": channels}


def _scene(cut: Cut) -> dict[str, Any]:
    scene = cut.scene
    tags = [{"concept": tag.concept, "score": tag.score} for tag in scene.tags]
    return {"scene": scene.id, "preset": scene.preset, "seed": str(scene.seed), "tags": tags}
