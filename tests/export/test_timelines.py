"""Timelines read again by OpenTimelineIO: the picture, and every stem at its frame."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname
from xml.etree import ElementTree

import opentimelineio as otio
import pytest

from tests.export.made import BOUNDS, FRAMES, HANDLE, RATES, Made, clip, delivered, sheet_of
from tests.media.made import H264, lavfi, make, picture
from v2a_foley.cuesheet import Scene
from v2a_foley.export.edl import reels
from v2a_foley.export.stems import Cut
from v2a_foley.export.timecode import Clock
from v2a_foley.export.timeline import Timeline, write_timeline
from v2a_foley.media.probe import probe

SUFFIXES = (".otio", ".xml", ".fcpxml", ".edl")
HOSTILE = "<script>alert('1')&\"é\" 🎬;[a]%20.mov"


@pytest.fixture(scope="module", params=RATES.values(), ids=RATES.keys())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return delivered(tmp_path_factory.mktemp("timelines"), request.param, handles=True)


def read(path: Path, rate: Fraction) -> otio.schema.Timeline:
    options = {"rate": float(rate)} if path.suffix == ".edl" else {}
    found = otio.adapters.read_from_file(str(path), **options)
    return found if isinstance(found, otio.schema.Timeline) else found[0]


def starts(timeline: otio.schema.Timeline, kind: str) -> dict[str, float]:
    """The frame at which each clip begins, by its name; frames count from the picture's first."""
    found: dict[str, float] = {}
    for track in timeline.tracks:
        before = -track.source_range.start_time.value if track.source_range else 0.0
        if track.kind == kind:
            for each in track.find_clips():
                found[each.name] = before + each.range_in_parent().start_time.value
    return found


