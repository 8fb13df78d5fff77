"""Stems as they are handed over: the right length, the right timecode, in sync to the sample."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import opentimelineio as otio
import pytest
import soundfile

from tests.export.made import (
    BOUNDS,
    CLICK,
    FRAMES,
    HANDLE,
    RATES,
    Made,
    clip,
    delivered,
    time_reference,
)
from v2a_foley.delivery import TRACK
from v2a_foley.export.timecode import Clock, parsed
from v2a_foley.media.audio import RATE


def clock_of(rate: Fraction) -> Clock:
    clock = parsed("10:00:00:00", rate)
    assert clock is not None
    return clock


def click_of(path: Path) -> int:
    audio, _ = soundfile.read(path, dtype="float32")
    return int(np.abs(audio).argmax())


@pytest.fixture(scope="module", params=RATES.values(), ids=RATES.keys())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return delivered(tmp_path_factory.mktemp("stems"), request.param, handles=True)


def test_time_references_are_right_to_the_sample(made: Made) -> None:
    clock = clock_of(made.rate)
    whole = int(Fraction(HANDLE) * made.rate)  # handles are whole frames
    for (start, end), path in zip(BOUNDS, made.delivery.stems, strict=False):
        first = clock.start + start - whole
        assert time_reference(path) == round(first * RATE / made.rate)
        length = Fraction(end - start + 2 * whole) * RATE / made.rate
        assert soundfile.info(path).frames == pytest.approx(float(length), abs=1)


def test_sound_lies_where_its_time_reference_says(made: Made) -> None:
    start = clock_of(made.rate).since_midnight(0)
    for scene, path in zip(made.sheet.scenes, made.delivery.stems, strict=False):
        click = time_reference(path) - start + click_of(path)
        assert click == pytest.approx((scene.start + CLICK) * RATE, abs=1)


def test_the_track_begins_with_the_picture(made: Made) -> None:
    path = made.delivery.stems[-1]
    assert path.name == TRACK
    assert time_reference(path) == clock_of(made.rate).since_midnight(0)
    assert soundfile.info(path).frames == pytest.approx(FRAMES * RATE / made.rate, abs=2)
    first = made.sheet.scenes[0]
    audio, _ = soundfile.read(path, dtype="float32")
    around = slice(round(first.start * RATE), round(first.end * RATE))
    click = around.start + int(np.abs(audio[around]).max(1).argmax())
    assert click == pytest.approx((first.start + CLICK) * RATE, abs=1)


def test_without_handles_a_stem_is_its_scene(tmp_path: Path) -> None:
    made = delivered(tmp_path, 25, timelines=[])
    for (start, end), path in zip(BOUNDS, made.delivery.stems, strict=False):
        assert soundfile.info(path).frames == (end - start) * RATE // 25
        assert time_reference(path) == 36_000 * RATE + start * RATE // 25


def test_nothing_begins_before_midnight(tmp_path: Path) -> None:
    clip(tmp_path / "clip.mov", 25)  # no timecode: it starts at 00:00:00:00
    made = delivered(tmp_path, 25, handles=True, timelines=[])
    first, second = made.delivery.stems[:2]
    assert time_reference(first) == 0
    assert click_of(first) == round(CLICK * RATE)
    whole = int(HANDLE * 25)
    assert time_reference(second) == (BOUNDS[1][0] - whole) * RATE // 25


def test_levels_are_those_of_the_programme(tmp_path: Path) -> None:
    quiet = {"mix": {"loudness": -40.0}}  # as loud as it is without its limiter
    made = delivered(tmp_path, 25, timelines=[], overrides=quiet)
    track, _ = soundfile.read(made.delivery.stems[-1], dtype="float32")
    scene, stem = made.sheet.scenes[2], soundfile.read(made.delivery.stems[2], dtype="float32")[0]
    middle = slice(RATE // 2, RATE)
    there = track[round(scene.start * RATE) :][middle]
    np.testing.assert_allclose(there, np.stack([stem[middle]] * 2, 1), atol=1e-4)


def test_stems_of_wide_scenes_are_stereo(tmp_path: Path) -> None:
    made = delivered(tmp_path, 25, overrides={"mix": {"width": 0.5}}, handles=True)
    assert {soundfile.info(path).channels for path in made.delivery.stems} == {2}
    with av.open(str(made.delivery.stems[0])) as media:
        assert "M=stereo" in media.metadata["coding_history"]
    timeline = otio.adapters.read_from_file(str(tmp_path / "cut.xml"))
    tracks = [track for track in timeline.audio_tracks() if track[0].name != "clip.mov"]
    starts = [[each.range_in_parent().start_time.value for each in t.find_clips()] for t in tracks]
    assert starts == [[start for start, _ in BOUNDS]]  # the two of a pair are read as one
