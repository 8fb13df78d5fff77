from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.media.clips import frame_of, shots
from tests.media.made import H264, lavfi, make
from v2a_foley.errors import InputError
from v2a_foley.media.decode import decode
from v2a_foley.media.picture import Frame, Image
from v2a_foley.media.probe import probe
from v2a_foley.media.scenes import METHODS, SceneDetector


def detected(path: Path, *options: object, **named: float) -> SceneDetector:
    detector = SceneDetector(*options, **named)
    decode(probe(path), [detector])
    return detector


def look(seed: int) -> Image:
    """One of many quite different pictures."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.kron(blocks, np.ones((12, 12, 1), np.uint8))


def frames(pictures: Iterable[Image], rate: float = 25.0) -> list[Frame]:
    return [frame_of(image, number / rate, 1 / rate) for number, image in enumerate(pictures)]


def cuts_of(shown: list[Frame], *options: object, **named: float) -> list[float]:
    detector = SceneDetector(*options, **named)
    for frame in shown:
        detector.add(frame)
    detector.finish(shown[-1].time + shown[-1].duration)
    return detector.cuts


@pytest.mark.parametrize("rate", ["10", "24000/1001", "25", "60"])
@pytest.mark.parametrize("method", ["adaptive", "content"])
def test_hard_cuts_are_found_to_the_frame(tmp_path: Path, rate: str, method: str) -> None:
    lengths = np.array([1.0, 1.2, 0.8, 1.0])
    detector = detected(shots(tmp_path / "film.mp4", lengths, rate=rate), method)
    fps = float(Fraction(rate))
    ends = np.cumsum(np.ceil(lengths * fps - 1e-6)) / fps
    np.testing.assert_allclose(detector.cuts, ends[:-1], atol=1e-4)
    bounds = [bound for scene in detector.scenes for bound in scene]
    assert bounds[1:-1:2] == bounds[2::2] == detector.cuts
    assert (bounds[0], bounds[-1]) == (0.0, pytest.approx(ends[-1]))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cuts_of_variable_frame_rate_are_at_their_time(tmp_path: Path, suffix: str) -> None:
    thin = "select='not(mod(n,3))+between(t,2,3)'"
    path = shots(tmp_path / f"film{suffix}", [1.2, 1.2, 1.8], after=thin)
    assert probe(path).vfr
    np.testing.assert_allclose(detected(path).cuts, [1.2, 2.4], atol=0.05)


def test_one_shot_is_one_scene(tmp_path: Path) -> None:
    path = make(tmp_path / "one.mp4", *lavfi("testsrc2=s=160x120:r=25:d=3"), *H264)
    assert detected(path).scenes == [(0.0, pytest.approx(3.0))]


def test_last_scene_may_be_short() -> None:
    shown = frames([look(0)] * 50 + [look(1)] * 5)
    assert cuts_of(shown) == [2.0]


def test_shortest_scene() -> None:
    shown = frames([look(0)] * 10 + [look(1)] * 15 + [look(2)] * 10 + [look(3)] * 30)
    assert cuts_of(shown) == [1.0]
    assert cuts_of(shown, min_scene=0.4) == [0.4, 1.0, 1.4]
    assert cuts_of(shown, min_scene=0.0) == [0.4, 1.0, 1.4]


@pytest.mark.parametrize("length", [1, 2])
def test_flash_is_no_cut(length: int) -> None:
    white = np.full_like(look(0), 255)
    shown = frames([look(0)] * 40 + [white] * length + [look(0)] * 40)
    assert cuts_of(shown) == []


def test_flicker_is_no_cut_but_what_follows_is() -> None:
    snow = [look(7) if number % 2 else look(8) for number in range(20)]
    shown = frames([look(0)] * 40 + [look(7), look(0), look(7), look(0)] + [look(0)] * 30)
    assert cuts_of(shown) == []
    assert len(cuts_of(frames(snow + [look(1)] * 40))) <= 1


def test_cut_between_colours_of_one_brightness() -> None:
    rng = np.random.default_rng(0)
    grain = rng.integers(-4, 5, (60, 72, 96, 1))
    red, green = np.array([200, 40, 60]), np.array([60, 111, 60])
    shown = [
        np.clip(colour + grain[n], 0, 255).astype(np.uint8)
        for n in range(60)
        for colour in [red if n < 30 else green]
    ]
    assert cuts_of(frames(shown)) == [1.2]


def moving(step: int, count: int, seed: int = 3) -> list[Image]:
    """A picture that slides by ``step`` px a frame."""
    wide = np.kron(
        np.random.default_rng(seed).integers(0, 256, (3, 40, 3), np.uint8),
        np.ones((24, 24, 1), np.uint8),
    )
    return [wide[:, step * n : step * n + 128].copy() for n in range(count)]


@pytest.mark.parametrize("repeat", [2, 3, 5])
def test_repeated_frames_make_no_cuts(repeat: int) -> None:
    drawings = moving(6, 40) + moving(6, 40, seed=4)
    shown = frames([image for image in drawings for _ in range(repeat)], rate=10.0 * repeat)
    assert cuts_of(shown) == [4.0]


def test_pulldown_makes_no_cuts() -> None:
    drawings = moving(6, 60)
    shown = frames([image for n, image in enumerate(drawings) for _ in range(3 - n % 2)], rate=60.0)
    assert cuts_of(shown) == []


def test_fades_through_black() -> None:
    ramp = np.linspace(1, 0, 15)
    out = [(look(0) * level).astype(np.uint8) for level in ramp]
    back = [(look(1) * level).astype(np.uint8) for level in ramp[::-1]]
    shown = frames([look(0)] * 30 + out + [out[-1]] * 20 + back + [look(1)] * 30)
    (cut,) = cuts_of(shown, "threshold")
    assert 65 / 25 <= cut <= 70 / 25


@pytest.mark.parametrize("method", METHODS)
def test_cuts_are_all_known_once_settled(method: str) -> None:
    rng = np.random.default_rng(1)
    pictures: list[Image] = []
    for seed in range(12):
        pictures += [look(seed)] * int(rng.integers(4, 40)) + [np.zeros_like(look(0))] * (seed % 3)
    shown = frames(pictures)
    detector = SceneDetector(method)
    known: list[tuple[float, tuple[float, ...]]] = []
    for frame in shown:
        detector.add(frame)
        assert frame.time - detector.settled <= 0.6 + 1e-6
        known.append((detector.settled, tuple(detector.cuts)))
    detector.finish(shown[-1].time + 0.04)
    assert detector.cuts
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(known))
    for settled, cuts in known:
        assert [cut for cut in cuts if cut <= settled] == [
            cut for cut in detector.cuts if cut <= settled
        ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "scene detector 'magic'"),
        ({"threshold": 0.0}, "scene threshold"),
        ({"threshold": float("nan")}, "scene threshold"),
        ({"min_scene": -1.0}, "shortest scene"),
    ],
)
def test_nonsense_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SceneDetector(**options)
