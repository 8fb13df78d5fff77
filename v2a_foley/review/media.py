"""The page's sounds and pictures: made small once, and kept while their sources are the same."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from v2a_foley import frames
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.errors import CueSheetError, FoleyError
from v2a_foley.progress import SILENT, Progress
from v2a_foley.stems import stem_path

TAKE_KILOBITS = 64  # mono
PROGRAMME_KILOBITS = 96  # stereo
MP3, MP4, JPEG, PNG = "audio/mpeg", "video/mp4", "image/jpeg", "image/png"


class Place(Protocol):
    """Puts data where the page finds it, and tells the URL."""

    def __call__(self, data: bytes, kind: str) -> str: ...


def inline(data: bytes, kind: str) -> str:
    """The data as a URL of its own."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


class Shelf:
    """Keeps data to be served by name; what two pages in a row did not use goes."""

    def __init__(self) -> None:
        self._pages: list[dict[str, tuple[bytes, str]]] = [{}, {}, {}]  # the coming one first

    def __call__(self, data: bytes, kind: str) -> str:
        name = hashlib.sha256(data).hexdigest()[:32]
        self._pages[0][name] = data, kind
        return f"/media/{name}"

    def turn(self) -> None:
        """The coming page is complete."""
        self._pages = [{}, *self._pages[:2]]

    def get(self, name: str) -> tuple[bytes, str] | None:
        """The data of that name and its kind."""
        return next((page[name] for page in self._pages if name in page), None)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's URL and its size in pixels."""

    src: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Lane:
    """A sound as it is drawn and played.

    ``src`` is its URL, empty for a part of the programme; ``begin`` and ``seconds`` say where it
    lies in that sound, ``at`` where in the programme. ``wave`` is an SVG path.
    """

    src: str
    begin: float
    seconds: float
    at: float
    wave: str
    spectrum: str = ""
    sound: Any = None

    def part(self, start: float, end: float) -> Lane:
        """The programme from ``start`` to ``end`` seconds."""
        from v2a_foley.media.audio import length_of
        from v2a_foley.review.sounds import waveform

        piece = self.sound[length_of(start) : length_of(end)]
        return Lane("", start, end - start, start, waveform(piece))


class Media:
    """Makes the media of one sheet's page; may be asked again for the next page."""

    def __init__(self, place: Place, progress: Progress = SILENT) -> None:
        self._place, self._progress = place, progress
        self._made: dict[Hashable, Any] = {}
        self._copy: bytes = b""
        self._mixed: tuple[Any, bytes, Lane] | None = None

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def take(self, path: Path, scene: Scene) -> Lane | None:
        """A stem or a candidate, without its handles; None where it is not there or damaged."""
        key = (path, _stamp(path), scene.duration)
        made = self._once(key, lambda: _encoded(path, scene.duration))
        if made is None:
            return None
        mp3, png, lane = made
        return replace(
            lane, src=self._place(mp3, MP3), spectrum=self._place(png, PNG), at=scene.start
        )

    def programme(self, sheet: CueSheet, advice: list[str]) -> Lane | None:
        """The whole mix at the level of delivery; None where a stem is missing."""
        stamps = [_stamp(stem_path(sheet, scene)) for scene in sheet.scenes]
        try:
            if self._mixed is None or self._mixed[0] != (sheet, stamps):
                self._mixed = (sheet, stamps), *_mixed(sheet)
        except FoleyError as problem:
            if sheet.video.exists():
                advice.append(f"The mix cannot be heard: {problem}")
            return None
        _, mp3, lane = self._mixed
        return replace(lane, src=self._place(mp3, MP3))

    def strips(self, sheet: CueSheet, advice: list[str]) -> Mapping[str, Picture]:
        """A strip of pictures for each scene by its id; none where the video is not there."""
        from v2a_foley.review.pictures import strips

        try:
            self._copy = self._small_copy(sheet, advice)
        except FoleyError as problem:
            self._copy = b""
            advice.append(f"There is no picture: {problem}")
        if not self._copy:
            return {}
        spans = tuple((scene.start, scene.end) for scene in sheet.scenes)
        made = self._once((id(self._copy), spans), lambda: strips(self._copy, spans))
        names = [scene.id for scene in sheet.scenes]
        return {
            name: Picture(self._place(each.jpeg, JPEG), each.width, each.height)
            for name, each in zip(names, made, strict=True)
        }

    def _small_copy(self, sheet: CueSheet, advice: list[str]) -> bytes:
        from v2a_foley.media.probe import probe
        from v2a_foley.review.pictures import small_copy
        from v2a_foley.spotting import fingerprint

        info = probe(sheet.video)
        key = (sheet.video, _stamp(sheet.video))
        mark = self._once((*key, "mark"), lambda: fingerprint(sheet.video))
        if mark != sheet.fingerprint:
            advice.append(f"{sheet.video.name} is not the video that was spotted: spot it again.")

        def report(done: float, total: float) -> None:
            self._progress.stage("picture", min(1.0, done / total) if total else 0.0)

        made: bytes = self._once(key, lambda: small_copy(info, mark, report))
        return made

    def picture(self) -> str:
        """The video's small copy; empty where there is none."""
        return self._place(self._copy, MP4) if self._copy else ""

    def motion(self, sheet: CueSheet, scene: Scene) -> str:
        """How much the picture moves, as an SVG path; empty where spot has left no curve."""
        from v2a_foley.review.sounds import curve

        path = sheet.artefacts / frames.NAME
        try:
            seen = self._once((path, _stamp(path)), lambda: frames.load(sheet.artefacts))
        except CueSheetError:
            return ""
        inside = (seen.motion_times > scene.start + 0.02) & (seen.motion_times < scene.end)
        if not inside.any():
            return ""
        top = float(np.percentile(seen.motion, 98)) or 1.0
        share = (seen.motion_times[inside] - scene.start) / scene.duration
        return curve(share, seen.motion[inside] / top)


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when a file does; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _mixed(sheet: CueSheet) -> tuple[bytes, Lane]:
    """The programme as MP3, and as a lane that keeps its sound."""
    from v2a_foley.review.programme import programme
    from v2a_foley.review.sounds import mono, mp3, waveform

    sound = programme(sheet)
    single = mono(sound)
    lane = Lane("", 0.0, sheet.duration, 0.0, waveform(single), sound=single)
    return mp3(sound, PROGRAMME_KILOBITS), lane


def _encoded(path: Path, seconds: float) -> tuple[bytes, bytes, Lane] | None:
    """A sound file's middle ``seconds`` as MP3, spectrogram and lane."""
    import soundfile

    from v2a_foley.media.audio import RATE, length_of
    from v2a_foley.review.sounds import mono, mp3, spectrogram, waveform

    try:
        sound, rate = soundfile.read(path, dtype="float32")
    except (OSError, soundfile.LibsndfileError):
        return None
    length = length_of(seconds)
    if rate != RATE or len(sound) < length - RATE // 100:
        return None
    first = max(0, (len(sound) - length) // 2)
    single = mono(sound[first : first + length])
    lane = Lane("", 0.0, seconds, 0.0, waveform(single))
    return mp3(single, TAKE_KILOBITS), spectrogram(single), lane
