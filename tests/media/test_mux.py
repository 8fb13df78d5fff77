from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests.media.made import (
    AWKWARD,
    H264,
    click,
    click_time,
    flash_time,
    frame_hashes,
    lavfi,
    make,
    noise,
    picture,
)
from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.audio import read_audio, write_wav
from v2a_foley.media.containers import check_container
from v2a_foley.media.mux import mux
from v2a_foley.media.probe import MediaInfo, probe

VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "12")
UNEVEN = picture() + ",select='not(mod(n,5))+eq(n,1)+eq(n,27)+eq(n,33)'"
TONE = "sine=330:r=44100:d=2"

# name, then ffmpeg's arguments; each has a flash at 1 s
SOURCES: dict[str, list[str]] = {
    "plain.mp4": [*lavfi(picture(), TONE), *H264, "-c:a", "aac"],
    "silent.m4v": [*lavfi(picture()), *H264, "-f", "mp4"],
    "ntsc.mov": [*lavfi(picture(rate="30000/1001")), "-c:v", "prores", "-pix_fmt", "yuv422p10le"],
    "plain.mkv": [*lavfi(picture(), TONE), *H264, "-c:a", "flac"],
    "vp9.webm": [*lavfi(picture(), TONE), *VP9, "-c:a", "libopus"],
    "film.avi": [*lavfi(picture(rate="10"), TONE), "-c:v", "mpeg4", "-c:a", "pcm_s16le"],
    "uneven.mp4": [*lavfi(UNEVEN), *H264, "-fps_mode", "vfr"],
    "uneven.mkv": [*lavfi(UNEVEN), *H264, "-fps_mode", "vfr"],
    "odd.mkv": [*lavfi(picture(size="65x49")), *H264, "-pix_fmt", "yuv444p"],
    "ten_bit.mp4": [*lavfi(picture()), *H264, "-pix_fmt", "yuv420p10le"],
    "late.mkv": ["-itsoffset", "0.32", *lavfi(picture(), TONE), *H264, "-c:a", "pcm_s16le"],
    "late.mp4": ["-itsoffset", "0.32", *lavfi(picture(), TONE), *H264, "-c:a", "aac"],
    "late.webm": ["-itsoffset", "0.32", *lavfi(picture(), TONE), *VP9, "-c:a", "libopus"],
}


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return click(tmp_path / "click.wav")


def check_sync(film: Path, slack: float = 0.01) -> None:
    """The click comes with the flash, far nearer than a frame: containers round, coders too."""
    assert click_time(film) == pytest.approx(flash_time(film), abs=slack)


@pytest.mark.parametrize("name", SOURCES)
def test_picture_is_copied_and_sound_is_in_sync(tmp_path: Path, wav: Path, name: str) -> None:
    source = make(tmp_path / name, *SOURCES[name])
    info = probe(source)
    film = tmp_path / f"done{source.suffix}"
    done = mux(info, wav, film, title="Foley mix")
    assert frame_hashes(film) == frame_hashes(source)
    result = probe(film)
    assert result.duration == pytest.approx(info.duration, abs=1 / float(info.rate))
    assert [track.default for track in result.audio] == [film.suffix != ".avi"]  # has no such flag
    assert result.audio[0].codec == done.audio_codec
    assert (result.audio[0].sample_rate, result.audio[0].channels) == (48_000, 2)
    assert (result.codec, result.pixel_format) == (info.codec, info.pixel_format)
    assert not done.dropped
    check_sync(film)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "aac"), (".mov", "pcm_s24le"), (".mkv", "flac"), (".ts", "aac"), (".m2ts", "aac")],
)
@pytest.mark.parametrize("name", ["plain.mp4", "late.mkv"])
def test_other_containers(tmp_path: Path, wav: Path, name: str, suffix: str, codec: str) -> None:
    info = probe(make(tmp_path / name, *SOURCES[name]))
    film = tmp_path / f"film{suffix}"
    assert mux(info, wav, film).audio_codec == codec
    check_sync(film)


def test_a_late_picture_in_an_avi(tmp_path: Path, wav: Path) -> None:
    codec = ("-c:v", "mpeg4", "-bf", "0")
    late = ["-itsoffset", "0.32", *lavfi(picture(), TONE), *codec, "-c:a", "pcm_s16le"]
    info = probe(make(tmp_path / "late.mkv", *late))
    mux(info, wav, tmp_path / "film.avi")
    check_sync(tmp_path / "film.avi")


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_transport_stream_that_starts_at_1_4_seconds(
    tmp_path: Path, wav: Path, suffix: str
) -> None:
    late = ["-itsoffset", "0.32", *lavfi(picture(), TONE), *H264, "-c:a", "aac"]
    info = probe(make(tmp_path / "clip.ts", *late))
    assert info.start > 1.4
    for keep in (False, True):
        film = tmp_path / f"film{keep}{suffix}"
        mux(info, wav, film, keep_original=keep)
        check_sync(film)


