"""What the stems of a cue sheet were made of, beside them and in the finished file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from v2a_foley.cuesheet import CueSheet

NAME = "provenance.json"


def save(folder: Path, scenes: Sequence[Mapping[str, Any]]) -> None:
    """Write ``folder/provenance.json``: a record for each scene that was rendered."""
    from v2a_foley.media.files import atomic

    with atomic(folder / NAME, overwrite=True) as part:
        part.write_text(json.dumps(list(scenes), indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> list[dict[str, Any]]:
    """The records that :func:`save` wrote; none where they are missing or damaged."""
    try:
        records = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    records = records if isinstance(records, list) else []
    return [each for each in records if isinstance(each, dict) and "scene" in each]


def comment(sheet: CueSheet) -> str:
    """The finished file's comment: that a program made its sound, with what, and from what."""
    made = f"v2a-foley {version('v2a-foley')}, model pack {sheet.pack}, seed {sheet.seed}"
    text = f"AI-generated foley: {made}"
    records = load(sheet.artefacts)
    started = [each for each in records if _source(each) == "generated" and each.get("sources")]
    if started:
        seeded = {each["generation"]["seeded"] for each in started}
        shares = " and ".join(f"{share:g}" for share in sorted(seeded))
        text += f". Generation started from recordings (seeded {shares}): {_names(started)}"
    held = [each for each in records if _source(each) != "generated" and each.get("sources")]
    if held:
        text += f". Holds recordings: {_names(held)}"
    return text


def _source(record: Mapping[str, Any]) -> str:
    return str(record.get("generation", {}).get("source", "generated"))


def _names(records: Sequence[Mapping[str, Any]]) -> str:
    used = {
        (source["label"], source["licence"], source["package"])
        for record in records
        for source in record["sources"]
    }
    return "; ".join(f"{label} ({terms}, {origin})" for label, terms, origin in sorted(used))
