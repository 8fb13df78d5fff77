from __future__ import annotations

import csv
import io
import json

from v2a_foley.batch.ledger import Record
from v2a_foley.batch.report import COLUMNS, as_csv, as_html, as_json, totals

DONE = Record(
    "a.mp4", "done", "/in/a.mp4", scenes=2, duration=3.0, started=90_000.0, finished=90_061.0,
    loudness={"integrated": -23.02, "true_peak": None}, seconds={"spot": 0.5, "share": 9.0},
    versions={"torch": "2.13", "av": "18"}, preset="city",
)  # fmt: skip
EVIL = Record("<b>.mp4", "failed", '=HYPERLINK("x")', error="<script>alert('1')</script>\nagain")


def test_totals():
    assert totals([DONE, EVIL]) == {
        "files": 2, "done": 1, "failed": 1, "scenes": 2, "seconds": 3.0,
        "last": "1970-01-02T01:01:01Z",
    }  # fmt: skip
    assert totals([])["last"] == ""


def test_csv_has_a_line_a_file_and_no_formulas():
    rows = list(csv.DictReader(io.StringIO(as_csv([DONE, EVIL]))))
    assert list(rows[0]) == list(COLUMNS)
    assert (rows[0]["loudness"], rows[0]["true_peak"], rows[0]["spot"]) == ("-23.02", "", "0.5")
    assert rows[0]["versions"] == "torch=2.13 av=18"
    assert rows[1]["input"] == '\'=HYPERLINK("x")'
    assert rows[1]["error"] == EVIL.error


def test_json_is_all_that_is_known():
    first, second = json.loads(as_json([DONE, EVIL]))
    assert first["loudness"] == {"integrated": -23.02, "true_peak": None}
    assert second["key"] == "<b>.mp4"


def test_html_is_escaped_and_failures_come_first():
    page = as_html([DONE, EVIL])
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(&#x27;1&#x27;)" in page
    assert page.index("&lt;b&gt;.mp4") < page.index("a.mp4</td>")
    assert "1 done, 1 failed" in page
    assert "no files" in as_html([])
