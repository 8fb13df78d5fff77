from __future__ import annotations

import io
import re

import av
import numpy as np
import pytest
from PIL import Image

from v2a_foley.media.audio import RATE
from v2a_foley.review.sounds import COLUMNS, HEIGHT, ROWS, curve, mp3, spectrogram, waveform


def tone(hertz: float, seconds: float = 2.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(seconds * RATE) / RATE)).astype("f4")


@pytest.mark.parametrize(("channels", "kilobits"), [(1, 64), (2, 96)])
def test_an_mp3_is_as_long_as_its_sound_and_as_large_as_asked(channels: int, kilobits: int):
    sound = tone(440, 3.21) if channels == 1 else np.stack([tone(440, 3.21), tone(550, 3.21)], 1)
    data = mp3(sound, kilobits)
    with av.open(io.BytesIO(data)) as media:
        stream = media.streams.audio[0]
        assert (stream.codec_context.name, stream.channels) == ("mp3float", channels)
        decoded = np.concatenate([f.to_ndarray() for f in media.decode(audio=0)], axis=1)
    assert decoded.shape[1] / RATE == pytest.approx(3.21, abs=0.05)
    assert np.sqrt(np.mean(decoded**2)) == pytest.approx(0.5 / 2**0.5, rel=0.05)
    assert len(data) == pytest.approx(3.21 * kilobits * 125, rel=0.1)


def test_a_waveform_shows_where_sound_is():
    sound = np.concatenate([np.zeros(RATE, "f4"), tone(440, 1.0, 0.25)])
    points = np.array(re.findall(r"(\d+) (\d+)", waveform(sound)), int)
    assert len(points) == 2 * COLUMNS
    heights = points[:COLUMNS, 1]
    np.testing.assert_array_equal(heights[: COLUMNS // 2 - 1], HEIGHT // 2)
    np.testing.assert_allclose(heights[COLUMNS // 2 + 1 :], HEIGHT / 4, atol=1)  # the root of 1/4


def test_short_and_empty_sounds_can_be_drawn():
    assert waveform(np.zeros(0, "f4")) == ""
    assert waveform(np.ones(7, "f4")).startswith("M0 0")
    assert spectrogram(np.ones(7, "f4")).startswith(b"\x89PNG")


def test_a_spectrogram_shows_pitch_upwards_and_silence_as_nothing():
    silence = np.zeros(RATE, "f4")
    for hertz in (120, 1000, 9000):
        picture = Image.open(
            io.BytesIO(spectrogram(np.concatenate([silence, tone(hertz, 1.0, 0.02)])))
        )
        assert picture.size == (COLUMNS, ROWS)
        alpha = np.asarray(picture.convert("RGBA"))[:, :, 3]
        assert alpha[:, : COLUMNS // 2 - 4].max() == 0
        row = alpha[:, 3 * COLUMNS // 4].argmax()
        expected = ROWS * (1 - np.log(hertz / 60) / np.log(18_000 / 60))
        assert row == pytest.approx(expected, abs=1.5)


def test_a_curve_is_closed_at_the_bottom():
    drawn = curve(np.array([0.0, 0.5, 1.0], "f4"), np.array([0.0, 1.0, 4.0], "f4"))
    assert drawn == f"M0 100L0 100L{COLUMNS // 2} 0L{COLUMNS} 0L{COLUMNS} 100Z"
