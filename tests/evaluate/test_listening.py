from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.material import material
from tests.media.made import AWKWARD, lavfi, make, noise
from v2a_foley.errors import InputError
from v2a_foley.evaluate.listening import embed, files, listen, name_of, read
from v2a_foley.media.audio import RATE, write_wav
from v2a_foley.models.bundle import Models


def tone(path: Path, seconds: float = 2.0, peak: float = 0.25, pause: float = 0.0) -> Path:
    """A stereo tone of 1 kHz and silence after it."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = peak * np.sin(2000 * np.pi * time)
    both = np.concatenate([wave, np.zeros(round(pause * RATE))]).astype(np.float32)
    write_wav(path, np.stack([both, both], 1))
    return path


def test_what_is_measured(tmp_path: Path, starter: Models):
    """By BS.1770 a stereo sine of 1 kHz has its peak's level; a pause takes a little off."""
    tone(tmp_path / "a.wav", pause=2.0)
    tone(tmp_path / "sub" / "b.wav", peak=0.5)
    write_wav(tmp_path / "still.wav", np.zeros(RATE, np.float32))
    heard = listen(tmp_path, starter)
    assert [sound.name for sound in heard.sounds] == ["a", "still", "sub/b"]
    a, still, b = heard.sounds
    assert (a.seconds, still.seconds, b.seconds) == (4.0, 1.0, 2.0)
    assert b.loudness == pytest.approx(-6, abs=0.1)
    assert a.loudness == pytest.approx(-12, abs=0.6)
    assert still.loudness == -np.inf
    assert (a.silence, still.silence, b.silence) == (pytest.approx(0.5, abs=0.02), 1.0, 0.0)
    assert np.linalg.norm(heard.embeddings, axis=1) == pytest.approx(1, abs=1e-4)
    assert heard.unreadable == ()
    assert (heard.rows(["sub/b", "a"]) == heard.embeddings[[2, 0]]).all()


def test_any_format_and_the_sound_of_a_video(tmp_path: Path):
    source = tone(tmp_path / "a.wav")
    codings = {"a.mp3": [], "a.flac": [], "a.opus": ["-c:a", "libopus"], "a.m4a": []}
    for name, coding in codings.items():
        make(tmp_path / name, "-i", str(source), *coding)
    video = lavfi("testsrc=s=64x48:d=2", "sine=1000:d=2")
    make(tmp_path / "a.mp4", *video, "-ac", "1", "-pix_fmt", "yuv420p")
    make(tmp_path / "six.wav", "-i", str(source), "-ac", "6")
    for name, channels in {**dict.fromkeys(codings, 2), "a.mp4": 1, "six.wav": 2}.items():
        audio = read(tmp_path / name)
        assert audio.shape[1] == channels
        assert len(audio) / RATE == pytest.approx(2.0, abs=0.1)
        assert np.abs(audio).max() > 0.05


def test_a_long_sound_is_the_mean_of_its_parts(starter: Models):
    bark, rain = (np.concatenate([noise(2.0, seed=i)] * 3)[: 5 * RATE] for i in (1, 2))
    both = embed(np.concatenate([bark, rain * 0.1]), starter)
    parts = embed(bark, starter) + embed(rain * 0.1, starter)
    assert np.allclose(both, parts / np.linalg.norm(parts), atol=1e-3)


def test_names():
    assert name_of("a/b.c.wav") == "a/b.c"
    assert name_of("take 1.5") == "take 1.5"
    assert name_of("clip.MP4") == "clip"


def test_what_cannot_be_read_is_listed_and_skipped(tmp_path: Path, starter: Models):
    shutil.copy(material("sounds")[0], tmp_path / "good.ogg")
    (tmp_path / "text.wav").write_text("not a sound\n" * 50)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "list.mp3").write_text("#EXTM3U\n#EXTINF:3,\nhttp://127.0.0.1:9/a.ts\n")
    (tmp_path / "notes.txt").write_text("no sound, and none is claimed")
    (tmp_path / ".hidden.wav").touch()
    make(tmp_path / "mute.mp4", *lavfi("testsrc=s=64x48:d=1"), "-pix_fmt", "yuv420p")
    broken = np.full((RATE, 1), np.nan, np.float32)
    soundfile.write(tmp_path / "nan.wav", broken, RATE, "FLOAT")
    write_wav(tmp_path / "nothing.wav", np.zeros(0, np.float32))
    make(tmp_path / "long.flac", *lavfi("anullsrc=r=8000:cl=mono"), "-t", "620")
    heard = listen(tmp_path, starter)
    assert [sound.name for sound in heard.sounds] == ["good"]
    assert len(heard.names) == 8
    reasons = {Path(line.split(": ")[0]).name: line for line in heard.unreadable}
    assert sorted(reasons) == [
        "empty.wav", "list.mp3", "long.flac", "mute.mp4", "nan.wav", "nothing.wav", "text.wav",
    ]  # fmt: skip
    assert reasons["mute.mp4"].endswith("holds no sound")
    assert reasons["nothing.wav"].endswith("holds no sound")
    assert reasons["nan.wav"].endswith("holds NaN or infinity")
    assert reasons["long.flac"].endswith("is longer than 10 minutes; cut clips of it")
    assert reasons["text.wav"].endswith(
        "is not a sound file that can be read here; convert it to WAV"
    )


def test_awkward_names(tmp_path: Path):
    name = AWKWARD.replace("/", "") + ".wav"
    tone(tmp_path / name)
    assert len(read(tmp_path / name)) == 2 * RATE


def test_folders_that_are_none(tmp_path: Path, starter: Models):
    with pytest.raises(InputError, match="no such folder"):
        files(tmp_path / "none")
    with pytest.raises(InputError, match="holds no sound or video files"):
        files(tmp_path)
    tone(tmp_path / "a.wav")
    with pytest.raises(InputError, match="is a file; name a folder"):
        files(tmp_path / "a.wav")
    shutil.copy(material("sounds")[0], tmp_path / "a.ogg")
    with pytest.raises(InputError, match=r"a\.ogg, a\.wav have one name"):
        files(tmp_path)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.wav").write_text("text")
    with pytest.raises(InputError, match="none of its 1 files can be read; the first: "):
        listen(bad, starter)
