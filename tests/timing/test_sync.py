from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.material import FOLDER
from tests.media import events
from v2a_foley.frames import Frames
from v2a_foley.media.decode import decode
from v2a_foley.media.motion import MotionCurve
from v2a_foley.media.probe import probe
from v2a_foley.timing import onsets, sync

RATE = 16_000
EVENTS = np.array([0.9, 1.73, 2.31, 3.4, 4.02, 5.5])


def frames_with(times: np.ndarray, motion: np.ndarray) -> Frames:
    return Frames(np.zeros(1), np.zeros((1, 1)), times.astype("f"), motion.astype("f"), "")


def frames_of(clip: Path) -> Frames:
    curve = MotionCurve()
    decode(probe(clip), [curve])
    return frames_with(curve.times, curve.values)


def sound(name: str, seconds: float = 8.0) -> np.ndarray:
    """A real recording at 16 kHz, repeated with short pauses."""
    wave, rate = soundfile.read(FOLDER / "sounds" / f"{name}.ogg", dtype="float32")
    wave = np.pad(soxr.resample(wave, rate, RATE), (round(0.1 * RATE), round(0.37 * RATE)))
    return np.resize(wave, round(seconds * RATE)).astype(np.float32)


def clicks(wave: np.ndarray) -> float:
    """The largest step between two samples."""
    return float(np.abs(np.diff(wave)).max())


@pytest.mark.parametrize("kind", events.KINDS)
@pytest.mark.parametrize("rate", ["25", "30000/1001"])
def test_picture_events_of_clips_with_grain(tmp_path: Path, kind: str, rate: str) -> None:
    clip = events.clip(tmp_path / "x.mp4", kind, EVENTS, 6.5, rate=rate)
    found = sync.picture_events(frames_of(clip), 0.0, 6.5)
    apart = np.abs(found[:, None] - EVENTS)
    assert apart.min(0).mean() < 0.06
    assert apart.min(0).max() < 0.17
    assert len(found) <= len(EVENTS) + (kind == "bounces")  # the ball is thrown at first


def test_picture_events_of_repeated_frames(tmp_path: Path) -> None:
    after = f"fps=12,{events.GRAIN},fps=24"
    clip = events.clip(tmp_path / "x.mp4", "jolts", EVENTS, 6.5, rate="24", after=after)
    found = sync.picture_events(frames_of(clip), 0.0, 6.5)
    np.testing.assert_allclose(found, EVENTS, atol=0.1)


def test_still_and_drifting_pictures_have_no_events(tmp_path: Path) -> None:
    for after in (events.GRAIN, f"fade=d=6,{events.GRAIN}"):
        clip = events.clip(tmp_path / "x.mp4", "flashes", [99.0], 6.0, after=after)
        assert len(sync.picture_events(frames_of(clip), 0.0, 6.0)) == 0


def test_cuts_are_no_events_and_times_are_the_scenes() -> None:
    times = np.arange(1, 250) / 25
    motion = np.full(len(times), 0.1)
    motion[[49, 174]] = 8.0  # cuts at 2 s and 7 s
    motion[99] = 3.0  # a flash at 4 s
    frames = frames_with(times, motion)
    np.testing.assert_allclose(sync.picture_events(frames, 2.0, 7.0), [2.0], atol=0.03)
    assert len(sync.picture_events(frames, 7.0, 9.9)) == 0
    assert len(sync.picture_events(frames, 20.0, 21.0)) == 0


@pytest.mark.parametrize("name", ["footsteps_1", "door_1", "glass_1", "typing_1", "explosion_1"])
def test_sounds_lie_on_events(name: str) -> None:
    wave = sound(name)
    free = sync.offset(wave[: 6 * RATE], RATE, EVENTS)
    placed = sync.place(wave, RATE, 6.0, EVENTS)
    assert free is not None
    assert placed.offset is not None
    assert free > 0.2 > 0.04 > placed.offset
    assert placed.offset == sync.offset(placed.wave, RATE, EVENTS)
    assert placed.wave.shape == (6 * RATE,)
    assert placed.wave.dtype == np.float32
    assert clicks(placed.wave) <= 1.5 * clicks(wave)
    np.testing.assert_array_equal(placed.wave, sync.place(wave, RATE, 6.0, EVENTS).wave)


