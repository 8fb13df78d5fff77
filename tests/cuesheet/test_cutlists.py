from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
from scenedetect import output
from scenedetect.common import FrameTimecode

from v2a_foley import frames
from v2a_foley.cuesheet import cutlists
from v2a_foley.errors import InputError
from v2a_foley.spotting import SpotSettings, detect, spot

NTSC = Fraction(30000, 1001)
FRAMES = [(0, 45), (45, 120), (120, 301)]
END = 301 / NTSC


def detected(rate: Fraction = NTSC) -> Any:
    return [tuple(FrameTimecode(bound, rate) for bound in scene) for scene in FRAMES]


def written(path: Path, rate: Fraction = NTSC) -> Path:
    """The list of three scenes as PySceneDetect writes it."""
    video = path.with_name("clip.mp4")
    kinds: dict[str, Callable[[], Any]] = {
        ".csv": lambda: output.write_scene_list(path, detected(rate)),
        ".edl": lambda: output.write_scene_list_edl(path, detected(rate)),
        ".xml": lambda: output.write_scene_list_fcp7(path, detected(rate), video, rate, (320, 240)),
        ".fcpxml": lambda: output.write_scene_list_fcpx(
            path, detected(rate), video, rate, (320, 240)
        ),
        ".otio": lambda: output.write_scene_list_otio(path, detected(rate), video, rate),
    }
    kinds[path.suffix]()
    return path


def read(
    path: Path, text: str, duration: float = 10.0, rate: int = 25
) -> list[tuple[float, float]]:
    path.write_text(text, encoding="utf-8")
    return [*cutlists.read(path, duration, Fraction(rate))]


