"""Hostile media: what refers to other files, and what is made to exhaust a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.made import H264, lavfi, make, picture
from v2a_foley.errors import InputError
from v2a_foley.media.probe import MOST_STREAMS, open_media, probe


def test_a_huge_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.y4m"
    path.write_bytes(b"YUV4MPEG2 W20000 H20000 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(100_000))
    with pytest.raises(InputError, match=r"huge\.y4m"):
        probe(path)
    clip = make(tmp_path / "patched.avi", *lavfi(picture(0.2)), "-c:v", "rawvideo")
    data = bytearray(clip.read_bytes())
    size = data.index(b"strf") + 12  # after the chunk's name and length, and the header's length
    data[size : size + 8] = (12_000).to_bytes(4, "little") * 2
    clip.write_bytes(data)
    with pytest.raises(InputError, match=r"12000x12000, more than 100 million pixels"):
        probe(clip)


def test_absurd_rates_are_refused(tmp_path: Path) -> None:
    clip = make(tmp_path / "fast.mkv", *lavfi(picture(0.01, rate="5000")), *H264)
    with pytest.raises(InputError, match=r"fast\.mkv: states \d+ frames a second"):
        probe(clip)


def test_absurd_lengths_are_refused(tmp_path: Path) -> None:
    late = "setpts='if(gt(N,5),PTS+90000/TB,PTS)'"
    clip = make(tmp_path / "long.mkv", *lavfi(f"{picture(1)},{late}"), *H264, "-fps_mode", "vfr")
    with pytest.raises(InputError, match=r"long\.mkv: is 25\.\d hours long"):
        probe(clip)


def test_thousands_of_streams_are_refused(tmp_path: Path) -> None:
    count = MOST_STREAMS + 10
    maps = ["-map", "0:v"] + ["-map", "1:a"] * count
    clip = make(
        tmp_path / "many.mkv", *lavfi(picture(0.1), "anullsrc=r=8000:cl=mono"), *maps, *H264,
        "-c:a", "pcm_u8", "-t", "0.1",
    )  # fmt: skip
    with pytest.raises(InputError, match=rf"many\.mkv: has {count + 1} streams"):
        probe(clip)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n"),
        ("list.mkv", "ffconcat version 1.0\nfile '{other}'\n"),
        ("web.mp4", "#EXTM3U\n#EXTINF:1,\nhttp://localhost:9/secret.ts\n"),
        ("dash.mp4", "<?xml version='1.0'?><MPD><BaseURL>{other}</BaseURL></MPD>"),
        ("talk.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n"),
        ("frames.avs", 'AviSource("{other}")'),
    ],
)
def test_nothing_is_followed_to_another_file(tmp_path: Path, name: str, text: str) -> None:
    other = make(tmp_path / "other.ts", *lavfi(picture(0.5)), *H264)
    path = tmp_path / name
    path.write_text(text.format(other=other))
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        open_media(path)


def test_what_ffmpeg_reads_is_a_file_and_no_playlist(tmp_path: Path) -> None:
    """The ffmpeg program is given what was probed; a playlist swapped in later is not followed."""
    from v2a_foley.errors import MediaError
    from v2a_foley.media.ffmpeg import pipe, source

    other = make(tmp_path / "other.ts", *lavfi(picture(0.5), "sine"), "-t", "0.5", *H264)
    path = tmp_path / "clip.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n")
    graph = source(path)["a:0"].output("pipe:1", format="f32le")
    with pytest.raises(MediaError):
        list(pipe(graph, subject=path))
