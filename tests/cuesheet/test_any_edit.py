"""Any edits at all, one after the other: each is made in the file, or changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cuesheet.conftest import TEXT
from v2a_foley import cuesheet
from v2a_foley.cuesheet import CueSheet, editing, select
from v2a_foley.errors import CueSheetError

Edit = Callable[[CueSheet], CueSheet]

ids = st.sampled_from(["001", "002", "001b", "002b", "001-002", "all", "004"])
times = st.one_of(st.integers(-1, 11), st.floats(0, 10, allow_nan=False), st.just(1.2))
values = st.dictionaries(
    st.sampled_from(["gain_db", "mix.pan", "steps", "prompt", "guard", "mode", "stepps", "preset"]),
    st.sampled_from(["-3", "0.5", "12", "none", "music", 'a "door" # 1', "duck", "city"]),
    max_size=3,
)


def edits() -> st.SearchStrategy[Edit]:
    def each(change: Callable[..., CueSheet], *more: st.SearchStrategy[Any]) -> Any:
        def bound(text: str, *given: Any) -> Edit:
            return lambda sheet: change(sheet, select(sheet, text), *given)

        return st.builds(bound, ids, *more)

    def one(change: Callable[..., CueSheet], *more: st.SearchStrategy[Any]) -> Any:
        def bound(text: str, *given: Any) -> Edit:
            return lambda sheet: change(sheet, text, *given)

        return st.builds(bound, ids, *more)

    keys = st.lists(st.sampled_from(["mix", "steps", "preset", "seed", "nope"]), max_size=2)
    return st.one_of(
        each(editing.set_values, values),
        each(editing.unset, keys),
        each(editing.merge),
        each(editing.mute, st.booleans()),
        each(editing.solo, st.booleans()),
        each(editing.reroll),
        one(editing.pick, st.none() | st.integers(-1, 100)),
        one(editing.split, times),
        one(editing.move, st.none() | times, st.none() | times, st.booleans()),
        values.map(lambda given: lambda sheet: editing.set_values(sheet, None, given)),
        keys.map(lambda given: lambda sheet: editing.unset(sheet, None, given)),
    )


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(edits(), max_size=6))
def test_an_edit_is_made_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Edit]
):
    path = tmp_path_factory.mktemp("sheet") / "clip.cues.toml"
    path.write_text(TEXT, encoding="utf-8")
    for change in changes:
        before = path.read_bytes()
        try:
            made = editing.edit(path, change)
        except CueSheetError:
            assert path.read_bytes() == before
        else:
            assert cuesheet.load(path) == made
            text = path.read_text(encoding="utf-8")
            assert all(each in text for each in ("# the job for Monday", "# lucky"))
            assert ("# the street" in text) == any(scene.id == "001" for scene in made.scenes)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
