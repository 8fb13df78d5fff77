from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.library.made import rain
from tests.media.made import make
from v2a_foley.errors import InputError, MediaError
from v2a_foley.media.audio import RATE, Sound
from v2a_foley.media.sounds import read_part, read_sound, sound_blocks

KINDS = {
    "wav": ("-c:a", "pcm_s24le"),
    "flac": ("-ar", "44100"),
    "ogg": ("-c:a", "libvorbis", "-q:a", "8"),
    "mp3": ("-b:a", "256k"),
    "m4a": ("-c:a", "aac", "-b:a", "256k"),
    "opus": ("-b:a", "192k"),
    "mka": ("-c:a", "flac"),
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of noise, in stereo."""
    wave = np.stack([rain(12.0, seed=1), rain(12.0, seed=2)], 1)
    path = tmp_path_factory.mktemp("sounds") / "noise.wav"
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    return path


def likeness(part: Sound, whole: Sound, at: int) -> float:
    """Cosine of a part and the stretch of the whole that is most like it within 1 ms of ``at``."""

    def cosine(start: int) -> float:
        due = whole[start : start + len(part)]
        return float(part @ due / np.sqrt((part @ part) * (due @ due)))

    return max(cosine(start) for start in range(max(0, at - 48), at + 49))


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_that_of_the_whole(noise: Path, tmp_path: Path, kind: str):
    path = make(tmp_path / f"noise.{kind}", "-i", str(noise), *KINDS[kind])
    whole = read_sound(path)
    assert abs(len(whole) / RATE - 12) < 0.1
    for start, end in ((0.0, 1.0), (0.2, 0.5), (5.03, 7.77), (10.9, 11.6)):
        part = read_part(path, start, end)
        assert len(part) == round((end - start) * RATE)
        assert likeness(part, whole, round(start * RATE)) > 0.98, (start, end)
    tail = read_part(path, 11.0, 99.0)
    assert abs(len(tail) - (len(whole) - 11 * RATE)) <= 2
    assert len(read_part(path, 50.0, 51.0)) == 0


def test_blocks_are_small(noise: Path):
    sizes = [len(block) for block in sound_blocks(noise)]
    assert sum(sizes) == 12 * RATE
    assert max(sizes) < RATE


def test_what_is_no_sound_file(tmp_path: Path):
    with pytest.raises(InputError, match=r"is a folder; name a sound file"):
        read_sound(tmp_path)
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    with pytest.raises(InputError, match="is not a sound file that can be read here; convert"):
        read_sound(text)
    wave = np.zeros(RATE, np.float32)
    wave[100] = np.inf
    soundfile.write(tmp_path / "inf.wav", wave, RATE, subtype="FLOAT")
    with pytest.raises(MediaError, match=r"inf\.wav: holds NaN or infinity"):
        read_sound(tmp_path / "inf.wav")
