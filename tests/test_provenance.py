from __future__ import annotations

from pathlib import Path

from v2a_foley import provenance
from v2a_foley.cuesheet import CueSheet
from v2a_foley.models.bundle import Models
from v2a_foley.spotting import spot


def sheet(video: Path, starter: Models, folder: Path) -> CueSheet:
    return spot(video, folder / "a.cues.toml", models=starter, preset="default", seed=9)


SOURCE = {"label": "dog", "licence": "CC-BY-3.0", "package": "barks", "path": "a/b.ogg"}


def test_the_comment_credits_what_was_used(
    three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    made = sheet(three_shots, starter, tmp_path)
    assert provenance.comment(made).startswith("AI-generated foley: v2a-foley ")
    assert "recordings" not in provenance.comment(made)
    generation = {"seeded": 0.5}
    provenance.save(
        made.artefacts,
        [
            {"scene": "001", "generation": generation, "sources": [SOURCE]},
            {"scene": "002", "generation": generation, "sources": [SOURCE]},
            {"scene": "003", "generation": {"seeded": 0.2}, "sources": []},
        ],
    )
    text = provenance.comment(made)
    assert "(seeded 0.5): dog (CC-BY-3.0, barks)" in text
    assert text.count("barks") == 1


def test_a_damaged_record_credits_nothing(
    three_shots: Path, starter: Models, tmp_path: Path
) -> None:
    made = sheet(three_shots, starter, tmp_path)
    (made.artefacts / provenance.NAME).write_text("[1, ")
    assert provenance.load(made.artefacts) == []
    (made.artefacts / provenance.NAME).write_text('{"a": 1}')
    assert provenance.load(made.artefacts) == []
    assert "recordings" not in provenance.comment(made)
