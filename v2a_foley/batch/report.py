"""What a batch's ledger knows, for people and for machines: CSV, JSON, HTML."""

from __future__ import annotations

import csv
import html
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict

from v2a_foley.batch.ledger import Record

COLUMNS = (
    "key", "status", "error", "input", "duration", "scenes", "preset", "seed", "cue_sheet", "pack",
    "mapper", "loudness", "true_peak", "spot", "render", "deliver", "started", "finished",
    "input_hash", "output_hash", "settings", "versions",
)  # fmt: skip
_SHOWN = ("status", "key", "error", "duration", "scenes", "preset", "seed", "loudness", "finished")
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}"
    "th{background:#eee}.failed td{background:#fde8e8}"
)


def counts(records: Sequence[Record]) -> dict[str, int]:
    """How many files there are of each status."""
    return dict(Counter(record.status for record in records))


def totals(records: Sequence[Record]) -> dict[str, object]:
    """A batch in short: files by status, what was made, when the last of it."""
    done = [record for record in records if record.status == "done"]
    return {
        "files": len(records),
        "done": len(done),
        "failed": sum(record.status == "failed" for record in records),
        "scenes": sum(record.scenes for record in done),
        "seconds": round(sum(record.duration for record in done), 3),
        "last": _moment(max((record.finished for record in records), default=0.0)),
    }


def as_csv(records: Sequence[Record]) -> str:
    """A line a file under a line of headings; times in UTC."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: _unformulaic(value) for key, value in _flat(record).items()})
    return text.getvalue()


def as_json(records: Sequence[Record]) -> str:
    """A list of the records as they are."""
    return json.dumps([asdict(record) for record in records], indent=1) + "\n"


def as_html(records: Sequence[Record]) -> str:
    """A page with the counts and a table; every text in it is escaped."""
    total = ", ".join(f"{number} {status}" for status, number in counts(records).items())
    heads = "".join(f"<th>{_escaped(name)}</th>" for name in _SHOWN)
    rows = []
    for record in sorted(records, key=lambda each: (each.status != "failed", each.key)):
        flat = _flat(record)
        cells = "".join(f"<td>{_escaped(flat[name])}</td>" for name in _SHOWN)
        rows.append(f'<tr class="{_escaped(record.status)}">{cells}</tr>')
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>v2a-foley batch'
        f"</title><style>{_STYLE}</style></head>\n<body><h1>{_escaped(total or 'no files')}</h1>\n"
        f"<table><tr>{heads}</tr>\n" + "\n".join(rows) + "\n</table></body></html>\n"
    )


FORMATS: dict[str, Callable[[Sequence[Record]], str]] = {
    "csv": as_csv,
    "json": as_json,
    "html": as_html,
}


def _flat(record: Record) -> dict[str, object]:
    """A record with one plain value a column."""
    flat = asdict(record)
    loudness = flat.pop("loudness")
    flat |= {name: _rounded(flat["seconds"].get(name)) for name in ("spot", "render", "deliver")}
    flat |= {"loudness": _rounded(loudness.get("integrated"))}
    flat |= {"true_peak": _rounded(loudness.get("true_peak"))}
    flat |= {name: _moment(flat[name]) for name in ("started", "finished")}
    flat["duration"] = _rounded(flat["duration"])
    flat["versions"] = " ".join(f"{name}={value}" for name, value in flat["versions"].items())
    return {key: "" if value is None else value for key, value in flat.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""


def _escaped(value: object) -> str:
    return html.escape(str(value))


def _unformulaic(value: object) -> object:
    """Text that a spreadsheet would take for a formula is marked as text."""
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value