def test_a_shift_of_the_whole_is_enough() -> None:
    hits = np.zeros(8 * RATE, np.float32)
    hits[np.round((EVENTS + 0.7) * RATE).astype(int)] = 1.0
    ringing = np.random.default_rng(0).normal(0, 0.3, RATE // 4) * np.geomspace(1, 1e-4, RATE // 4)
    wave = np.convolve(hits, ringing)[: len(hits)].astype(np.float32)
    placed = sync.place(wave, RATE, 6.0, EVENTS)
    assert placed.offset is not None
    assert placed.offset < 0.02
    begin = np.flatnonzero(wave)[0] - np.flatnonzero(placed.wave)[0]
    np.testing.assert_array_equal(placed.wave, wave[begin : begin + 6 * RATE])
    assert begin == pytest.approx(0.7 * RATE, abs=0.02 * RATE)


def test_one_sound_for_many_events_is_never_quite_the_same() -> None:
    wave = np.zeros(6 * RATE, np.float32)
    once = sound("glass_1", 0.9)
    wave[RATE : RATE + len(once)] = once
    placed = sync.place(wave, RATE, 6.0, EVENTS)
    assert placed.offset is not None
    assert placed.offset < 0.03
    starts = np.round((EVENTS - 0.01) * RATE).astype(int)
    heard = [placed.wave[at : at + RATE // 5] for at in starts]
    for number, first in enumerate(heard):
        for second in heard[:number]:
            assert np.corrcoef(first, second)[0, 1] < 0.95


def test_background_goes_on_between_events() -> None:
    wave = sound("footsteps_1") + np.random.default_rng(0).normal(0, 1e-3, 8 * RATE).astype("f")
    placed = sync.place(wave, RATE, 6.0, np.array([2.0, 5.0]))
    assert placed.offset is not None
    assert placed.offset < 0.03
    quiet = placed.wave[round(3.2 * RATE) : round(4.8 * RATE)].reshape(-1, RATE // 10)
    np.testing.assert_allclose(np.sqrt(np.square(quiet).mean(1)), 1e-3, rtol=0.6)
    assert np.square(placed.wave[: RATE // 10]).mean() ** 0.5 > 5e-4


def test_what_goes_on_is_left_as_it_is() -> None:
    rain = np.random.default_rng(0).normal(0, 0.1, 8 * RATE).astype(np.float32)
    for wave, when in ((rain, EVENTS), (sound("footsteps_1"), EVENTS[:0]), (rain * 0, EVENTS)):
        placed = sync.place(wave, RATE, 6.0, when)
        assert placed.offset is None
        windows = np.lib.stride_tricks.sliding_window_view(wave, 6 * RATE)
        assert any((window == placed.wave).all() for window in windows[:: RATE // 50])


def test_a_wave_that_is_too_short_is_filled() -> None:
    placed = sync.place(sound("glass_1", 1.0), RATE, 6.00001, EVENTS)
    assert len(placed.wave) == 6 * RATE + 1
    assert placed.offset is not None
    assert placed.offset < 0.03
    assert len(sync.place(np.zeros(0, np.float32), RATE, 1.0, EVENTS).wave) == RATE


def moving() -> Frames:
    """Nothing moves for 3 s, then something does, and a cut comes at 8 s."""
    times = np.arange(1, 250) / 25
    motion = np.where(times > 3, 0.5, 0.0)
    motion[199] = 9.0
    return frames_with(times, motion)


def test_level_follows_motion() -> None:
    wave = np.ones(6 * RATE, np.float32)
    made = sync.follow(wave, RATE, moving(), 2.0, 1.0, (2.0, 8.0))
    level = 20 * np.log10(made)
    assert level[: RATE // 2].max() < -17.9
    assert level[2 * RATE :].min() > -0.1
    assert level.min() > -18.01
    assert np.abs(np.diff(made)).max() < 1e-3  # no clicks
    half = sync.follow(wave, RATE, moving(), 2.0, 0.5, (2.0, 8.0))
    np.testing.assert_allclose(20 * np.log10(half), level / 2, atol=1e-3)


def test_level_is_left_where_nothing_is_asked_or_nothing_moves() -> None:
    wave = sound("fire_1", 2.0)
    assert sync.follow(wave, RATE, moving(), 2.0, 0.0) is wave
    still = frames_with(np.arange(1, 50) / 25, np.zeros(49))
    np.testing.assert_array_equal(sync.follow(wave, RATE, still, 0.0, 1.0), wave)
    none = frames_with(np.zeros(0), np.zeros(0))
    np.testing.assert_array_equal(sync.follow(wave, RATE, none, 0.0, 1.0), wave)


def test_onsets_of_what_is_placed_are_those_of_the_sound() -> None:
    placed = sync.place(sound("footsteps_1"), RATE, 6.0, EVENTS)
    np.testing.assert_allclose(onsets.of_sound(placed.wave, RATE), EVENTS, atol=0.04)
