from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.media.clips import TURNS, Recorder, damaged, truncated, turned
from tests.media.made import H264, lavfi, make
from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.decode import Decoded, decode
from v2a_foley.media.picture import Frame
from v2a_foley.media.probe import probe

# A picture whose grey level is its frame number, 4 a frame.
RAMP = "color=black:s=64x48:r=25:d=2,format=gray,geq=lum='4*N'"
NOISY = "testsrc=s=160x120:r=25:d=8,noise=alls=20:allf=t"


def recorded(path: Path, **options: int) -> tuple[Recorder, Decoded]:
    recorder = Recorder()
    return recorder, decode(probe(path), [recorder], **options)


@pytest.mark.parametrize("name", ["ramp.mp4", "ramp.mkv", "ramp.ts", "ramp.h264"])
def test_every_frame_comes_once_and_in_order(tmp_path: Path, name: str) -> None:
    seen, done = recorded(make(tmp_path / name, *lavfi(RAMP), *H264, "-crf", "1"))
    assert (done.frames, done.skipped, len(seen.times)) == (50, 0, 50)
    np.testing.assert_allclose(seen.times, np.arange(50) / 25, atol=0.0011)
    np.testing.assert_allclose(seen.durations, 0.04, atol=0.0011)
    levels = [image.mean() for image in seen.images]
    np.testing.assert_allclose(levels, 4 * np.arange(50), atol=3)
    assert seen.duration == done.duration == pytest.approx(2.0, abs=0.0011)


def test_colours_and_sizes(tmp_path: Path) -> None:
    red = make(tmp_path / "red.mp4", *lavfi("color=red:s=640x480:r=5:d=0.4"), *H264)
    frames: list[Frame] = []

    class Keep(Recorder):
        def add(self, frame: Frame) -> None:
            frames.append(frame)

    decode(probe(red), [Keep()], short_side=120)
    assert frames[0].image.shape == (120, 160, 3)
    assert frames[0].thumbnail.shape == (72, 96, 3)
    assert frames[0].image.dtype == frames[0].thumbnail.dtype == np.uint8
    np.testing.assert_allclose(frames[0].image.mean((0, 1)), (254, 0, 0), atol=3)
    assert frames[0].luma.mean() == pytest.approx(0.299 * 254, abs=2)


def test_small_odd_and_extreme_sizes(tmp_path: Path) -> None:
    shapes = {}
    for size in ("65x49", "1280x16", "33x1001"):
        graph = f"testsrc=s={size}:r=5:d=0.4,format=yuv444p"
        path = make(tmp_path / f"{size}.mkv", *lavfi(graph), "-c:v", "ffv1")
        seen, _ = recorded(path, short_side=100)
        shapes[size] = seen.images[0].shape
    assert shapes == {"65x49": (49, 65, 3), "1280x16": (5, 400, 3), "33x1001": (400, 13, 3)}


