from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.media.made import H264, lavfi, make
from v2a_foley.media.probe import probe
from v2a_foley.review.pictures import SIDE, small_copy, strips

# A picture whose grey level is its frame number, 4 a frame.
RAMP = "color=black:s={size}:r=25:d=2,format=gray,geq=lum='4*N'"


def copied(
    path: Path, graph: str, mark: str, codec: tuple[str, ...] = (*H264, "-crf", "1")
) -> bytes:
    return small_copy(probe(make(path, *lavfi(graph), *codec)), mark)


def test_the_copy_has_the_pictures_times_and_a_small_even_size(tmp_path: Path):
    data = copied(tmp_path / "clip.mp4", RAMP.format(size="500x402"), "even")
    with av.open(io.BytesIO(data)) as media:
        stream = media.streams.video[0]
        assert (stream.codec_context.name, stream.height) == ("h264", SIDE)
        assert (stream.width % 2, len(media.streams)) == (0, 1)
        shown = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in media.decode()]
    times, levels = np.array(shown).T
    np.testing.assert_allclose(times, np.arange(50) / 25, atol=0.002)
    np.testing.assert_allclose(levels, 4 * np.arange(50), atol=6)


def test_the_video_is_decoded_once_for_each_content(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    first = copied(path, RAMP.format(size="64x48"), "kept")
    info = probe(path)
    path.unlink()
    assert small_copy(info, "kept") == first


@pytest.mark.parametrize(
    ("size", "count"), [("320x180", 8), ("180x320", 16), ("64x64", 14), ("1280x16", 4), ("3x5", 16)]
)
def test_strips_show_each_span_evenly_whatever_the_shape(tmp_path: Path, size: str, count: int):
    graph = RAMP.format(size=size) + ",format=yuv444p"
    data = copied(tmp_path / "clip.mkv", graph, size, ("-c:v", "ffv1"))
    whole, half = strips(data, [(0.0, 2.0), (1.0, 2.0)])
    picture = np.asarray(Image.open(io.BytesIO(whole.jpeg)).convert("L"), float)
    assert picture.shape == (whole.height, whole.width) == (90, picture.shape[1])
    cells = picture.reshape(90, count, -1).mean((0, 2))
    np.testing.assert_allclose(cells, 4 * 50 * (np.arange(count) + 0.5) / count, atol=12)
    later = np.asarray(Image.open(io.BytesIO(half.jpeg)).convert("L"), float)
    assert later[:, :4].mean() == pytest.approx(100, abs=16)
