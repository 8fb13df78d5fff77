from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.material import material
from tests.media.made import lavfi, make, noise
from v2a_foley.errors import InputError
from v2a_foley.evaluate.avbenchmark import export
from v2a_foley.media.audio import RATE, write_wav


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Long and short sounds, one of them in a folder of its own; one that has no partner."""
    made, real = tmp_path / "made", tmp_path / "real"
    write_wav(made / "long.wav", noise(10.0))
    write_wav(real / "long.wav", noise(9.0, seed=1))
    write_wav(made / "sub" / "short.wav", noise(1.0))
    (real / "sub").mkdir()
    shutil.copy(material("sounds")[0], real / "sub" / "short.ogg")
    write_wav(real / "alone.wav", noise(1.0))
    return made, real


def test_sounds_are_flat_mono_and_of_one_length(folders: tuple[Path, Path], tmp_path: Path):
    made = export(*folders, tmp_path / "out" / "bench")
    assert made.names == ("long", "sub_short")
    assert (made.padded, made.unreadable) == (2, ())
    assert made.notes == ("reference sounds left out for want of a partner: 1",)
    for folder in ("gt_audio", "pred_audio"):
        names = sorted(each.name for each in (made.folder / folder).iterdir())
        assert names == ["long.wav", "sub_short.wav"]
        for name in names:
            info = soundfile.info(made.folder / folder / name)
            assert (info.samplerate, info.channels, info.frames) == (RATE, 1, 8 * RATE)
    audio, _ = soundfile.read(made.folder / "pred_audio" / "sub_short.wav")
    assert np.abs(audio[:RATE]).max() > 0.1
    assert not audio[RATE:].any()
    original = noise(10.0).mean(axis=1)[: 8 * RATE]
    written, _ = soundfile.read(made.folder / "pred_audio" / "long.wav")
    assert np.abs(written - original).max() < 1e-5
    assert {each.name for each in made.folder.iterdir()} == {
        "gt_audio", "pred_audio", "evaluate.sh",
    }  # fmt: skip


def test_videos_and_captions(folders: tuple[Path, Path], tmp_path: Path):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "sub").mkdir()
    for name in ("long", "sub/short"):
        make(videos / f"{name}.mp4", *lavfi("testsrc=s=64x48:d=1"), "-pix_fmt", "yuv420p")
    table = tmp_path / "captions.tsv"
    table.write_text('file\tcaption\nlong.wav\ta "long", loud noise\n')
    made = export(*folders, tmp_path / "bench", videos=videos, captions=table, seconds=4)
    for name in ("long", "sub_short"):
        source = videos / f"{name.replace('_', '/')}.mp4"
        assert (made.folder / "video" / f"{name}.mp4").read_bytes() == source.read_bytes()
    with (made.folder / "captions.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"name": "long", "caption": 'a "long", loud noise'}]
    assert "sounds without a caption: 1" in made.notes


def test_the_script_gives_av_benchmark_its_own_options(folders: tuple[Path, Path], tmp_path: Path):
    """It is run with a program in python's place that prints its arguments."""
    made = export(*folders, tmp_path / "my bench", seconds=4)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (programs / "python").chmod(0o755)
    script = made.folder / "evaluate.sh"
    done = subprocess.run(
        ["/bin/sh", script], env={"PATH": f"{programs}:/usr/bin:/bin"}, capture_output=True,
        text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    here = made.folder.resolve()
    assert done.stdout.splitlines() == [
        "evaluate.py", "--gt_audio", f"{here}/gt_audio", "--gt_cache", f"{here}/gt_cache",
        "--pred_audio", f"{here}/pred_audio", "--pred_cache", f"{here}/pred_cache",
        "--audio_length=4", "--skip_video_related", "--skip_clap",
    ]  # fmt: skip


def test_what_cannot_be_read_is_left_out(folders: tuple[Path, Path], tmp_path: Path):
    (folders[0] / "long.wav").write_text("text")
    made = export(*folders, tmp_path / "bench")
    assert made.names == ("sub_short",)
    assert len(made.unreadable) == 1
    assert "long.wav: is not a sound file" in made.unreadable[0]
    assert [each.name for each in (made.folder / "gt_audio").iterdir()] == ["sub_short.wav"]


def test_nothing_is_left_of_an_export_that_fails(folders: tuple[Path, Path], tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    made, real = folders
    out = tmp_path / "bench"
    with pytest.raises(InputError, match=r"long\.mp4: is missing \(2 of 2 are\)"):
        export(made, real, out, videos=tmp_path)
    with pytest.raises(InputError, match="no file has the same name in both"):
        export(made / "sub", real, out)
    with pytest.raises(InputError, match="exists already; name a new folder"):
        export(made, real, real)
    assert sorted(tmp_path.rglob("*")) == before
    for path in (made / "long.wav", made / "sub" / "short.wav"):
        path.write_text("text")
    with pytest.raises(InputError, match="no pair can be read"):
        export(made, real, out)
    write_wav(made / "sub_short.wav", noise(1.0))
    write_wav(real / "sub_short.wav", noise(1.0))
    with pytest.raises(InputError, match="two names are the same"):
        export(made, real, out)
    assert not list(tmp_path.glob("*bench*"))
    assert not list(tmp_path.glob(".*"))


def test_a_name_that_is_too_long(folders: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(InputError, match="choose a shorter one"):
        export(*folders, tmp_path / ("x" * 300))
    assert {each.name for each in tmp_path.iterdir()} == {"made", "real"}
