"""What the page shows: a cue sheet, its takes and what they were made of, ready to be laid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from v2a_foley import presets, provenance
from v2a_foley.cuesheet import CueSheet, Scene, resolve
from v2a_foley.cuesheet.document import find_preset
from v2a_foley.errors import FoleyError
from v2a_foley.presets import Tag
from v2a_foley.review.media import Lane, Media, Picture
from v2a_foley.stems import stem_path, take_path

AROUND = 1.0  # seconds of the programme heard before and after a scene


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that is not the preset's; ``usual`` is the preset's own."""

    name: str
    value: str
    usual: str
    whole_sheet: bool


@dataclass(frozen=True, slots=True)
class TakeView:
    """One candidate: what is known of it, and how it sounds (None: its file is not there)."""

    number: int
    lane: Lane | None
    chosen: bool
    known: Mapping[str, Any]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was measured, by name."""
        shown = (
            ("similarity", "similarity", "{:.3f}", 1),
            ("off the picture by", "offset", "{:.0f} ms", 1000),
            ("speech", "speech", "{:.2f}", 1),
            ("music", "music", "{:.2f}", 1),
        )
        known = [(name, form, factor, self.known.get(key)) for name, key, form, factor in shown]
        return [
            (name, form.format(factor * value))
            for name, form, factor, value in known
            if isinstance(value, int | float)
        ]

    @property
    def fault(self) -> str:
        """Why it was rejected; nothing if it was not."""
        return str(self.known.get("fault") or "")


@dataclass(frozen=True, slots=True)
class SceneView:
    """One scene. ``pending``: what was changed since it was rendered; ``changed``: before that."""

    scene: Scene
    number: int
    heard: bool
    gain_db: float
    strip: Picture | None
    motion: str
    settings: list[Setting]
    takes: list[TakeView]
    context: Lane | None
    record: Mapping[str, Any] | None
    pending: list[str]

    @property
    def changed(self) -> list[str]:
        """Why the scene was made anew the last time."""
        return _texts(self.record, "changed")

    @property
    def notes(self) -> list[str]:
        """What the render noted of it."""
        return _texts(self.record, "notes")

    @property
    def sources(self) -> list[tuple[str, str, int]]:
        """What the sound was made from: label, terms and origin, and how many there are."""
        counts = Counter(
            (str(each.get("label")), f"{each.get('licence')}, {each.get('package')}")
            for each in _tables(self.record, "sources")
        )
        return [(*credit, count) for credit, count in counts.items()]

    @property
    def tags(self) -> tuple[Tag, ...]:
        """What the scene seems to show."""
        return self.scene.tags


@dataclass(frozen=True, slots=True)
class Review:
    """A whole page's content. ``advice``: what is missing, and what to do about it."""

    sheet: CueSheet
    scenes: list[SceneView]
    picture: str
    programme: Lane | None
    mode: str
    loudness: str
    advice: list[str]
    presets: list[str]


def gather(sheet: CueSheet, media: Media) -> Review:
    """Everything the page shows of ``sheet``; what cannot be shown becomes advice.

    Raises:
        PresetError: a preset, or a setting, of the sheet is not valid.
    """
    advice: list[str] = []
    found = [each for each in provenance.load(sheet.artefacts) if isinstance(each, dict)]
    records = {str(each.get("scene")): each for each in found}
    strips = media.strips(sheet, advice)
    wanted = any(stem_path(sheet, scene).is_file() for scene in sheet.scenes)
    programme = media.programme(sheet, advice) if wanted else None
    track = resolve(sheet, None).mix
    scenes = []
    for number, scene in enumerate(sheet.scenes, 1):
        record = records.get(scene.id)
        begin = max(0.0, scene.start - AROUND)
        end = min(sheet.duration, scene.end + AROUND)
        scenes.append(
            SceneView(
                scene=scene,
                number=number,
                heard=sheet.sounds(scene),
                gain_db=resolve(sheet, scene).mix.gain_db,
                strip=strips.get(scene.id),
                motion=media.motion(sheet, scene),
                settings=_settings(sheet, scene),
                takes=_takes(sheet, scene, record, media),
                context=programme.part(begin, end) if programme else None,
                record=record,
                pending=_pending(sheet, scene, record),
            )
        )
    if not any(view.takes for view in scenes):
        advice.insert(0, "Nothing has been rendered yet: run 'v2a-foley render' on this cue sheet.")
    return Review(
        sheet=sheet,
        scenes=scenes,
        picture=media.picture(),
        programme=programme,
        mode=track.mode,
        loudness=_loudness(track),
        advice=advice,
        presets=presets.names(),
    )


def _texts(record: Mapping[str, Any] | None, key: str) -> list[str]:
    found = (record or {}).get(key)
    return [str(each) for each in found] if isinstance(found, list) else []


def _tables(record: Mapping[str, Any] | None, key: str) -> list[dict[str, Any]]:
    found = (record or {}).get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _loudness(track: presets.Mix) -> str:
    if track.loudness is None:
        return "loudness as it comes"
    return f"{track.loudness:g} LUFS, {track.true_peak:g} dBTP"


def _settings(sheet: CueSheet, scene: Scene) -> list[Setting]:
    """What the sheet or the scene states over the scene's preset."""
    folder = sheet.path.parent if sheet.path else None
    preset = find_preset(scene.preset, folder) if folder else presets.find(scene.preset)
    found = []
    for section, values in presets.merge(sheet.defaults, scene.overrides).items():
        for key, value in values.items():
            usual = getattr(getattr(preset, section), key)
            if value != usual:
                own = key in scene.overrides.get(section, {})
                found.append(Setting(f"{section}.{key}", _text(value), _text(usual), not own))
    return found


def _takes(
    sheet: CueSheet, scene: Scene, record: Mapping[str, Any] | None, media: Media
) -> list[TakeView]:
    """The candidates that were kept; of a sheet without any, the stem alone."""
    known = _tables(record, "candidates")
    pick = scene.pick or (record or {}).get("pick")
    views = []
    for each in known:
        number = each.get("number")
        if isinstance(number, int):
            lane = media.take(take_path(sheet, scene, number), scene)
            views.append(TakeView(number, lane, number == pick, each))
    if not any(view.lane for view in views):
        stem = media.take(stem_path(sheet, scene), scene)
        alone = {"number": 1, "similarity": None} | dict(record or {})
        return [TakeView(1, stem, True, alone)] if stem else []
    return views


def _pending(sheet: CueSheet, scene: Scene, record: Mapping[str, Any] | None) -> list[str]:
    """How the sheet differs from what the scene's stem was made with."""
    if record is None:
        return []
    try:
        preset = resolve(sheet, scene)
    except FoleyError as problem:
        return [str(problem)]
    now = {f"generation.{key}": value for key, value in asdict(preset.generation).items()}
    now |= {f"timing.{key}": getattr(preset.timing, key) for key in ("sync", "follow")}
    now |= {"start": scene.start, "end": scene.end, "seed": scene.seed, "pick": scene.pick}
    inputs = record.get("inputs")
    was = dict(inputs) if isinstance(inputs, dict) else {}
    for section in ("generation", "timing"):
        stated = record.get(section)
        if isinstance(stated, dict):
            was |= {f"{section}.{key}": value for key, value in stated.items()}
    return [
        f"{key.removeprefix('generation.')} {_text(was[key])} → {_text(value)}"
        for key, value in now.items()
        if key in was and _text(was[key]) != _text(value)
    ]


def _text(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