def expected() -> dict[str, int]:
    return {f"{number:03}.wav": start for number, (start, _) in enumerate(BOUNDS, start=1)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_stem_is_at_its_frame(made: Made, suffix: str) -> None:
    timeline = read(made.folder / f"cut{suffix}", made.rate)
    zero = starts(timeline, "Video")["clip.mov"]
    assert zero in (0, 36_000 * round(made.rate))
    sounds = {name: at - zero for name, at in starts(timeline, "Audio").items()}
    sounds.pop("clip.mov", None)
    # The FCPXML adapter reads 29.97 and 23.976 with floats and cuts the rest off; see below.
    slack = 1 if suffix == ".fcpxml" and made.rate.denominator == 1001 else 0
    assert sounds == pytest.approx(expected(), abs=slack)


def test_fcpxml_is_exact_at_every_rate(made: Made) -> None:
    root = ElementTree.parse(made.folder / "cut.fcpxml").getroot()
    frame = seconds(root.find("resources/format"), "frameDuration")
    assert frame == 1 / made.rate
    spine = root.find("event/project/sequence/spine")
    assert spine is not None
    (film,) = spine
    assert seconds(film, "duration") == FRAMES * frame
    zero = seconds(film, "start")
    assert zero == seconds(root.find("event/project/sequence"), "tcStart")
    clips = film.findall("asset-clip")
    for (start, end), each in zip(BOUNDS, clips, strict=True):
        assert seconds(each, "offset") == zero + start * frame
        assert seconds(each, "duration") == (end - start) * frame
        asset = root.find(f"resources/asset[@id='{each.get('ref')}']")
        handle = int(Fraction(HANDLE) * made.rate) * frame
        assert seconds(each, "start") - seconds(asset, "start") == handle
        last = seconds(asset, "start") + seconds(asset, "duration")
        assert last >= seconds(each, "start") + seconds(each, "duration")
    assert [seconds(mark, "start") for mark in film.findall("marker")] == [
        zero + start * frame for start, _ in BOUNDS
    ]


def seconds(element: ElementTree.Element | None, key: str) -> Fraction:
    assert element is not None
    return Fraction(element.attrib[key].removesuffix("s"))


@pytest.mark.parametrize("suffix", [".otio", ".xml"])
def test_handles_lie_outside_the_clips(made: Made, suffix: str) -> None:
    timeline = read(made.folder / f"cut{suffix}", made.rate)
    whole = int(Fraction(HANDLE) * made.rate)
    clips = [each for each in timeline.find_clips() if each.name.endswith(".wav")]
    assert len(clips) == len(BOUNDS)
    for (start, end), each in zip(BOUNDS, clips, strict=True):
        there = each.available_range()
        assert each.source_range.duration.value == end - start
        assert each.source_range.start_time.value - there.start_time.value == whole
        assert there.duration.value == end - start + 2 * whole
        assert there.start_time.rate == pytest.approx(float(made.rate), rel=1e-9)
        assert there.start_time.value == 36_000 * round(made.rate) + start - whole


@pytest.mark.parametrize("suffix", [".otio", ".xml", ".fcpxml"])
def test_media_are_found(made: Made, suffix: str) -> None:
    timeline = read(made.folder / f"cut{suffix}", made.rate)
    files = {address(each, made.folder) for each in timeline.find_clips()}
    assert files == {made.sheet.video, *made.delivery.stems[:-1]}


def address(of: otio.schema.Clip, folder: Path) -> Path:
    parts = urlparse(of.media_reference.target_url)
    assert parts.scheme in ("", "file")
    return Path(url2pathname(parts.path)) if parts.scheme else folder / unquote(parts.path)


def test_an_otio_file_may_move_with_its_folder(made: Made) -> None:
    timeline = read(made.folder / "cut.otio", made.rate)
    urls = {each.media_reference.target_url for each in timeline.find_clips()}
    assert urls == {"clip.mov", "stems/001.wav", "stems/002.wav", "stems/003.wav"}


@pytest.mark.parametrize("suffix", [".otio", ".xml"])
def test_markers_say_what_the_scenes_are(made: Made, suffix: str) -> None:
    timeline = read(made.folder / f"cut{suffix}", made.rate)
    markers = timeline.tracks.markers
    assert [mark.name for mark in markers] == ["001 dog <b>", "002 dog <b>", "003 dog <b>"]
    spans = [(m.marked_range.start_time.value, m.marked_range.duration.value) for m in markers]
    assert spans == [(start, end - start) for start, end in BOUNDS]
    assert markers[0].metadata["fcp_xml"]["comment"] == "preset default, seed 1"
    assert timeline.global_start_time.value == 36_000 * round(made.rate)


def test_the_original_sound_is_there_but_off(made: Made) -> None:
    timeline = read(made.folder / "cut.otio", made.rate)
    kinds = [(track.name, track.kind) for track in timeline.tracks]
    assert kinds == [("Picture", "Video"), ("Original 1", "Audio"), ("Foley", "Audio")]
    assert [clip.enabled for clip in timeline.tracks[1].find_clips()] == [False]
    root = ElementTree.parse(made.folder / "cut.xml")
    enabled = [each.text for each in root.iterfind(".//audio/track/clipitem/enabled")]
    assert enabled == ["FALSE", "TRUE", "TRUE", "TRUE"]


def test_an_edl_says_what_it_cannot_hold(made: Made) -> None:
    text = (made.folder / "cut.edl").read_text()
    assert text.count("* NOT HELD: ") == 3
    for what in ("where the files lie", "the video's own sound", "handles"):
        assert re.search(rf"^\* NOT HELD: .*{what}", text, re.MULTILINE)
        assert any(
            line.startswith("cut.edl: does not hold") and what in line for line in made.notes
        )
    assert "* LOC: 10:00:00:00 GREEN   001 dog <b>" in text


# Names -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("a & b <c>") / 'd\'s "é" 🎬'
    folder.mkdir()
    return delivered(folder, 25, HOSTILE)


@pytest.mark.parametrize("suffix", [".otio", ".xml", ".fcpxml"])
def test_hostile_names_are_escaped(hostile: Made, suffix: str) -> None:
    timeline = read(hostile.folder / f"cut{suffix}", hostile.rate)
    names = {each.name for each in timeline.find_clips()}
    assert names == {HOSTILE, "001.wav", "002.wav", "003.wav"}
    files = {address(each, hostile.folder) for each in timeline.find_clips()}
    assert files == {hostile.sheet.video, *hostile.delivery.stems[:-1]}
    if suffix != ".otio":
        assert "<script" not in (hostile.folder / f"cut{suffix}").read_text()


def test_lines_of_an_edl_stay_lines(tmp_path: Path) -> None:
    info = replace(probe(clip(tmp_path / "clip.mov", 25)), path=tmp_path / "a\nM2 b\x01\udcff.mov")
    cut = Cut(Scene("001", 0, 1, "city", 1), tmp_path / "001.wav", 0, 25)
    timeline = Timeline(info, Clock(Fraction(25)), FRAMES, (cut,), True)
    for suffix in SUFFIXES:
        write_timeline(timeline, tmp_path / f"t{suffix}")
        clips = read(tmp_path / f"t{suffix}", Fraction(25)).find_clips()
        assert {each.name for each in clips} == {"a_M2 b__.mov", "001.wav"}
    lines = (tmp_path / "t.edl").read_text().splitlines()
    assert not [line for line in lines if line.startswith("M2")]


def test_reels_have_eight_plain_characters_and_differ() -> None:
    names = ["Éclair <1>.final", "eclair 1 final", "001", "001", "🎬", "bl", "AX", "", "a" * 300]
    made = reels(names)
    assert made == ["ECLAIR_1", "ECLAIR_2", "001", "0012", "CLIP", "BL2", "AX2", "CLIP2", "A" * 8]
    assert all(re.fullmatch(r"[A-Z0-9_]{1,8}", reel) for reel in made)


# Other shapes ------------------------------------------------------------------------------------


def test_uneven_frames_keep_the_sound_in_its_place(tmp_path: Path) -> None:
    uneven = picture(4.0) + ",select='not(mod(n,5))+eq(n,1)+eq(n,27)+eq(n,33)'"
    make(tmp_path / "clip.mov", *lavfi(uneven), *H264, "-fps_mode", "vfr")
    made = delivered(tmp_path, 25, handles=True)
    assert any("uneven times" in note for note in made.notes)
    timeline = read(tmp_path / "cut.otio", made.rate)
    for each in timeline.find_clips():
        if each.name.endswith(".wav"):
            rate = each.source_range.duration.rate
            scene = made.sheet.scenes[int(each.name[:3]) - 1]
            assert each.range_in_parent().start_time.value == round(scene.start * rate)


def test_drop_frame(tmp_path: Path) -> None:
    rate = RATES["29.97"]
    clip(tmp_path / "clip.mov", rate, "-timecode", "01:00:00;00")
    made = delivered(tmp_path, rate)
    edl = (tmp_path / "cut.edl").read_text()
    assert "FCM: DROP FRAME" in edl
    assert "01:00:01;01 01:00:01;27 01:00:01;01 01:00:01;27" in edl
    assert starts(read(tmp_path / "cut.edl", made.rate), "Audio") == {
        name: at + 107_892 for name, at in expected().items()
    }
    assert read(tmp_path / "cut.xml", made.rate).global_start_time.value == 107_892
    assert "<displayformat>DF</displayformat>" in (tmp_path / "cut.xml").read_text()
    assert 'tcFormat="DF"' in (tmp_path / "cut.fcpxml").read_text()


def test_stems_that_overlap_get_tracks_of_their_own(tmp_path: Path) -> None:
    info = probe(clip(tmp_path / "clip.mov", 25))
    scenes = [Scene(name, 0, 1, "city", 1) for name in ("a", "b", "c")]
    spans = [(0, 10), (9, 1), (10, 5)]
    cuts = tuple(
        Cut(scene, tmp_path / f"{scene.id}.wav", *span, channels=2)
        for scene, span in zip(scenes, spans, strict=True)
    )
    timeline = Timeline(info, Clock(Fraction(25)), FRAMES, cuts, False)
    for suffix in (".otio", ".xml", ".fcpxml"):
        assert write_timeline(timeline, tmp_path / f"t{suffix}") == ()
        found = starts(read(tmp_path / f"t{suffix}", Fraction(25)), "Audio")
        assert {name: found[name] for name in ("a.wav", "b.wav", "c.wav")} == {
            "a.wav": 0, "b.wav": 9, "c.wav": 10,
        }  # fmt: skip
    lost = write_timeline(timeline, tmp_path / "t.edl")
    assert any("1 stems that overlap" in what for what in lost)
    held = starts(read(tmp_path / "t.edl", Fraction(25)), "Audio")
    assert held == {"a.wav": 0, "c.wav": 10}


def test_stereo_stems_are_two_tracks_in_final_cut_pro_7(tmp_path: Path) -> None:
    info = probe(clip(tmp_path / "clip.mov", 25, sound=False))
    cut = Cut(Scene("001", 0, 1, "city", 1), tmp_path / "001.wav", 5, 25, channels=2)
    timeline = Timeline(info, Clock(Fraction(25)), FRAMES, (cut,), False)
    write_timeline(timeline, tmp_path / "t.xml")
    tracks = ElementTree.parse(tmp_path / "t.xml").findall(".//audio/track")
    assert [track.get("currentExplodedTrackIndex") for track in tracks] == ["0", "1"]
    channels = [track.findtext("clipitem/sourcetrack/trackindex") for track in tracks]
    assert channels == ["1", "2"]


def test_muted_scenes_are_neither_stems_nor_clips(tmp_path: Path) -> None:
    from v2a_foley.delivery import deliver

    sheet = sheet_of(clip(tmp_path / "clip.mov", 25), 25)
    first, *others = sheet.scenes
    sheet = replace(sheet, scenes=(replace(first, mute=True), *others))
    made = deliver(
        sheet, tmp_path / "out.mov", stems=tmp_path / "stems", timelines=[tmp_path / "cut.otio"]
    )
    assert [path.name for path in made.stems] == ["002.wav", "003.wav", "track.wav"]
    found = starts(read(tmp_path / "cut.otio", Fraction(25)), "Audio")
    assert found == {"clip.mov": 0, "002.wav": 31, "003.wav": 60}
