from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from tests.media.clips import TURNS, truncated, turned
from tests.media.made import AWKWARD, H264, lavfi, make
from tests.rights import bound
from v2a_foley.errors import InputError
from v2a_foley.media.probe import MediaInfo, probe

PICTURE = "testsrc=s=160x120:r=25:d=1"
LONG = "testsrc=s=160x120:r=25:d=3"
TONE = "sine=440:d=1"
PROBE = """\
import sys
from v2a_foley.errors import InputError
from v2a_foley.media.probe import probe
try:
    probe(sys.argv[1])
except InputError as error:
    print(error, end="")
"""
PQ = PICTURE + ",setparams=color_primaries=bt2020:color_trc=smpte2084"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make(tmp_path / "clip.mp4", *lavfi(PICTURE), *H264)


def test_plain_clip(clip: Path) -> None:
    assert probe(clip) == MediaInfo(
        path=clip,
        container="mov,mp4,m4a,3gp,3g2,mj2",
        stream=0,
        duration=pytest.approx(1.0),
        start=0.0,
        width=160,
        height=120,
        rotation=0,
        codec="h264",
        pixel_format="yuv420p",
        bit_depth=8,
        hdr=False,
        rate=Fraction(25),
        vfr=False,
        audio=(),
        subtitles=0,
        chapters=0,
    )


