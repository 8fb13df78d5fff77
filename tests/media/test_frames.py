from __future__ import annotations

import itertools
import math
import weakref
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media.clips import frame_of, shots
from v2a_foley.errors import InputError
from v2a_foley.media.decode import decode
from v2a_foley.media.frames import FrameSampler
from v2a_foley.media.picture import Frame, Image
from v2a_foley.media.probe import probe
from v2a_foley.media.scenes import SceneDetector

LIVELY = np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8)
BLACK = np.zeros_like(LIVELY)


@dataclass
class Known:
    """Cuts known beforehand, told ``lag`` seconds late as a detector would."""

    all: list[float]
    lag: float = 0.1
    settled: float = 0.0
    cuts: list[float] = field(default_factory=list)

    def move_to(self, time: float) -> None:
        self.settled = time - self.lag
        self.cuts = [cut for cut in self.all if cut <= self.settled]


@dataclass
class Sent:
    """A sink that keeps the sizes of its batches and the times of their images."""

    sizes: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def __call__(self, images: list[Image], times: list[float]) -> None:
        assert len(images) == len(times)
        self.sizes.append(len(images))
        self.times += times


def sampled(shown: list[Frame], cuts: list[float], **options: float) -> list[list[float]]:
    """The times picked in each scene."""
    known, sent = Known(cuts), Sent()
    sampler = FrameSampler(known, sent, **options)
    for frame in shown:
        known.move_to(frame.time)
        sampler.add(frame)
    end = shown[-1].time + shown[-1].duration
    known.cuts = cuts
    sampler.finish(end)
    assert sampler.times == sorted(sent.times)
    bounds = [0.0, *cuts, end]
    return [
        [time for time in sampler.times if a <= time < b] for a, b in itertools.pairwise(bounds)
    ]


def running(seconds: float, rate: float = 25.0, image: Image = LIVELY) -> list[Frame]:
    return [frame_of(image, n / rate, 1 / rate) for n in range(round(seconds * rate))]


@pytest.mark.parametrize("rate", [10.0, 25.0, 60.0])
def test_two_frames_a_second_from_the_middle_of_each_half(rate: float) -> None:
    (times,) = sampled(running(6.0, rate), [])
    np.testing.assert_allclose(times, np.arange(12) / 2 + 0.25, atol=0.13)


def test_long_scenes_stay_bounded_but_never_go_blind() -> None:
    (times,) = sampled(running(120.0, 10.0), [])
    assert sum(time < 12 for time in times) == 24
    assert len(times) == 24 + 54
    assert max(np.diff(times)) <= 2.0 + 0.11


def test_rate_and_caps_can_be_set() -> None:
    (times,) = sampled(running(20.0), [], rate=4.0, max_frames=8)
    assert len(times) == 8 + 9
    (times,) = sampled(running(20.0), [], rate=0.25, min_frames=2)
    np.testing.assert_allclose(times, [2, 6, 10, 14, 18], atol=0.7)


def test_short_scenes_give_three_frames_spread_out() -> None:
    first, second, third = sampled(running(4.0), [2.0, 2.6])
    assert (len(first), len(second), len(third)) == (4, 3, 3)
    np.testing.assert_allclose(second, [2.12, 2.3, 2.48], atol=0.05)


def test_frames_near_cuts_are_avoided() -> None:
    for a, b, scene in zip(
        [0, 1.8, 3.0], [1.8, 3.0, 5.0], sampled(running(5.0), [1.8, 3.0]), strict=True
    ):
        assert len(scene) >= 3
        assert all(time + 0.04 - a >= 0.1 and b - time >= 0.1 for time in scene)


def test_tiny_scenes_give_all_they_have() -> None:
    assert [len(scene) for scene in sampled(running(2.0), [1.0, 1.04, 1.12])] == [3, 1, 2, 3]


