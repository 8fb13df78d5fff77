from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.media.clips import frame_of, truncated
from tests.media.made import H264, click, lavfi, make, picture
from tests.pairs.made import clip
from v2a_foley.errors import FoleyError, InputError, MediaError
from v2a_foley.media.audio import RATE, Sound
from v2a_foley.media.sounds import read_sound
from v2a_foley.pairs.reading import (
    Enough,
    SoundReader,
    Window,
    WindowSampler,
    read,
    read_picture,
    spread,
)
from v2a_foley.pairs.sources import Source, Stretch


def windows_of(
    *files: Path, stretches: tuple[Stretch, ...] = (Stretch(),), fps: float = 2.0, window: float = 1
) -> list[Window]:
    found: list[Window] = []
    source = Source("it", files, stretches)
    read(source, fps=fps, window=window, emit=found.append, alive=lambda: None)
    return found


def times(windows: list[Window]) -> list[tuple[float, float]]:
    return [(round(each.start, 3), round(each.end, 3)) for each in windows]


@pytest.fixture(scope="module")
def flash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of black with one white frame at 1 s, and a click with it."""
    folder = tmp_path_factory.mktemp("flash")
    heard = click(folder / "click.wav", seconds=3.0)
    inputs = (*lavfi(picture(3.0)), "-i", str(heard))
    return make(folder / "flash.mkv", *inputs, "-c:a", "flac", *H264)


def test_windows_follow_one_another_and_a_short_rest_is_left_out():
    assert times(spread(Stretch(), 10.0, 4.0)) == [(0, 4), (4, 8), (8, 10)]
    assert times(spread(Stretch(), 9.9, 4.0)) == [(0, 4), (4, 8)]
    assert times(spread(Stretch(), 1.0, 4.0)) == [(0, 1)]
    assert times(spread(Stretch(2.0, 6.5), 10.0, 4.0)) == [(2, 6)]
    assert times(spread(Stretch(2.0, 60.0), 10.0, 4.0)) == [(2, 6), (6, 10)]
    for stretch in (Stretch(10.0), Stretch(2.0, 2.05)):
        with pytest.raises(InputError, match=r"outside its 10\.00 s, or too short"):
            spread(stretch, 10.0, 4.0)


def test_frames_and_sound_of_a_window_belong_together(flash: Path):
    windows = windows_of(flash, fps=25)
    assert times(windows) == [(0, 1), (1, 2), (2, 3)]
    assert [len(each.images) for each in windows] == [25, 25, 25]
    assert [len(each.sound) for each in windows] == [RATE, RATE, RATE]
    white = [[image.mean() > 128 for image in each.images] for each in windows]
    assert [sum(each) for each in white] == [0, 1, 0]
    assert white[1][0]
    assert [np.abs(each.sound).max() > 0.2 for each in windows] == [False, True, False]
    assert np.flatnonzero(np.abs(windows[1].sound) > 0.1)[0] < 0.02 * RATE


def test_few_frames_are_spread_and_none_comes_twice(flash: Path):
    assert [len(each.images) for each in windows_of(flash, fps=0.1)] == [1, 1, 1]
    assert [len(each.images) for each in windows_of(flash, fps=100)] == [25, 25, 25]


def test_stretches_of_one_file_may_overlap(flash: Path):
    stretches = (Stretch(0.5, 2.5), Stretch(0.9, 1.4), Stretch(1.0))
    windows = windows_of(flash, stretches=stretches, fps=10, window=2.0)
    assert times(windows) == [(0.9, 1.4), (0.5, 2.5), (1.0, 3.0)]
    starts = [np.flatnonzero(np.abs(each.sound) > 0.1)[0] / RATE for each in windows]
    np.testing.assert_allclose(starts, [0.1, 0.5, 0.0], atol=0.02)
    assert [len(each.images) for each in windows] == [5, 20, 20]


def test_what_lies_after_the_last_stretch_is_not_decoded():
    seen: list[Window] = []
    window = Window(Stretch(), 0.0, 0.2)
    sampler = WindowSampler(
        [window], 10, lambda *_: np.zeros(0, np.float32), seen.append, lambda: None
    )
    image = np.zeros((4, 4, 3), np.uint8)
    sampler.add(frame_of(image, 0.0, 0.1))
    with pytest.raises(Enough):
        sampler.add(frame_of(image, 0.1, 0.1))
    assert len(seen) == 1


def test_a_reader_of_sound_lets_go_of_what_is_past():
    blocks = [np.full(RATE, number, np.float32) for number in range(100)]
    taken: list[int] = []

    def stream():
        for number, block in enumerate(blocks):
            taken.append(number)
            yield block

    reader = SoundReader(stream())
    assert reader(0.5, 1.5, 0.0).mean() == 0.5
    assert len(taken) == 2
    assert reader(50.0, 51.0, 50.0).mean() == 50
    assert len(reader._held) <= 50 * RATE
    assert reader(51.0, 52.0, 51.0).mean() == 51
    assert len(reader._held) <= 2 * RATE
    assert len(reader(99.5, 101.0, 99.5)) == RATE // 2


def failure(*files: Path, stretch: Stretch = Stretch()) -> str:  # noqa: B008
    with pytest.raises(FoleyError) as failed:
        windows_of(*files, stretches=(stretch,))
    return str(failed.value)


def test_videos_that_cannot_be_used(flash: Path, tmp_path: Path):
    mute = clip(tmp_path / "mute.mp4", "dog_1", None)
    assert "has no sound" in failure(mute)
    assert "no such file" in failure(tmp_path / "nothing.mp4")
    assert "mend the table" in failure(flash, stretch=Stretch(7.0))
    short = truncated(clip(tmp_path / "a.mp4", "dog_1", "cat_1"), tmp_path / "short.mp4", 0.5)
    assert "truncated" in failure(short)


def test_a_picture_and_a_sound(tmp_path: Path):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * 44_100, 2)).astype(np.float32)
    sound = tmp_path / "noise.flac"
    soundfile.write(sound, wave, 44_100)
    image = tmp_path / "red.png"
    Image.new("RGB", (700, 350), "red").save(image)
    windows = windows_of(image, sound, window=2.0)
    assert times(windows) == [(0, 2), (2, 3)]
    assert windows[0].images[0].shape == (288, 576, 3)
    assert [len(each.sound) for each in windows] == [2 * RATE, RATE]
    assert "outside its 3.00 s" in failure(image, sound, stretch=Stretch(7.0))


def test_pictures_are_upright_and_on_white(tmp_path: Path):
    path = tmp_path / "turned.jpg"
    made = Image.new("RGB", (60, 40), "black")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    made.save(path, exif=exif)
    assert read_picture(path).shape == (60, 40, 3)
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(clear)
    assert read_picture(clear).min() == 255


@pytest.mark.parametrize("kind", ["missing", "noise", "truncated", "script"])
def test_pictures_that_cannot_be_read(tmp_path: Path, kind: str):
    path = tmp_path / "it.jpg"
    if kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(500))
    elif kind == "truncated":
        Image.effect_noise((64, 64), 50).save(path)
        truncated(path, path, 0.5)
    elif kind == "script":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(InputError, match=r"it\.jpg: cannot be read as a picture"):
        read_picture(path)


def level(sound: Sound) -> float:
    return float(np.sqrt(np.square(sound).mean()))


def test_sounds_of_many_kinds(tmp_path: Path):
    for suffix in ("wav", "mp3", "ogg", "m4a", "opus"):
        path = make(tmp_path / f"tone.{suffix}", *lavfi("sine=440:d=1:r=48000"))
        sound = read_sound(path)
        assert abs(len(sound) / RATE - 1) < 0.06, suffix
        assert 0.06 < level(sound[4800:-4800]) < 0.12, suffix


def test_sounds_that_cannot_be_read(tmp_path: Path, three_shots: Path):
    with pytest.raises(InputError, match="holds no sound"):
        read_sound(three_shots)
    noise = tmp_path / "noise.wav"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(FoleyError, match=r"noise\.wav"):
        read_sound(noise)
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0, np.float32), 48_000)
    with pytest.raises((InputError, MediaError), match=r"empty\.wav"):
        read_sound(empty)


def test_reading_ends_when_it_is_not_wanted_any_more(flash: Path):
    def dead() -> None:
        raise Enough

    before = threading.active_count()
    read(Source("it", (flash,), (Stretch(),)), fps=2, window=1, emit=list, alive=dead)
    assert threading.active_count() == before