def test_a_trimmed_mp4_keeps_its_hidden_frames(tmp_path: Path, wav: Path) -> None:
    whole = make(tmp_path / "whole.mp4", *lavfi(picture(4.0, size="64x48")), *H264)
    trimmed = make(tmp_path / "trimmed.mp4", "-ss", "0.6", "-i", str(whole), "-c", "copy")
    info = probe(trimmed)
    write_wav(wav, noise(info.duration), overwrite=True)
    mux(info, wav, tmp_path / "film.mp4")
    assert frame_hashes(tmp_path / "film.mp4") == frame_hashes(trimmed)
    assert flash_time(tmp_path / "film.mp4") == pytest.approx(0.4, abs=0.001)
    # Matroska cannot hide them: better no file than one that shows them.
    with pytest.raises(MediaError, match="the picture lasts"):
        mux(info, wav, tmp_path / "film.mkv")
    assert not list(tmp_path.glob(".film*")) + list(tmp_path.glob("film.mkv"))


def turned(path: Path) -> Path:
    """A clip with a display matrix; ffmpeg itself can only make one since version 6."""
    plain = make(path.with_stem("plain"), *SOURCES["plain.mp4"])
    with av.open(plain) as media, av.open(path, "w") as copy:
        stream = copy.add_stream_from_template(media.streams.video[0])
        stream.set_display_rotation(90)
        for packet in media.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    return path


def test_rotation_is_kept_or_said_to_be_lost(tmp_path: Path, wav: Path) -> None:
    info = probe(turned(tmp_path / "turned.mp4"))
    assert info.rotation == 270
    for suffix in (".mp4", ".mov", ".mkv", ".ts"):
        done = mux(info, wav, tmp_path / f"film{suffix}")
        kept = probe(done.path).rotation == info.rotation
        assert kept != ("rotation" in done.dropped)
        assert kept or suffix in (".mkv", ".ts")  # Matroska: since ffmpeg 6


def two_tracks(path: Path) -> Path:
    quiet = "sine=550:r=48000:d=2,volume=0.5,aformat=channel_layouts=5.1(side)"
    return make(
        path,
        *lavfi(picture(), TONE, quiet),
        *("-map", "0", "-map", "1", "-map", "2", *H264, "-c:a:0", "libvorbis", "-c:a:1", "aac"),
        *("-metadata:s:a:1", "language=deu", "-metadata:s:a:1", "title=Surround"),
    )


def test_original_tracks_are_dropped_or_kept_behind(tmp_path: Path, wav: Path) -> None:
    source = two_tracks(tmp_path / "two.mkv")
    info = probe(source)
    assert mux(info, wav, tmp_path / "one.mkv").dropped == ()
    assert len(probe(tmp_path / "one.mkv").audio) == 1
    mux(info, wav, tmp_path / "all.mkv", keep_original=True, title="Foley")
    tracks = probe(tmp_path / "all.mkv").audio
    assert [(t.codec, t.title, t.default) for t in tracks] == [
        ("flac", "Foley", True),
        ("vorbis", None, False),
        ("aac", "Surround", False),
    ]
    assert tracks[2].language in ("deu", "ger")
    for track in (0, 1):
        kept = frame_hashes(tmp_path / "all.mkv", f"0:a:{track + 1}")
        assert kept == frame_hashes(source, f"0:a:{track}")


def test_original_tracks_are_coded_anew_where_the_container_needs_it(
    tmp_path: Path, wav: Path
) -> None:
    info = probe(two_tracks(tmp_path / "two.mkv"))
    mux(info, wav, tmp_path / "all.mp4", keep_original=True)
    tracks = probe(tmp_path / "all.mp4").audio
    assert [(t.codec, t.channels) for t in tracks] == [("aac", 2), ("aac", 1), ("aac", 6)]
    vp9 = [*lavfi(picture(), "aevalsrc=0.1|0.1|0.1|0.1|0.1|0.1:c=5.1(side):d=2"), *VP9]
    info = probe(make(tmp_path / "vp9.mkv", *vp9, "-c:a", "ac3"))
    mux(info, wav, tmp_path / "all.webm", keep_original=True)
    tracks = probe(tmp_path / "all.webm").audio
    assert [(t.codec, t.channels) for t in tracks] == [("opus", 2), ("opus", 6)]


