from __future__ import annotations

from pathlib import Path

import pytest

from v2a_foley.batch.sidecars import Sidecars, Stated, anywhere, files_of, read
from v2a_foley.errors import PresetError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_nearer_file_wins_key_by_key_and_the_command_line_over_all(tmp_path: Path):
    write(
        tmp_path / "v2a-foley.toml",
        'preset = "city"\nseed = 1\n[mix]\nloudness = -16.0\ngain_db = 2.0\n',
    )
    write(tmp_path / "sub" / "deep" / "v2a-foley.toml", "seed = 2\n[mix]\ngain_db = 3.0\n")
    write(tmp_path / "sub" / "deep" / "a.foley.toml", 'preset = "subtle"\n')
    beside = {"a.mp4", "b.mp4", "a.foley.toml", "b.cues.toml"}
    sidecars = Sidecars(Stated(seed=9))
    folder = tmp_path / "sub" / "deep"
    a, no_sheet = sidecars.clip(folder / "a.mp4", tmp_path, beside)
    assert a == Stated("subtle", 9, {"mix": {"loudness": -16.0, "gain_db": 3.0}})
    assert no_sheet is None
    b, sheet = sidecars.clip(folder / "b.mp4", tmp_path, beside)
    assert (b.preset, sheet) == ("city", folder / "b.cues.toml")
    alone, _ = Sidecars(Stated()).clip(folder / "b.mp4", folder, set())
    assert alone == Stated(None, 2, {"mix": {"gain_db": 3.0}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps = 3\n", r"line 1: steps is unknown"),
        ('seed = "x"\n', "seed must be a whole number"),
        ("seed = -1\n", "seed must be from 0"),
        ("[generation]\nstep = 3\n", r"line 2: generation.step is unknown; did you mean"),
        ('preset = "nope"\n', r"line 1: preset cannot be used: there is no preset"),
    ],
)
def test_mistakes_are_named_with_file_and_line(tmp_path: Path, text: str, words: str):
    path = write(tmp_path / "v2a-foley.toml", text)
    with pytest.raises(PresetError, match=words) as error:
        read(path)
    assert str(path) in str(error.value)


def test_files_are_relative_to_the_file_that_names_them(tmp_path: Path):
    write(tmp_path / "mine.toml", "")
    text = 'preset = "mine.toml"\n[generation]\nreference = "sea.wav"\nmapper = "bridge"\n'
    stated = read(write(tmp_path / "v2a-foley.toml", text))
    assert stated.preset == str(tmp_path / "mine.toml")
    assert files_of(stated.settings) == [str(tmp_path / "sea.wav")]
    assert stated.settings["generation"]["mapper"] == "bridge"
    file = anywhere({"generation": {"mapper": "m.safetensors"}}, tmp_path)
    assert file == {"generation": {"mapper": str(tmp_path / "m.safetensors")}}