@pytest.mark.parametrize("rate", [NTSC, Fraction(25), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("suffix", ["csv", "edl", "xml", "fcpxml", "otio"])
def test_what_pyscenedetect_writes_is_read(tmp_path: Path, suffix: str, rate: Fraction):
    found = cutlists.read(written(tmp_path / f"clip.{suffix}", rate), 301 / rate, rate)
    within = 0.0006 if suffix == "csv" else 1e-6  # it writes milliseconds
    assert len(found) == 3
    for scene, bounds in zip(found, FRAMES, strict=True):
        assert scene == pytest.approx([float(bound / rate) for bound in bounds], abs=within)


@pytest.mark.parametrize("cuts", [None, ["00:00:01.502", "00:00:04.004"]])
@pytest.mark.parametrize("marks", [",", ";", "\t"])
def test_a_csv_may_begin_with_its_cuts(tmp_path: Path, cuts: Any, marks: str):
    plain, headed = tmp_path / "plain.csv", tmp_path / "headed.csv"
    output.write_scene_list(plain, detected(), include_cut_list=False, col_separator=marks)
    output.write_scene_list(headed, detected(), cut_list=cuts, col_separator=marks)
    assert plain.read_text() != headed.read_text()
    assert cutlists.read(plain, END, NTSC) == cutlists.read(headed, END, NTSC)


def test_a_csv_of_ones_own_may_have_clock_times_gaps_and_any_order(tmp_path: Path):
    text = "\ufeffEnd,Start,what\r\n0:02.5,1,a\r\n\r\n00:00:01,0,b\r\n10.04,3,\r\n"
    assert read(tmp_path / "own.CSV", text) == [(0, 1), (1, 2.5), (3, 10)]


EDL = """\
TITLE: reel 1
FCM: NON-DROP FRAME
001  A001     V     C        10:00:00:00 10:00:02:00 01:00:00:00 01:00:02:00
* FROM CLIP NAME: street.mov
002  BL       V     C        00:00:00:00 00:00:01:00 01:00:02:00 01:00:03:00
003  A002     AA    C        10:00:00:00 10:00:09:00 01:00:00:00 01:00:09:00
004  A001     B     C        10:00:02:00 10:00:02:00 01:00:03:00 01:00:03:00
004  A003     AA/V  D    012 10:00:00:00 10:00:05:12 01:00:03:00 01:00:08:12
M2   A003             050.0                10:00:00:00
005  A004     V2    C        10:00:00:00 10:00:05:12 01:00:03:00 01:00:08:12
"""


def test_an_edl_counts_from_its_full_hour_where_its_times_are_too_late(tmp_path: Path):
    assert read(tmp_path / "reel.edl", EDL) == [(0, 2), (3, 8.48)]
    assert read(tmp_path / "reel.edl", EDL, 3700) == [(3600, 3602), (3603, 3608.48)]


def test_drop_frame_timecode_keeps_to_the_clock(tmp_path: Path):
    line = "001  AX  V  C  00:00:00;00 00:00:01;00 {} {}\n"
    path = tmp_path / "drop.edl"
    path.write_text(
        line.format("01:00:59;29", "01:10:00;00") + line.format("01:10:00;00", "01:20:00;00")
    )
    found = cutlists.read(path, 1201.0, NTSC)
    assert found[0] == pytest.approx([1799 / NTSC, 17982 / NTSC])
    assert found[1] == pytest.approx([600, 1200], abs=0.002)


def test_of_a_timeline_the_first_picture_track_counts_without_gaps(tmp_path: Path):
    def span(start: float, length: float) -> otio.opentime.TimeRange:
        times = (otio.opentime.RationalTime(seconds * 24, 24) for seconds in (start, length))
        return otio.opentime.TimeRange(*times)

    timeline = otio.schema.Timeline("cut", global_start_time=otio.opentime.RationalTime(86400, 24))
    track = otio.schema.Track(kind="Video")
    track.extend(
        [
            otio.schema.Clip("a", source_range=span(7, 2)),
            otio.schema.Gap(source_range=span(0, 1)),
            otio.schema.Clip("b", source_range=span(0, 3)),
            otio.schema.Transition(
                in_offset=otio.opentime.RationalTime(12, 24),
                out_offset=otio.opentime.RationalTime(12, 24),
            ),
            otio.schema.Clip("c", source_range=span(0, 4)),
        ]
    )
    empty, sound = otio.schema.Track(kind="Video"), otio.schema.Track(kind="Audio")
    sound.append(otio.schema.Clip("d", source_range=span(0, 10)))
    timeline.tracks.extend([empty, sound, track])
    alone, bin_ = tmp_path / "a.otio", tmp_path / "b.otio"
    otio.adapters.write_to_file(timeline, str(alone))
    assert cutlists.read(alone, 10, Fraction(25)) == ((0, 2), (3, 6), (6, 10))
    with pytest.raises(InputError, match=r"a\.otio, clip 3 \('c'\): the scene from 6\.000 to 10"):
        cutlists.read(alone, 9, Fraction(25))
    otio.adapters.write_to_file(otio.schema.SerializableCollection(children=[timeline]), str(bin_))
    assert cutlists.read(bin_, 10, Fraction(25)) == ((0, 2), (3, 6), (6, 10))


XMEML = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE xmeml>
<xmeml version="4"><sequence><rate><timebase>25</timebase><ntsc>FALSE</ntsc></rate>
<media><video><track><generatoritem><start>0</start><end>25</end></generatoritem></track><track>
<clipitem><start>0</start><end>-1</end></clipitem>
<transitionitem><start>40</start><end>60</end></transitionitem>
<clipitem><start>-1</start><end>100</end></clipitem>
<generatoritem><start>100</start><end>125</end></generatoritem>
<clipitem><start>125</start><end>250</end></clipitem>
</track></video></media></sequence></xmeml>
"""
FCPXML = """\
<!DOCTYPE fcpxml>
<fcpxml version="1.8"><project><sequence tcStart="3600s"><spine>
<asset-clip offset="3600s" duration="50/25s"><asset-clip lane="1" duration="9s"/></asset-clip>
<gap duration="1s"/>
<transition offset="3602s" duration="2s"/>
<clip duration="100/25s"/>
<ref-clip offset="3608s" duration="2s"/>
</spine></sequence></project></fcpxml>
"""


def test_xml_with_transitions_gaps_and_a_start_of_its_own(tmp_path: Path):
    assert read(tmp_path / "a.xml", XMEML) == [(0, 2), (2, 4), (5, 10)]
    assert read(tmp_path / "a.fcpxml", FCPXML) == [(0, 2), (3, 7), (8, 10)]
    assert read(tmp_path / "b.xml", FCPXML) == [(0, 2), (3, 7), (8, 10)]


BOMB = '<!DOCTYPE x [\n<!ENTITY a "aaaa">\n]>\n<fcpxml>&a;</fcpxml>'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", r"a\.txt: is no list of scenes; name a file that ends in one of \.csv"),
        ("a.csv", "", "line 1: names no columns of times; there must be 'Start Time"),
        ("a.csv", "a,b\n1,2\n", "line 1: names no columns"),
        ("a.csv", "start,end\n", "has no scene in it"),
        ("a.csv", "start,end\n0,1\n1\n", "line 3: has no start and end in seconds: '1'"),
        ("a.csv", "x\nstart,end\n0,nan\n", "line 3: has no start and end"),
        ("a.csv", "start,end\n0,2\n\n1.5,3\n", r"line 4: .* 1\.500 s, before .* line 2"),
        ("a.csv", "start,end\n2,2\n", "line 2: the scene from 2.000 to 2.000 s has no length"),
        ("a.csv", "start,end\n-1,2\n", "line 2: .* starts before 0"),
        ("a.csv", "start,end\n0,10.1\n", r"line 2: .* ends after the video \(10\.000 s\); is it"),
        ("a.edl", "TITLE: x\n", "has no scene in it"),
        ("a.edl", "TITLE: x\n001 AX V C 1 2 3 4\n", "line 2: is no event of a CMX 3600 EDL"),
        ("a.edl", EDL.replace("01:00:02:00", "01:00:02:25"), "line 3: 01:00:02:25 counts more fra"),
        ("a.edl", EDL.replace("01:00:02:00\n", "01:00:02\n"), "line 3: '01:00:02' is no timecode"),
        ("a.xml", "<xmeml>\n<oops>", "line 2: is not valid XML: no element found"),
        ("a.xml", "<html/>", "line 1: begins with <html>; known are <xmeml> and <fcpxml>"),
        ("a.xml", "<xmeml/>", "has no scene in it"),
        ("a.xml", XMEML.replace("<end>100", "<end>x"), "line 7: <clipitem> has no start or no end"),
        ("a.xml", XMEML.replace("<end>100", "<end>-1"), "line 7: <clipitem> has no start or no"),
        ("a.fcpxml", FCPXML.replace('clip duration="100/25s"', "clip"), "line 6: <clip> has no s"),
        ("a.fcpxml", FCPXML.replace("100/25s", "100/0s"), "line 6: <clip> has no start or no end"),
        ("a.fcpxml", BOMB, "line 2: defines the entity 'a', which is not allowed"),
        ("a.otio", "{", "cannot be read as OpenTimelineIO: JSON"),
        ("a.otio", '{"OTIO_SCHEMA": "Gap.1"}', "has no scene in it"),
    ],
)  # fmt: skip
def test_an_error_names_file_and_line(tmp_path: Path, name: str, text: str, message: str):
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path / name, text)
    assert str(raised.value).startswith(str(tmp_path / name))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("suffix", ["csv", "edl", "xml", "fcpxml", "otio"])
def test_a_list_that_is_not_there(tmp_path: Path, suffix: str):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        cutlists.read(tmp_path / f"none.{suffix}", 10, Fraction(25))


def test_given_scenes_are_not_detected(three_shots: Path):
    given = ((0.5, 1.0), (1.0, 3.0), (3.5, 99.0), (100.0, 101.0))
    found = detect(three_shots, SpotSettings(scenes=given))
    assert found[:2] == [*given[:2]]
    assert found[2] == (3.5, pytest.approx(4.0, abs=0.05))
    assert len(found) == 3


def test_a_sheet_of_given_scenes_has_frames_in_each(
    three_shots: Path, tmp_path: Path, starter: Any
):
    given = ((0.0, 0.6), (1.4, 3.0), (3.4, 4.0))
    sheet = spot(
        three_shots, tmp_path / "a.cues.toml", models=starter, settings=SpotSettings(scenes=given)
    )
    assert [(scene.id, scene.start, scene.end) for scene in sheet.scenes] == [
        (f"{number:03}", *bounds) for number, bounds in enumerate(given, 1)
    ]
    assert all(scene.tags for scene in sheet.scenes)
    times = frames.load(sheet.artefacts).times
    assert all(((times >= start) & (times < end)).sum() >= 3 for start, end in given)
