from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.media.clips import frame_of, shots
from tests.media.made import H264, lavfi, make
from v2a_foley.media.decode import decode
from v2a_foley.media.motion import MotionCurve, without_cuts
from v2a_foley.media.probe import probe


def grey(level: int) -> np.ndarray:
    return np.full((72, 96, 3), level, np.uint8)


def curve_of(levels: list[int], rate: float) -> MotionCurve:
    curve = MotionCurve()
    for number, level in enumerate(levels):
        curve.add(frame_of(grey(level), number / rate, 1 / rate))
    curve.finish(len(levels) / rate)
    return curve


def test_value_is_change_over_time_at_the_later_frame() -> None:
    curve = curve_of([0, 0, 51, 51], rate=10.0)
    np.testing.assert_allclose(curve.times, [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(curve.values, [0, 51 / 255 / 0.1, 0], rtol=1e-5)
    assert curve.times.dtype == curve.values.dtype == np.float32


@pytest.mark.parametrize("rate", [12.0, 25.0, 29.97, 50.0, 60.0, 120.0])
def test_same_motion_has_the_same_value_at_any_rate(rate: float) -> None:
    ramp = np.round(np.arange(2 * rate) * 100 / rate).astype(int).tolist()
    curve = curve_of(ramp, rate)
    assert len(curve.values) <= 60
    np.testing.assert_allclose(np.diff(curve.times), np.diff(curve.times)[0], rtol=1e-3)
    assert len(curve.values) >= min(rate, 25) * 2 - 2
    assert curve.values.mean() == pytest.approx(100 / 255, rel=0.03)


def test_uneven_times_are_accounted_for() -> None:
    curve = MotionCurve()
    for time in (0.0, 0.1, 0.5, 0.6):
        curve.add(frame_of(grey(round(100 * time)), time, 0.1))
    np.testing.assert_allclose(curve.values, 100 / 255, rtol=1e-4)


def test_single_frame_has_no_motion() -> None:
    curve = curve_of([9], rate=25.0)
    assert curve.times.shape == curve.values.shape == (0,)
    assert without_cuts(curve.times, curve.values, []).shape == (0,)


def test_motion_of_a_clip(tmp_path: Path) -> None:
    still = "color=gray:s=160x120:r=25:d=1"
    slide = "testsrc2=s=160x120:r=25:d=1"
    graph = "[0:v][1:v][2:v]concat=n=3"
    path = make(tmp_path / "x.mp4", *lavfi(still, slide, still), "-filter_complex", graph, *H264)
    curve = MotionCurve()
    decode(probe(path), [curve])
    smooth = without_cuts(curve.times, curve.values, [1.0, 2.0])
    within = (curve.times > 1.1) & (curve.times < 1.9)
    still_part = (curve.times < 0.9) | (curve.times > 2.1)
    assert smooth[within].min() > 10 * smooth[still_part].max()
    assert smooth.max() < curve.values.max() / 3


def test_cuts_are_no_motion(tmp_path: Path) -> None:
    path = shots(tmp_path / "film.mp4", [1.0, 1.0, 1.0], rate="60")
    curve = MotionCurve()
    decode(probe(path), [curve])
    smooth = without_cuts(curve.times, curve.values, [1.0, 2.0])
    changed = curve.times[smooth != curve.values]
    np.testing.assert_allclose(changed, [1.0, 2.0], atol=0.04)
    assert curve.values.max() > 4
    assert smooth.max() < curve.values.max() / 3


def test_cuts_at_the_ends_and_everywhere() -> None:
    times = np.array([0.1, 0.2, 0.3], np.float32)
    values = np.array([9.0, 1.0, 9.0], np.float32)
    np.testing.assert_allclose(without_cuts(times, values, [0.1, 0.3]), 1.0)
    np.testing.assert_allclose(without_cuts(times, values, [0.1, 0.2, 0.3]), 0.0)
    np.testing.assert_allclose(without_cuts(times, values, [5.0]), values)
