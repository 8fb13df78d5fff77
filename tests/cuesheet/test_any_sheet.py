"""Any sheet at all, written, read and written over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from v2a_foley import cuesheet, presets
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.presets import Tag

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.sampled_from(["default", "city", "water"])
seeds = st.integers(0, cuesheet.MAX_SEED)
tags = st.builds(Tag, words, words, st.floats(0, 1))


def _values(parameter: presets.Parameter) -> st.SearchStrategy[Any]:
    if parameter.kind is tuple:
        items = st.sampled_from(parameter.choices) if parameter.choices else words
        return st.lists(items, max_size=3).map(tuple)
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.kind is str:
        return words
    if parameter.kind is int:
        return st.integers(int(parameter.low), int(parameter.high))
    numbers = st.floats(parameter.low, parameter.high)
    return st.none() | numbers if parameter.or_none else numbers


def _overrides(whole_track: bool) -> st.SearchStrategy[Any]:
    sections = {
        section: st.fixed_dictionaries(
            {},
            optional={
                key: _values(each)
                for key, each in presets.parameters(section).items()
                if whole_track or not each.whole_track
            },
        ).filter(bool)
        for section in presets.SETTINGS
    }
    return st.fixed_dictionaries({}, optional=sections)


@st.composite
def sheets(draw: st.DrawFn) -> CueSheet:
    ids = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=5))
    cuts = draw(
        st.lists(
            st.integers(0, 10**9), unique=True, min_size=2 * len(ids), max_size=2 * len(ids)
        ).map(sorted)
    )
    scenes = tuple(
        Scene(
            id=each,
            start=cuts[2 * index] / 1e6,
            end=cuts[2 * index + 1] / 1e6,
            preset=draw(names),
            seed=draw(seeds),
            tags=tuple(draw(st.lists(tags, max_size=2))),
            overrides=draw(_overrides(whole_track=False)),
            mute=draw(st.booleans()),
            solo=draw(st.booleans()),
            pick=draw(st.none() | st.integers(1, 99)),
        )
        for index, each in enumerate(ids)
    )
    return CueSheet(
        video=Path("clip.mp4"),
        duration=draw(st.floats(1000, 1e6)),
        fingerprint=draw(words),
        scenes=scenes,
        pack=draw(words),
        preset=draw(st.none() | names),
        seed=draw(seeds),
        defaults=draw(_overrides(whole_track=True)),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=sheets(), after=sheets())
def test_any_sheet_survives_the_file_and_any_update_of_it(
    tmp_path_factory: pytest.TempPathFactory, before: CueSheet, after: CueSheet
):
    assert cuesheet.loads(cuesheet.dumps(before)) == before
    path = tmp_path_factory.mktemp("sheet") / "clip.cues.toml"
    for sheet in (before, after):
        sheet = replace(sheet, video=path.with_name("clip.mp4"))
        saved = cuesheet.save(sheet, path)
        assert cuesheet.load(path) == saved == replace(sheet, path=path)
