from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.media.made import H264, click, lavfi, make, noise, picture
from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.audio import (
    RATE,
    Sound,
    equal_power_fade,
    read_audio,
    resample,
    to_stereo,
    write_wav,
)
from v2a_foley.media.probe import probe

FRAME = 0.04


def onset(audio: Sound) -> float:
    """Return the time of the first loud sample in seconds."""
    return float(np.flatnonzero(np.abs(audio[:, 0]) > 0.2)[0] / RATE)


@pytest.mark.parametrize(
    ("suffix", "codec", "early", "late"),
    [
        ("mkv", "flac", 0.0, 0.0),
        ("mkv", "flac", 0.32, 0.0),  # the sound starts before the picture
        ("mkv", "pcm_s16le", 0.0, 0.3),  # and after it
        ("mp4", "aac", 0.32, 0.0),
        ("mp4", "aac", 0.0, 0.3),
        ("ts", "mp2", 0.32, 0.0),
        ("ts", "mp2", 0.0, 0.3),
        ("mov", "pcm_s24le", 0.0, 0.3),
    ],
)
def test_sound_lies_on_the_pictures_timeline(
    tmp_path: Path, suffix: str, codec: str, early: float, late: float
) -> None:
    wav = click(tmp_path / "click.wav")
    clip = make(
        tmp_path / f"clip.{suffix}",
        *("-itsoffset", str(early), *lavfi(picture())),
        *("-itsoffset", str(late), "-i", str(wav)),
        *(*H264, "-c:a", codec),
    )
    info = probe(clip)
    audio = read_audio(info)
    assert audio.shape == (round(info.duration * RATE), 2)
    assert audio.dtype == np.float32
    # MPEG audio's decoder delay is part of such files and not taken off by any reader.
    slack = 0.012 if codec == "mp2" else 0.003
    assert onset(audio) == pytest.approx(1.0 - early + late, abs=slack)


def test_a_gap_in_the_sound_is_silence(tmp_path: Path) -> None:
    parts = f"sine=440:d=3,aselect='not(between(t,0.8,1.5))',volume=4[a];{picture(3.0)}[v]"
    clip = make(
        tmp_path / "gap.mkv",
        *("-filter_complex", parts, "-map", "[v]", "-map", "[a]", *H264, "-c:a", "pcm_s16le"),
    )
    audio = read_audio(probe(clip))
    level = [np.abs(audio[round(a * RATE) : round(b * RATE)]).max() for a, b in _SPANS]
    assert level == [pytest.approx(0.5, abs=0.05), 0.0, pytest.approx(0.5, abs=0.05)]


_SPANS = [(0.1, 0.75), (0.85, 1.45), (1.6, 2.9)]


def test_tracks_are_chosen_and_short_ones_padded(tmp_path: Path) -> None:
    clip = make(
        tmp_path / "two.mkv",
        *lavfi(picture(), "sine=440:r=44100:d=0.5", "anoisesrc=d=2:a=0.5:r=48000"),
        *("-map", "0", "-map", "1", "-map", "2", *H264, "-c:a", "pcm_s16le"),
    )
    info = probe(clip)
    first, second = read_audio(info), read_audio(info, track=1)
    assert len(first) == len(second) == 2 * RATE
    assert np.abs(first[: RATE // 2]).max() > 0.1
    assert not first[round(0.51 * RATE) :].any()
    assert np.abs(second[RATE:]).max() > 0.3
    with pytest.raises(InputError, match="2 audio track"):
        read_audio(info, track=2)


def test_surround_keeps_its_channels(tmp_path: Path) -> None:
    levels = "|".join(str(level) for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    clip = make(
        tmp_path / "surround.mkv",
        *lavfi(picture(1.0), f"aevalsrc={levels}:c=5.1(side):s=48000:d=1"),
        *(*H264, "-c:a", "pcm_s24le"),
    )
    audio = read_audio(probe(clip))
    np.testing.assert_allclose(audio[RATE // 2], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], atol=1e-4)
    left, right = to_stereo(audio)[RATE // 2]
    assert left == pytest.approx(0.1 + 0.3 * 2**-0.5 + 0.5 * 2**-0.5, abs=1e-4)
    assert right == pytest.approx(0.2 + 0.3 * 2**-0.5 + 0.6 * 2**-0.5, abs=1e-4)


def test_mono_goes_to_both_sides() -> None:
    mono = noise(0.01)[:, 0]
    np.testing.assert_array_equal(to_stereo(mono), np.stack([mono, mono], axis=1))
    with pytest.raises(InputError, match="9 channels"):
        to_stereo(np.zeros((4, 9), np.float32))


def test_resampling_keeps_length_level_and_time() -> None:
    time = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    audio = resample(tone, 16_000)
    assert audio.dtype == np.float32
    assert len(audio) == RATE
    due = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(audio[2000:-2000], due[2000:-2000], atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 2, 4801])
def test_equal_power_fade(samples: int) -> None:
    fade = equal_power_fade(samples)
    assert len(fade) == samples
    assert (np.diff(fade) > 0).all()
    np.testing.assert_allclose(fade**2 + fade[::-1] ** 2, 1.0, atol=1e-6)


def test_wav_is_24_bit_and_clips(tmp_path: Path) -> None:
    audio = noise(0.5)
    audio[0] = [1.5, -1.5]
    write_wav(tmp_path / "a.wav", audio)
    read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert (rate, soundfile.info(tmp_path / "a.wav").subtype) == (RATE, "PCM_24")
    np.testing.assert_allclose(read, np.clip(audio, -1, 1), atol=2**-23)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_wav_refuses_what_is_not_sound(tmp_path: Path) -> None:
    audio = noise(0.1)
    audio[100] = np.nan
    with pytest.raises(MediaError, match="NaN"):
        write_wav(tmp_path / "a.wav", audio)
    assert not list(tmp_path.iterdir())