def test_fades_and_black_are_avoided() -> None:
    dark = [frame_of(BLACK, frame.time, frame.duration) for frame in running(6.0)]
    shown = dark[:30] + running(6.0)[30:120] + dark[120:]
    (times,) = sampled(shown, [])
    assert len(times) >= 6
    assert all(1.2 <= time < 4.8 for time in times)


def test_black_scenes_have_frames_too() -> None:
    dark = running(10.0, image=BLACK)
    first, second = sampled(dark, [8.0])
    assert len(first) >= 4
    assert len(second) == 3


def test_still_pictures_of_uneven_length_come_once() -> None:
    at = [0.0, 5.0, 5.1, 9.0, 30.0, 30.2]
    shown = [
        frame_of(LIVELY, time, end - time) for time, end in zip(at, [*at[1:], 31.0], strict=True)
    ]
    (times,) = sampled(shown, [])
    assert set(times) >= {0.0, 5.1, 9.0}
    assert len(times) == len(set(times))


def test_batches_are_full_but_for_the_last() -> None:
    known, sent = Known([]), Sent()
    sampler = FrameSampler(known, sent, batch=5)
    for frame in running(6.0):
        known.move_to(frame.time)
        sampler.add(frame)
    assert sent.sizes == [5, 5]
    sampler.finish(6.0)
    assert sent.sizes == [5, 5, 2]


class Picture:
    """Stands for a decoded picture, which is large."""


class Watched(np.ndarray):
    """An image that can be counted."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@pytest.mark.parametrize("lag", [0.04, 0.1, 0.6])
def test_few_images_and_fewer_pictures_are_held(lag: float) -> None:
    images: weakref.WeakSet[Watched] = weakref.WeakSet()
    pictures: weakref.WeakSet[Picture] = weakref.WeakSet()

    def render(picture: Picture) -> Image:
        image = LIVELY.copy().view(Watched)
        images.add(image)
        return image

    known = Known([4.0 * n for n in range(1, 10)], lag)
    sampler = FrameSampler(known, lambda images, times: None)
    most_images = most_pictures = 0
    for number in range(40 * 60):
        known.move_to(number / 60)
        picture = Picture()
        pictures.add(picture)
        sampler.add(Frame(number / 60, 1 / 60, LIVELY, partial(render, picture)))
        most_images = max(most_images, len(images))
        most_pictures = max(most_pictures, len(pictures))
    assert most_images <= 60 * lag + 12 + 16 + 5  # unsettled, an opening, a batch, spares
    assert most_pictures <= 6


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=6),
    rate=st.sampled_from([8.0, 24.0, 60.0]),
    lag=st.sampled_from([0.0, 0.1, 0.6]),
    dark=st.sets(st.integers(0, 200)),
)
def test_every_scene_has_its_frames(
    lengths: list[int], rate: float, lag: float, dark: set[int]
) -> None:
    shown = [
        frame_of(BLACK if number in dark else LIVELY, number / rate, 1 / rate)
        for number in range(sum(lengths))
    ]
    cuts = [float(end) / rate for end in np.cumsum(lengths)[:-1]]
    for length, times in zip(lengths, sampled(shown, cuts), strict=True):
        most = max(3, math.ceil(2 * length / rate))
        assert min(3, length) <= len(times) <= most
        assert len(set(times)) == len(times)


def test_in_one_pass_with_the_detector(tmp_path: Path) -> None:
    path = shots(tmp_path / "film.mp4", [1.2, 2.0, 0.8])
    detector, colours = SceneDetector(), {}
    sampler = FrameSampler(
        detector,
        lambda images, times: colours.update(zip(times, images, strict=True)),
    )
    decode(probe(path), [detector, sampler])
    assert len(detector.scenes) == 3
    counts = [sum(a <= time < b for time in sampler.times) for a, b in detector.scenes]
    assert counts == [3, 4, 3]
    assert all(image.shape == (120, 160, 3) for image in colours.values())


@pytest.mark.parametrize(
    "options", [{"rate": 0.0}, {"rate": math.inf}, {"min_frames": 0}, {"min_frames": 30}]
)
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        FrameSampler(Known([]), Sent(), **options)
