"""The sidecar: how a delivery was made, as JSON for archives, cue sheets and lawyers."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from v2a_foley import provenance
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.errors import ModelError
from v2a_foley.export.stems import Cut
from v2a_foley.export.timecode import Clock
from v2a_foley.export.timeline import Timeline
from v2a_foley.media.files import atomic
from v2a_foley.media.meter import Loudness
from v2a_foley.presets import SETTINGS, Preset

PACKAGES = (
    "v2a-foley", "torch", "diffusers", "transformers", "open_clip_torch", "timm", "numpy", "soxr",
    "soundfile", "pyloudnorm", "av", "scenedetect-headless", "opentimelineio",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery to tell of. ``settings`` are those of the sheet's scenes, in their order.

    ``files`` are those beside ``output`` that are not in the timeline's cuts.
    """

    sheet: CueSheet
    settings: Sequence[Preset]
    track: Preset
    loudness: Loudness
    timeline: Timeline
    output: Path
    files: Sequence[Path] = ()


def write_sidecar(delivered: Delivered, path: Path, *, overwrite: bool = False) -> None:
    """Write ``path``: seeds, versions, models, licences, settings, levels and files' hashes.

    Files are named relative to the sidecar's folder where they are on the same disk.

    Raises:
        InputError: ``path`` must not be written.
        MediaError: the disk is full.
    """
    made = _record(delivered, path.absolute().parent)
    text = json.dumps(_plain(made), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic(path, overwrite=overwrite) as part:
        part.write_bytes((text + "\n").encode("utf-8", "backslashreplace"))


def versions() -> dict[str, str]:
    """Versions of Python, of this program and of what it computes with, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _record(of: Delivered, folder: Path) -> dict[str, Any]:
    sheet, clock = of.sheet, of.timeline.clock
    records = {str(each.get("scene")): each for each in provenance.load(sheet.artefacts)}
    cuts = {cut.scene.id: cut for cut in of.timeline.cuts}
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "models": _models(sheet.pack),
        "recordings": _credits(records.values()),
        "video": {
            "file": _name(sheet.video, folder),
            "fingerprint": sheet.fingerprint,
            "frames_a_second": str(clock.rate),
            "start_timecode": clock.timecode(0),
        },
        "seed": sheet.seed,
        "preset": sheet.preset,
        "mix": asdict(of.track.mix),
        "loudness": asdict(of.loudness),
        "files": [_file(each, folder) for each in (of.output, *of.files)],
        "scenes": [
            _scene(scene, preset)
            | {"heard": sheet.sounds(scene), "made": records.get(scene.id)}
            | {"stem": _stem(cuts[scene.id], clock, folder) if scene.id in cuts else None}
            for scene, preset in zip(sheet.scenes, of.settings, strict=True)
        ],
    }


def _models(pack: str) -> dict[str, Any]:
    """The pack that the sheet names, with its licences; the name alone where it is not here."""
    from v2a_foley.models import packs

    try:
        found = packs.find(pack)
    except ModelError:
        return {"pack": pack}
    return {
        "pack": found.name,
        "version": found.version,
        "id": found.id,
        "commercial_use": found.commercial,
        "licences": dict(found.licences),
        "usual_mapper": found.mapper,
    }


def _credits(records: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Each recording that the sound was made from, once."""
    sources = (source for each in records for source in each.get("sources", ()))
    return list({json.dumps(each, sort_keys=True): each for each in sources}.values())


def _scene(scene: Scene, preset: Preset) -> dict[str, Any]:
    settings = {name: asdict(getattr(preset, name)) for name in SETTINGS}
    times = {"id": scene.id, "start": scene.start, "end": scene.end, "preset": scene.preset}
    tags = [asdict(tag) for tag in scene.tags]
    return times | {"seed": scene.seed, "tags": tags, "settings": settings}


def _stem(cut: Cut, clock: Clock, folder: Path) -> dict[str, Any]:
    return _file(cut.path, folder) | {
        "timecode": clock.timecode(cut.first),
        "time_reference": clock.since_midnight(cut.first),
        "handle_frames": [cut.head, cut.tail],
    }


def _file(path: Path, folder: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": _name(path, folder), "sha256": digest}


def _name(path: Path, folder: Path) -> str:
    target = os.path.abspath(path)  # noqa: PTH100 - a symlink must keep its own name
    try:
        return Path(os.path.relpath(target, folder)).as_posix()
    except ValueError:  # on another drive
        return Path(target).as_posix()


def _plain(value: Any) -> Any:
    """The same without what JSON cannot say: a loudness that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