def rich(path: Path, *codecs: str) -> Path:
    """A video with subtitles, two chapters and tags."""
    (path.parent / "lines.srt").write_text("1\n00:00:00,500 --> 00:00:01,200\nHello\n\n")
    chapters = "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={start + 1000}\ntitle={name}\n"
        for start, name in ((0, "One"), (1000, "Two"))
    )
    tags = ";FFMETADATA1\ntitle=My film\nartist=Me\n"
    (path.parent / "tags.txt").write_text(tags + chapters)
    inputs = [*lavfi(picture(), TONE), "-i", "lines.srt", "-i", "tags.txt"]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map_metadata", "3", "-map_chapters", "3"]
    return make(path, *inputs, *maps, *H264, "-c:a", "aac", *codecs)


@pytest.mark.parametrize("source", [".mp4", ".mkv"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_subtitles_chapters_and_tags_are_kept(
    tmp_path: Path, wav: Path, source: str, suffix: str
) -> None:
    codecs = ("-c:s", "mov_text" if source == ".mp4" else "subrip")
    info = probe(rich(tmp_path / f"rich{source}", *codecs))
    film = tmp_path / f"film{suffix}"
    done = mux(info, wav, film, metadata={"comment": 'seed=1; "bed"', "genre": "two\nlines"})
    assert done.dropped == ()
    with av.open(film) as media:
        tags = {key.lower(): value for key, value in media.metadata.items()}
        titles = [chapter["metadata"]["title"] for chapter in media.chapters()]
        assert (tags["title"], tags["artist"]) == ("My film", "Me")
        assert (tags["comment"], tags["genre"]) == ('seed=1; "bed"', "two\nlines")
        assert titles == ["One", "Two"]
        lines = next(p for p in media.demux(subtitles=0) if b"Hello" in bytes(p))
        assert float(lines.pts * lines.time_base) == pytest.approx(0.5, abs=0.002)


def test_what_a_container_cannot_hold_is_said(tmp_path: Path, wav: Path) -> None:
    info = probe(rich(tmp_path / "rich.mkv", "-c:s", "ass"))
    done = mux(info, wav, tmp_path / "film.ts")
    assert done.dropped == ("chapters", "ass subtitles")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cover_and_attached_files(tmp_path: Path, wav: Path, suffix: str) -> None:
    cover = make(tmp_path / "art.jpg", *lavfi("color=red:s=32x32"), "-frames:v", "1")
    font = tmp_path / "font.ttf"
    font.write_bytes(os.urandom(500))
    types = ("-metadata:s:t:0", "mimetype=font/ttf", "-metadata:s:t:1", "mimetype=image/jpeg")
    attached = ("-attach", str(font), "-attach", str(cover), *types)
    source = make(tmp_path / "rich.mkv", *lavfi(picture(), TONE), *H264, *attached)
    done = mux(probe(source), wav, tmp_path / f"film{suffix}")
    with av.open(done.path) as media:
        art = [s for s in media.streams.video if s.disposition & Disposition.attached_pic]
        assert len(art) == 1
        assert bytes(next(media.demux(art[0]))) == cover.read_bytes()
        kept = [s.metadata["filename"] for s in media.streams if s.type == "attachment"]
    assert kept == (["font.ttf"] if suffix == ".mkv" else [])
    assert done.dropped == (() if suffix == ".mkv" else ("attached file font.ttf",))
    assert "cover picture" in mux(probe(source), wav, tmp_path / "film.mov").dropped


def test_timecode_and_a_cameras_own_tags_are_kept(tmp_path: Path, wav: Path) -> None:
    own = ("-movflags", "use_metadata_tags", "-metadata", "com.apple.quicktime.make=Apple")
    code = ("-timecode", "10:00:00:00")
    source = make(tmp_path / "camera.mov", *SOURCES["plain.mp4"], *own, *code)
    for suffix in (".mov", ".mp4"):
        done = mux(probe(source), wav, tmp_path / f"film{suffix}")
        assert done.dropped == ()
        with av.open(done.path) as media:
            assert media.metadata["com.apple.quicktime.make"] == "Apple"
            assert media.streams.video[0].metadata["timecode"] == "10:00:00:00"
            assert [s.type for s in media.streams].count("data") == 1


def test_awkward_names(tmp_path: Path) -> None:
    folder = tmp_path / AWKWARD
    folder.mkdir()
    source = make(folder / f"{AWKWARD}.mp4", *SOURCES["plain.mp4"])
    wav = click(folder / f"{AWKWARD}.wav")
    done = mux(probe(source), wav, folder / f"{AWKWARD} foley.mp4")
    check_sync(done.path)
    assert len(list(folder.iterdir())) == 3


def test_sound_comes_through_whole(tmp_path: Path, wav: Path) -> None:
    info = probe(make(tmp_path / "plain.mkv", *SOURCES["plain.mkv"]))
    audio = noise(2.0)
    write_wav(wav, audio, overwrite=True)
    mux(info, wav, tmp_path / "film.mkv")
    back = read_audio(probe(tmp_path / "film.mkv"))
    np.testing.assert_allclose(back, audio, atol=2**-23)


def test_a_file_that_is_not_accepted_is_written_again(tmp_path: Path, wav: Path) -> None:
    info = probe(make(tmp_path / "plain.mkv", *SOURCES["plain.mkv"]))
    film, seen = tmp_path / "film.mkv", []

    def accept(result: MediaInfo) -> bool:
        assert not film.exists()
        seen.append(float(np.abs(read_audio(result)).max()))
        write_wav(wav, noise(2.0, level=0.001), overwrite=True)
        return len(seen) == 3

    mux(info, wav, film, accept=accept)
    assert seen[0] > 0.5
    assert max(seen[1:]) < 0.01
    assert frame_hashes(film) == frame_hashes(tmp_path / "plain.mkv")
    assert np.abs(read_audio(probe(film))).max() == pytest.approx(seen[-1])


def test_progress_and_interrupt(tmp_path: Path, wav: Path) -> None:
    info = probe(make(tmp_path / "plain.mkv", *SOURCES["plain.mkv"]))
    seen: list[float] = []
    mux(info, wav, tmp_path / "film.mkv", progress=seen.append)
    assert seen[-1] == pytest.approx(info.duration, abs=0.1)

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mux(info, wav, tmp_path / "other.mkv", progress=stop)
    assert not list(tmp_path.glob("*other*"))


def test_pairs_that_do_not_go_together(tmp_path: Path) -> None:
    vp8 = make(tmp_path / "vp8.webm", *lavfi(picture()), "-c:v", "libvpx", "-deadline", "realtime")
    h264 = make(tmp_path / "h264.mp4", *SOURCES["plain.mp4"])
    for source, suffix, good in (
        (vp8, ".mp4", r"vp8.*\.mkv or \.webm"),
        (vp8, ".ts", r"vp8.*\.mkv or \.webm"),
        (h264, ".webm", r"h264.*\.mkv or \.mp4"),
        (h264, ".xyz", r"unknown container; use one of \.mp4"),
    ):
        with pytest.raises(InputError, match=good):
            check_container(probe(source), tmp_path / f"film{suffix}")
    check_container(probe(vp8), tmp_path / "film.mkv")


def test_outputs_that_must_not_be_written(tmp_path: Path, wav: Path) -> None:
    source = make(tmp_path / "plain.mp4", *SOURCES["plain.mp4"])
    before = source.read_bytes()
    with pytest.raises(InputError, match="the input itself"):
        mux(probe(source), wav, source, overwrite=True)
    (tmp_path / "film.mp4").write_bytes(b"old")
    with pytest.raises(InputError, match="--overwrite"):
        mux(probe(source), wav, tmp_path / "film.mp4")
    mux(probe(source), wav, tmp_path / "film.mp4", overwrite=True)
    check_sync(tmp_path / "film.mp4")
    assert source.read_bytes() == before


def cut_short(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def no_sound(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(("which", "damage"), [("video", cut_short), ("wav", no_sound)])
def test_damaged_inputs_leave_no_file(
    tmp_path: Path, wav: Path, which: str, damage: Callable[[bytes], bytes]
) -> None:
    large = "testsrc2=s=64x48:r=25:d=2"
    source = make(tmp_path / "plain.mp4", *lavfi(large), *H264, "-movflags", "+faststart")
    info = probe(source)
    hurt = source if which == "video" else wav
    hurt.write_bytes(damage(hurt.read_bytes()))
    with pytest.raises(MediaError):
        mux(info, wav, tmp_path / "film.mp4")
    assert not list(tmp_path.glob("*film*"))