@pytest.mark.parametrize("clockwise", TURNS)
def test_pictures_are_upright(tmp_path: Path, clockwise: int) -> None:
    seen, _ = recorded(turned(tmp_path / "turned.mp4", clockwise))
    image = np.rot90(seen.images[0], clockwise // 90)  # back by anticlockwise turns
    assert image.shape == (64, 96, 3)
    assert image[:20, :36, 0].min() > 200
    assert image[28:, 44:, 0].max() < 50


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    uneven = RAMP + ",select='not(mod(n,3))+not(mod(n,5))'"
    path = make(tmp_path / "uneven.mp4", *lavfi(uneven), *H264, "-fps_mode", "vfr")
    seen, _ = recorded(path)
    kept = np.array([n for n in range(50) if n % 3 == 0 or n % 5 == 0])
    np.testing.assert_allclose(seen.times, kept / 25, atol=1e-3)
    np.testing.assert_allclose(seen.durations[:-1], np.diff(kept) / 25, atol=1e-3)


def test_time_begins_at_the_first_frame(tmp_path: Path) -> None:
    late = make(tmp_path / "late.ts", "-itsoffset", "3", *lavfi(RAMP), *H264)
    seen, done = recorded(late)
    assert seen.times[0] == 0.0
    assert done.duration == pytest.approx(2.0, abs=1e-3)


def test_spliced_recording_runs_on(tmp_path: Path) -> None:
    part = make(tmp_path / "part.ts", *lavfi(RAMP), *H264).read_bytes()
    later = ("-output_ts_offset", "900")
    far = make(tmp_path / "far.ts", *lavfi(RAMP), *H264, *later).read_bytes()
    spliced = tmp_path / "spliced.ts"
    spliced.write_bytes(part + far + part)
    seen, done = recorded(spliced)
    assert done.frames == pytest.approx(150, abs=3)
    assert done.duration == pytest.approx(6.0, abs=0.2)
    assert min(np.diff(seen.times)) > 0


def test_hdr_is_shown_as_on_a_plain_screen(tmp_path: Path) -> None:
    # PQ code 0.58 is 203 cd/m2, the white of graphics; HLG says the same with 0.75.
    levels = {}
    for curve, code in (("smpte2084", 0.58), ("arib-std-b67", 0.75), ("bt709", 0.58)):
        grey = round((16 + 219 * code) * 4)
        graph = (
            "color=black:s=64x48:r=5:d=0.4,format=yuv420p10,"
            f"geq=lum={grey}:cb=512:cr=512,setparams=color_trc={curve}:color_primaries=bt2020"
        )
        coder = (*H264, "-pix_fmt", "yuv420p10le", "-crf", "1")
        seen, _ = recorded(make(tmp_path / f"{curve}.mkv", *lavfi(graph), *coder))
        levels[curve] = seen.images[0].mean()
    assert levels["smpte2084"] == pytest.approx(levels["arib-std-b67"], abs=4)
    assert levels["smpte2084"] > 235
    assert levels["bt709"] == pytest.approx(0.58 * 255, abs=3)


def test_progress_and_consumers_share_the_pass(tmp_path: Path) -> None:
    path = make(tmp_path / "ramp.mp4", *lavfi(RAMP), *H264)
    reports: list[tuple[float, float]] = []
    two = [Recorder(), Recorder()]
    decode(probe(path), two, progress=lambda done, total: reports.append((done, total)))
    assert two[0].times == two[1].times
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert reports[-1] == (2.0, 2.0)


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_truncated_file_is_an_error(tmp_path: Path, name: str) -> None:
    coder = (*H264, "-movflags", "+faststart")
    whole = make(tmp_path / f"whole_{name}", *lavfi(NOISY), *coder)
    recorder = Recorder()
    with pytest.raises(
        MediaError, match=rf"{name}: the picture ends at .* of the 8\.\d+ s"
    ) as caught:
        decode(probe(truncated(whole, tmp_path / name, 0.6)), [recorder])
    assert caught.value.exit_code == 1
    assert recorder.duration is None


def test_last_moments_may_be_missing(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mkv", *lavfi(NOISY), *H264)
    _, done = recorded(truncated(whole, tmp_path / "cut.mkv", 0.95))
    assert 7.0 < done.duration < 7.9


def test_damaged_frames_are_skipped_and_counted(tmp_path: Path) -> None:
    # Every PNG is a key frame with a checksum: damage stays where it is, and shows.
    whole = make(tmp_path / "whole.mov", *lavfi(NOISY), "-c:v", "png")
    seen, done = recorded(damaged(whole, tmp_path / "bad.mov", 0.4, 0.5))
    assert 15 <= done.skipped <= 25
    assert done.frames == len(seen.times) == 200 - done.skipped
    assert done.duration == pytest.approx(8.0)
    assert max(seen.durations) == pytest.approx((done.skipped + 1) / 25)


def test_a_long_run_of_damage_is_an_error(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mov", *lavfi(NOISY), "-c:v", "png")
    bad = damaged(whole, tmp_path / "bad.mov", 0.2, 0.8)
    with pytest.raises(MediaError, match=r"bad\.mov: 100 frames in a row .* from 1\.\d+ s on"):
        recorded(bad)


@pytest.mark.parametrize("share", [0.001, 0.05])
@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts", "x.avi", "x.mpg", "x.flv"])
def test_bit_rot_is_survived_or_refused(tmp_path: Path, name: str, share: float) -> None:
    coders = {"x.avi": "mpeg4", "x.mpg": "mpeg2video", "x.flv": "flv1"}
    coder = ("-c:v", coders[name]) if name in coders else (*H264, "-movflags", "+faststart")
    whole = make(tmp_path / f"whole_{name}", *lavfi(NOISY, "sine=d=8"), *coder)
    rotten = damaged(whole, tmp_path / name, 0.2, 0.8, share)
    try:
        seen, done = recorded(rotten)
    except (MediaError, InputError):  # the latter for time stamps of days
        return
    assert done.duration < 9
    assert all(a < b for a, b in itertools.pairwise(seen.times))
