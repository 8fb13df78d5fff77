"""The clips of an OpenTimelineIO file, read by a process of its own: ``python -m`` and the file.

OpenTimelineIO's C++ parser ends the process on some damaged files (0.18.1, found by fuzzing).
Prints the clips of the first picture track that has some, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import opentimelineio as otio


def clips(path: str) -> list[tuple[float, float, str]]:
    """Start and end in seconds and the place of each clip."""
    root: Any = otio.adapters.read_from_file(path, adapter_name="otio_json")
    timelines = [root] if isinstance(root, otio.schema.Timeline) else []
    if isinstance(root, otio.schema.SerializableCollection):
        timelines = root.find_children(descended_from_type=otio.schema.Timeline)
    tracks = [track for timeline in timelines[:1] for track in timeline.video_tracks()]
    return next(filter(None, (list(_clips(track)) for track in tracks)), [])


def _clips(track: Any) -> Iterator[tuple[float, float, str]]:
    items = (each for each in track if isinstance(each, otio.core.Item))
    for number, item in enumerate((e for e in items if not isinstance(e, otio.schema.Gap)), 1):
        span = track.range_of_child(item)
        start, end = span.start_time.to_seconds(), span.end_time_exclusive().to_seconds()
        yield start, end, f"clip {number} ({item.name!r})"


if __name__ == "__main__":
    try:
        print(json.dumps(clips(sys.argv[1])))
    except Exception as problem:  # whatever its parser raises, KeyError among others
        raise SystemExit(
            str(problem).strip().partition("\n")[0] or type(problem).__name__
        ) from None
