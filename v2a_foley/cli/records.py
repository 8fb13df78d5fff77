"""Scenes, packs and loudness as they are printed: as records for JSON, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from v2a_foley.cli import console

if TYPE_CHECKING:
    from v2a_foley.cuesheet import CueSheet, Scene
    from v2a_foley.delivery import Delivery
    from v2a_foley.models.packs import Pack
    from v2a_foley.presets import Tag
    from v2a_foley.rendering import Change, RenderedScene


def pack(of: Pack) -> dict[str, Any]:
    """A model pack in short."""
    return {"name": of.name, "version": of.version, "id": of.id, "commercial": of.commercial}


def sheet(of: CueSheet) -> dict[str, Any]:
    """A cue sheet with its scenes."""
    return {
        "cue_sheet": of.path,
        "video": of.video,
        "duration": of.duration,
        "pack": of.pack,
        "preset": of.preset,
        "seed": of.seed,
        "scenes": [scene(each) for each in of.scenes],
    }


def scene(of: Scene) -> dict[str, Any]:
    """A scene as its cue sheet has it."""
    times = {"id": of.id, "start": of.start, "end": of.end, "length": of.duration}
    return times | {"preset": of.preset, "seed": of.seed, "tags": of.tags}


def rendered(made: Sequence[RenderedScene], of: CueSheet) -> list[dict[str, Any]]:
    """Scenes with what was made for each; ``seed`` is that of the sound that was kept.

    A scene that is not heard has nothing.
    """
    by_id = {each.id: each for each in made}
    return [scene(each) | _made(by_id.get(each.id)) for each in of.scenes]


def _made(of: RenderedScene | None) -> dict[str, Any]:
    if of is None:
        empty = ("stem", "seconds", "handle", "cached", "pick", "similarity")
        lists = ("candidates", "sources", "changed")
        notes = ("muted",)
        return dict.fromkeys(empty) | dict.fromkeys(lists, ()) | {"notes": notes}
    keys = (
        "stem", "seconds", "handle", "cached", "seed", "pick", "candidates", "similarity",
        "sources", "changed", "notes",
    )  # fmt: skip
    return {key: getattr(of, key) for key in keys}


def changes(of: Sequence[Change]) -> str:
    """Which scenes are made anew and why, a line each."""
    lines = [f"{each.id}  {'; '.join(each.why) or 'as it was'}" for each in of]
    return "\n".join(lines) or "no scene is heard"


def delivery(of: Delivery) -> dict[str, Any]:
    """What was delivered, without scenes."""
    return {
        "output": of.output,
        "duration": of.duration,
        "stems": of.stems,
        "timelines": of.timelines,
        "sidecar": of.sidecar,
        "loudness": of.loudness,
        "levelling": of.levelling,
    }


def scene_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Scenes as a table; columns of what is not known of them are left out."""
    columns = {
        "id": lambda each: each["id"],
        "start": lambda each: f"{each['start']:.3f}",
        "end": lambda each: f"{each['end']:.3f}",
        "length": lambda each: f"{each['length']:.3f}",
        "preset": lambda each: each["preset"],
        "tags": lambda each: tags(each["tags"][:3]),
        "seed": lambda each: str(each["seed"]),
        "cached": lambda each: "yes" if each["cached"] else "no",
        "pick": lambda each: f"{each['pick'] or '-'} of {len(each['candidates'])}",
        "similarity": lambda each: _or_dash(each["similarity"]),
        "notes": lambda each: ", ".join(each["notes"]),
    }
    known = set(records[0]) if records else {"id", "start", "end", "length"}
    if "cached" not in known:
        known -= {"seed"}
    shown = {key: cell for key, cell in columns.items() if key in known}
    rows = [[cell(each) for cell in shown.values()] for each in records]
    return console.table([key.upper() for key in shown], rows)


def tags(of: Sequence[Tag]) -> str:
    """Tags with their scores on one line."""
    return ", ".join(f"{tag.concept} {tag.score:.2f}" for tag in of)


def notes(made: Sequence[RenderedScene]) -> list[str]:
    """What is worth telling of single scenes, a line each."""
    return [f"scene {each.id}: {note}" for each in made for note in each.notes]


def levels(of: Delivery) -> str:
    """Loudness, its range and true peak of the finished file, in words."""
    read = of.loudness
    if not math.isfinite(read.integrated):
        return "no measurable loudness"
    range_and_peak = f"range {read.range:.1f} LU, true peak {read.true_peak:.1f} dBTP"
    return f"{read.integrated:.1f} LUFS, {range_and_peak}"


def _or_dash(similarity: float | None) -> str:
    return "-" if similarity is None else f"{similarity:.3f}"