def test_tracks_subtitles_and_chapters(tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    (tmp_path / "marks.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\n"
    )
    maps = [word for index in range(4) for word in ("-map", str(index))]
    tags = ["-metadata:s:a:1", "language=fre", "-metadata:s:a:1", "title=Doublage"]
    sound = ["-c:a:0", "aac", "-c:a:1", "flac", "-ac:a:0", "2", "-disposition:a:0", "default"]
    info = probe(
        make(
            tmp_path / "film.mkv", *lavfi(PICTURE, TONE, "sine=330:r=48000:d=1"),
            "-i", "words.srt", "-i", "marks.txt", *maps, "-map_chapters", "4",
            *H264, *sound, *tags,
        )
    )  # fmt: skip
    first, second = info.audio
    assert (first.stream, first.codec, first.channels, first.default) == (1, "aac", 2, True)
    assert (second.stream, second.codec, second.sample_rate) == (2, "flac", 48_000)
    assert (second.language, second.title, second.default) == ("fre", "Doublage", False)
    assert (second.layout, info.subtitles, info.chapters) == ("mono", 1, 2)


@pytest.mark.parametrize("clockwise", TURNS)
def test_rotation(tmp_path: Path, clockwise: int) -> None:
    info = probe(turned(tmp_path / "turned.mp4", clockwise))
    assert info.rotation == clockwise
    assert (info.width, info.height) == ((96, 64) if clockwise % 180 == 0 else (64, 96))


def test_anamorphic_picture_is_as_wide_as_shown(tmp_path: Path) -> None:
    wide = lavfi("testsrc=s=72x58:r=25:d=0.2,setsar=64/45")
    info = probe(make(tmp_path / "dvd.mkv", *wide, *H264))
    assert (info.width, info.height) == (102, 58)


def test_hdr(tmp_path: Path) -> None:
    deep = [*H264, "-pix_fmt", "yuv420p10le"]
    graded = probe(make(tmp_path / "pq.mkv", *lavfi(PQ), *deep))
    assert (graded.hdr, graded.bit_depth, graded.pixel_format) == (True, 10, "yuv420p10le")
    plain = probe(make(tmp_path / "plain.mkv", *lavfi(PICTURE), *deep))
    assert (plain.hdr, plain.bit_depth) == (False, 10)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate(tmp_path: Path, suffix: str) -> None:
    uneven = PICTURE + ",select='not(mod(n,3))+not(mod(n,5))'"
    path = make(tmp_path / f"uneven{suffix}", *lavfi(uneven), *H264, "-fps_mode", "vfr")
    assert probe(path).vfr


@pytest.mark.parametrize("rate", ["24000/1001", "30", "60"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_constant_frame_rate(tmp_path: Path, suffix: str, rate: str) -> None:
    coder = ("-c:v", "mpeg4") if suffix == ".avi" else H264
    path = make(tmp_path / f"even{suffix}", *lavfi(f"testsrc=s=64x48:r={rate}:d=1"), *coder)
    info = probe(path)
    assert not info.vfr
    assert float(info.rate) == pytest.approx(float(Fraction(rate)), rel=1e-3)


def test_cover_art_is_no_video(tmp_path: Path, clip: Path) -> None:
    cover = make(tmp_path / "cover.png", *lavfi("color=red:s=64x64:d=0.04"), "-frames:v", "1")
    tone = make(tmp_path / "tone.wav", *lavfi(TONE))
    attach = ("-disposition:v:0", "attached_pic")
    both = ("-map", "0", "-map", "1")
    song = make(
        tmp_path / "song.m4a", "-i", cover.name, "-i", tone.name, *both,
        "-c:v", "copy", "-c:a", "aac", *attach,
    )  # fmt: skip
    with pytest.raises(InputError, match="only sound"):
        probe(song)
    film = make(
        tmp_path / "film.mp4", "-i", cover.name, "-i", clip.name, *both, "-c", "copy", *attach
    )
    info = probe(film)
    assert (info.codec, info.width) == ("h264", 160)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("long_sound.mp4", []),
        ("long_sound.mkv", []),
        ("long_sound.flv", ["-c:v", "flv1", "-bf", "0"]),
        ("long_sound.ts", []),
        ("long_sound.mpg", ["-c:v", "mpeg2video"]),
        ("live.mkv", ["-live", "1"]),
        ("fragments.mp4", ["-movflags", "frag_keyframe+empty_moov"]),
    ],
)
def test_duration_is_the_pictures(tmp_path: Path, name: str, more: list[str]) -> None:
    path = make(tmp_path / name, *lavfi(LONG, "sine=d=7"), *H264, *more)
    assert probe(path).duration == pytest.approx(3.0, abs=0.041)


def test_raw_stream_without_time_stamps(tmp_path: Path) -> None:
    info = probe(make(tmp_path / "raw.h264", *lavfi(LONG), *H264))
    assert (info.start, info.rate) == (0.0, 25)
    assert info.duration == pytest.approx(3.0)


def test_start_is_the_first_frames(tmp_path: Path) -> None:
    late = make(tmp_path / "late.mkv", "-itsoffset", "0.52", *lavfi(PICTURE), *H264)
    info = probe(late)
    assert info.start == pytest.approx(0.52)
    assert info.duration == pytest.approx(1.0)


@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.flv"])
def test_truncated_file_states_its_whole_length(tmp_path: Path, name: str, share: float) -> None:
    coder = ("-c:v", "flv1") if name.endswith("flv") else (*H264, "-movflags", "+faststart")
    noisy = "testsrc=s=160x120:r=25:d=8,noise=alls=20:allf=t"
    whole = make(tmp_path / f"whole_{name}", *lavfi(noisy), *coder)
    assert probe(truncated(whole, tmp_path / name, share)).duration == pytest.approx(8.0, abs=0.1)


def bad_inputs(folder: Path) -> dict[str, Path]:
    """A file, or none, for each kind of thing that is no video."""
    clip = make(folder / "clip.mp4", *lavfi(PICTURE), *H264)
    (folder / "text.mp4").write_text("not a film\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n")
    (folder / "script.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    (folder / "dash.mpd").write_text('<?xml version="1.0"?>\n<MPD type="static"></MPD>')
    (folder / "call.sdp").write_text("v=0\nm=video 5004 RTP/AVP 96\n")
    os.mkfifo(folder / "pipe.mp4")
    return {
        "no such file": folder / "missing.mp4",
        "is a folder": folder,
        "is empty": folder / "empty.mp4",
        "not a regular file": folder / "pipe.mp4",
        "not a video file": folder / "text.mp4",
        "cannot be read": folder / "nul\0.mp4",
        "moov atom, is missing": truncated(clip, folder / "unfinished.mp4", 0.5),
        "holds only sound": make(folder / "sound.mp3", *lavfi(TONE)),
        "refers to other files": folder / "list.m3u8",
        "refers to other files; ": folder / "script.mp4",
        "refers to other files; name": folder / "dash.mpd",
        "refers to other files; name the": folder / "call.sdp",
        "convert it": make(folder / "still.png", *lavfi(PICTURE), "-frames:v", "1"),
    }


def test_bad_inputs_say_what_is_wrong(tmp_path: Path) -> None:
    for message, path in bad_inputs(tmp_path).items():
        with pytest.raises(InputError, match=message) as caught:
            probe(path)
        assert path.name.replace("\0", "\\x00") in str(caught.value)
        assert caught.value.exit_code == 2


def test_video_without_frames(tmp_path: Path, clip: Path) -> None:
    bare = make(tmp_path / "bare.mp4", "-i", clip.name, "-c", "copy", "-frames:v", "0")
    with pytest.raises(InputError):
        probe(bare)


def test_unreadable_file(clip: Path) -> None:
    command = [*bound(), sys.executable, "-c", PROBE, str(clip)]
    clip.chmod(0)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == f"{clip}: no permission to read it; change that, or copy it as its owner"


@pytest.mark.parametrize(
    "name",
    ["-y.mp4", "http:evil.mp4", "concat:a|b.mp4", AWKWARD + ".mp4", "%03d.mp4", "a\udcff.mp4"],
)
def test_awkward_names(tmp_path: Path, clip: Path, name: str) -> None:
    path = clip.rename(tmp_path / name)
    assert probe(path).duration == pytest.approx(1.0)


def test_messages_escape_control_characters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\\nb\.mp4'?: no such file"):
        probe(tmp_path / "a\nb.mp4")
