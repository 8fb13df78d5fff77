from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from opentimelineio import opentime

from tests.export.made import clip
from tests.media.made import H264, lavfi, make, picture
from v2a_foley.export.timecode import (
    Clock,
    clock_of_timeline,
    parsed,
    start_timecode,
    timeline_rate,
)
from v2a_foley.media.probe import probe

NTSC30, NTSC24, NTSC60 = (Fraction(rate, 1001) for rate in (30_000, 24_000, 60_000))
RATES = [Fraction(24), Fraction(25), Fraction(60), NTSC24, NTSC30, NTSC60]


@pytest.mark.parametrize("rate", RATES)
def test_timecode_is_what_opentimelineio_says(rate: Fraction) -> None:
    for drop in {False, rate in (NTSC30, NTSC60)}:
        clock = Clock(rate, drop=drop)
        for frame in [0, 1, 1799, 1800, 17_981, 17_982, 17_984, 107_892, 1_000_001]:
            time = opentime.RationalTime(frame, float(rate))
            assert clock.timecode(frame) == opentime.to_timecode(time, float(rate), drop)


@pytest.mark.parametrize("rate", RATES)
def test_a_timecode_is_read_as_it_is_written(rate: Fraction) -> None:
    for drop in {False, rate in (NTSC30, NTSC60)}:
        for start in range(0, 24 * 60 * 60 * 20, 98_765):
            text = Clock(rate, start, drop).timecode(0)
            assert parsed(text, rate) == Clock(rate, start, drop)


def test_a_day_ends_at_midnight() -> None:
    clock = parsed("23:59:59:24", Fraction(25))
    assert clock is not None
    assert clock.timecode(1) == "00:00:00:00"
    assert clock.since_midnight(1) == 0
    drop = parsed("23:59:59;29", NTSC30)
    assert drop is not None
    assert drop.timecode(1) == "00:00:00;00"


@pytest.mark.parametrize(
    "text", ["", "1:00:00:00", "24:00:00:00", "00:60:00:00", "00:00:60:00", "00:00:00:25", "soon"]
)
def test_what_is_no_timecode(text: str) -> None:
    assert parsed(text, Fraction(25)) is None


def test_a_semicolon_drops_only_where_frames_are_dropped() -> None:
    assert parsed("01:00:00;00", Fraction(25)) == Clock(Fraction(25), 90_000)
    assert parsed("01:00:00;00", NTSC30) == Clock(NTSC30, 107_892, drop=True)
    assert parsed("01:00:00:00", NTSC30) == Clock(NTSC30, 108_000)


def test_samples_since_midnight_are_exact() -> None:
    clock = Clock(NTSC24, 86_400)  # one hour of timecode, 3.6 s more of time
    assert clock.since_midnight(0) == round(3603.6 * 48_000)
    # float arithmetic would drift: after a day of frames there is no error at all
    assert Clock(NTSC30).sample(30_000 * 100) == 1001 * 48_000 * 100


@pytest.mark.parametrize(
    ("stated", "rate"),
    [
        (Fraction(25), 25), (Fraction(2997, 100), NTSC30), (Fraction(19_001, 634), NTSC30),
        (Fraction(24_000, 1001), NTSC24), (Fraction(15), 15), (Fraction(25, 2), 25),
        (Fraction(2387, 100), 24), (Fraction(1, 2), 24), (Fraction(119), 119), (Fraction(500), 120),
    ],
)  # fmt: skip
def test_the_rate_that_a_timeline_counts_at(stated: Fraction, rate: Fraction) -> None:
    assert timeline_rate(stated) == rate


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("track.mov", ["-timecode", "10:11:12:13"]),
        ("track.mp4", ["-timecode", "10:11:12:13"]),
        ("tag.mkv", ["-metadata", "timecode=10:11:12:13"]),
        ("stream.mkv", ["-metadata:s:v", "TIMECODE=10:11:12:13"]),
    ],
)
def test_the_start_timecode_is_found(name: str, arguments: list[str], tmp_path: Path) -> None:
    info = probe(clip(tmp_path / name, 25, *arguments))
    assert start_timecode(info) == "10:11:12:13"
    clock, notes = clock_of_timeline(info)
    assert clock == Clock(Fraction(25), ((10 * 60 + 11) * 60 + 12) * 25 + 13)
    assert notes == ()


def test_drop_frame_timecode_of_a_file(tmp_path: Path) -> None:
    info = probe(clip(tmp_path / "drop.mov", NTSC30, "-timecode", "01:00:00;00"))
    assert clock_of_timeline(info) == (Clock(NTSC30, 107_892, drop=True), ())


def test_no_timecode_and_a_wrong_one(tmp_path: Path) -> None:
    without = probe(clip(tmp_path / "none.mkv", 25))
    assert clock_of_timeline(without) == (Clock(Fraction(25)), ())
    wrong = probe(clip(tmp_path / "wrong.mkv", 25, "-metadata", "timecode=99:99:99:99"))
    clock, notes = clock_of_timeline(wrong)
    assert clock == Clock(Fraction(25))
    assert "99:99:99:99" in notes[0]


def test_uneven_frames_are_told_of(tmp_path: Path) -> None:
    uneven = picture() + ",select='not(mod(n,5))+eq(n,1)+eq(n,27)+eq(n,33)'"
    info = probe(make(tmp_path / "uneven.mp4", *lavfi(uneven), *H264, "-fps_mode", "vfr"))
    clock, notes = clock_of_timeline(info)
    assert clock.rate in (24, 25, 30)
    assert "uneven times" in notes[0]
