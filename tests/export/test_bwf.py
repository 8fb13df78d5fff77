from __future__ import annotations

import struct
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tests.media.made import ebur128, noise
from v2a_foley.errors import InputError, MediaError
from v2a_foley.export import bwf
from v2a_foley.export.bwf import Broadcast, write_broadcast
from v2a_foley.media.meter import measure

ABOUT = Broadcast(
    description="scene 001: dog",
    reference="a" * 32,
    time_reference=2**33 + 5,  # more than 32 bits: after a day at 96 kHz, or by an offset
    made=datetime(2026, 1, 2, 3, 4, 5),
    history="A=PCM,F=48000,W=24,M=stereo,T=v2a-foley",
    loudness=measure([noise(1.0)]),
)


def bext(path: Path) -> bytes:
    data = path.read_bytes()
    at = data.index(b"bext")
    (size,) = struct.unpack_from("<I", data, at + 4)
    return data[at + 8 : at + 8 + size]


@pytest.mark.parametrize("shape", [(48_000,), (48_001,), (48_001, 2)])
def test_samples_come_back_as_they_were(shape: tuple[int, ...], tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(-(2**23), 2**23, shape)
    audio = (whole / 2**23).astype(np.float32)
    path = tmp_path / "a.wav"
    write_broadcast(path, audio, ABOUT)
    read, rate = soundfile.read(path, dtype="float32")
    assert rate == 48_000
    assert soundfile.info(path).subtype == "PCM_24"
    np.testing.assert_array_equal(read, audio)


def test_what_ffmpeg_reads_of_the_chunk(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_broadcast(path, noise(1.0), ABOUT)
    with av.open(str(path)) as media:
        tags = media.metadata
        assert media.streams.audio[0].duration == 48_000
    assert tags["time_reference"] == str(2**33 + 5)
    assert tags["comment"] == "scene 001: dog"
    assert tags["encoded_by"] == "v2a-foley"
    assert tags["originator_reference"] == "a" * 32
    assert (tags["date"], tags["creation_time"]) == ("2026-01-02", "03:04:05")
    assert tags["coding_history"] == ABOUT.history + "\r\n"


def test_the_chunk_states_the_loudness_that_ffmpeg_measures(tmp_path: Path) -> None:
    sound = noise(4.0, level=0.05)
    path = tmp_path / "a.wav"
    write_broadcast(path, sound, replace(ABOUT, loudness=measure([sound])))
    version, *levels = struct.unpack_from("<H64x5h", bext(path), 346)
    loudness, peak = ebur128(sound)
    assert version == 2
    assert levels[0] / 100 == pytest.approx(loudness, abs=0.2)
    assert levels[2] / 100 == pytest.approx(peak, abs=0.3)
    assert 0 <= levels[1] < 100
    assert levels[3] >= levels[0] - 10
    assert levels[4] == pytest.approx(levels[0], abs=50)


def test_silence_states_no_loudness(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    silence = np.zeros((48_000, 2), np.float32)
    write_broadcast(path, silence, replace(ABOUT, loudness=measure([silence])))
    levels = struct.unpack_from("<5h", bext(path), 412)
    assert (levels[0], levels[2]) == (0x7FFF, 0x7FFF)


def test_texts_are_ascii_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_broadcast(path, noise(0.5), replace(ABOUT, description="é\n🎬" * 200, reference="x" * 99))
    chunk = bext(path)
    assert chunk[:256] == (b"? ?" * 100)[:256]
    assert chunk[288:320] == b"x" * 32


def test_large_files_are_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bwf, "WAV_BYTES", 1000)
    sound, path = noise(1.0)[:, :1], tmp_path / "a.wav"
    write_broadcast(path, sound[:, 0], ABOUT)
    assert path.read_bytes()[:4] == b"RF64"
    assert soundfile.info(path).format == "RF64"
    read, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read, sound[:, 0], atol=2**-23)
    with av.open(str(path)) as media:
        assert media.metadata["time_reference"] == str(2**33 + 5)
        assert media.streams.audio[0].duration == 48_000
    (riff, data, samples) = struct.unpack_from("<QQQ", path.read_bytes(), 20)
    assert (riff, data, samples) == (path.stat().st_size - 8, 144_000, 48_000)


def test_beyond_full_scale_is_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_broadcast(path, np.float32([2.0, -2.0]), ABOUT)
    read, _ = soundfile.read(path, dtype="int32")
    assert [value >> 8 for value in read] == [2**23 - 1, -(2**23)]


def test_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="NaN or infinity"):
        write_broadcast(tmp_path / "a.wav", np.float32([0.0, np.nan]), ABOUT)
    assert not list(tmp_path.iterdir())


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="--overwrite"):
        write_broadcast(path, noise(0.1), ABOUT)
    assert path.read_bytes() == b"precious"
    write_broadcast(path, noise(0.1), ABOUT, overwrite=True)
    assert soundfile.info(path).channels == 2
