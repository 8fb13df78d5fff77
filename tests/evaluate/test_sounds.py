from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.evaluate.conftest import unit
from tests.material import material
from tests.media.made import noise
from v2a_foley.errors import InputError
from v2a_foley.evaluate.given import read_captions, read_conditions
from v2a_foley.evaluate.sounds import Judgement, fit, judge
from v2a_foley.media.audio import write_wav
from v2a_foley.models.bundle import Models

SOUNDS, KEPT = 6, 4
"""Sounds of each folder, and how many of them both have; the others are noise."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Generated and reference sounds."""
    root = tmp_path_factory.mktemp("folders")
    made, real = root / "made", root / "real"
    for folder in (made, real):
        folder.mkdir()
    for sound in material("sounds")[:SOUNDS]:
        shutil.copy(sound, real)
    for sound in material("sounds")[:KEPT]:
        shutil.copy(sound, made)
    for number, sound in enumerate(material("sounds")[KEPT:SOUNDS]):
        write_wav(made / f"{sound.stem}.wav", noise(2.0, seed=number))
    return made, real


@pytest.fixture(scope="module")
def captions(folders: tuple[Path, Path]) -> Path:
    lines = [f"{path.name}\t{path.stem[:-2]} sounds" for path in sorted(folders[1].iterdir())]
    path = folders[0].parent / "captions.tsv"
    path.write_text("\n".join(["file\tcaption", *lines]))
    return path


@pytest.fixture(scope="module")
def judged(folders: tuple[Path, Path], captions: Path, starter: Models) -> Judgement:
    return judge(*folders, models=starter, captions=captions)


def test_against_a_reference(judged: Judgement):
    against = judged.against
    assert against.matched == SOUNDS
    assert KEPT / SOUNDS <= against.concept_top1 <= 1
    assert against.concept_top1 <= against.concept_top5
    assert KEPT / SOUNDS < against.cosine < 1
    assert against.frechet > 0.1
    assert "no independent judge" in "\n".join(judged.notes)


def test_a_folder_against_itself(folders: tuple[Path, Path], starter: Models):
    same = judge(folders[1], folders[1], models=starter).against
    assert same.frechet == pytest.approx(0, abs=1e-6)
    assert same.cosine == pytest.approx(1, abs=1e-5)
    assert (same.concept_top1, same.concept_top5, same.group) == (1, 1, 1)


def test_what_is_said_of_each_folder(judged: Judgement):
    made, real = judged.generated, judged.reference
    assert (made.count, real.count) == (SOUNDS, SOUNDS)
    assert real.text.score > real.text.others + 0.1
    assert real.text.score > made.text.score
    assert made.text.count == SOUNDS
    assert made.condition is None
    assert made.loudness[0] <= made.loudness[1] <= made.loudness[2]
    assert made.silent == 0


def test_a_score_stands_beside_that_of_mismatched_pairs():
    """Each sound is at 60 degrees to its own text and at right angles to the other."""
    given = np.eye(4)[:2]
    rows = 0.5 * given + 0.75**0.5 * np.eye(4)[2:]
    found = fit(rows, given)
    assert (found.score, found.others, found.count) == (pytest.approx(0.5), 0.0, 2)
    assert fit(rows[:1], given[:1]).others is None
    assert fit(rows[:0], given[:0]) is None


def test_conditions_by_name_and_in_order(
    folders: tuple[Path, Path], starter: Models, tmp_path: Path
):
    """Sounds are at cosine 1 to conditions that are their own embeddings."""
    from v2a_foley.evaluate.listening import listen

    heard = listen(folders[0], starter)
    own = {name: 3 * row for name, row in zip(heard.names, heard.embeddings, strict=True)}
    save_file(own, tmp_path / "c.safetensors")
    np.save(tmp_path / "c.npy", heard.embeddings)
    for name in ("c.safetensors", "c.npy"):
        found = judge(folders[0], models=starter, conditions=tmp_path / name)
        assert found.generated.condition.score == pytest.approx(1, abs=1e-4)
        assert found.generated.condition.others < 0.9
        assert (found.reference, found.against) == (None, None)


def test_few_sounds_have_no_distance(folders: tuple[Path, Path], starter: Models, tmp_path: Path):
    shutil.copy(material("sounds")[0], tmp_path)
    found = judge(tmp_path, folders[1], models=starter)
    assert (found.against.frechet, found.against.kernel, found.against.matched) == (None, None, 1)
    assert found.generated.diversity is None
    assert "fewer than 4 sounds" in found.notes[0]
    write_wav(tmp_path / material("sounds")[0].with_suffix(".x.wav").name, noise(1.0))
    (tmp_path / material("sounds")[0].name).unlink()
    assert judge(tmp_path, folders[1], models=starter).against.matched == 0


# Tables that are wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\ttext\na.wav\tx\n", r"has no column 'caption' \(it has: file, text\)"),
        ("a.wav\ta dog\n", "has no column 'file'"),
        ("", r"has no column 'file' \(it has: none\)"),
        ("file\tcaption\n", "holds no captions"),
        ("file\tcaption\na.wav\t\n", "row 2: lacks a file or a caption"),
        ("file\tcaption\na.wav\n", "row 2: lacks a file or a caption"),
        ("file\tcaption\na.wav\tx\na.mp3\ty\n", "row 3: names a file again"),
        (b"file\tcaption\n\xff\xfe\n", "is no table in UTF-8"),
    ],
)
def test_captions_that_are_wrong(tmp_path: Path, text: str | bytes, message: str):
    path = tmp_path / "c.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_captions(path)
    with pytest.raises(InputError, match="No such file"):
        read_captions(tmp_path / "none.tsv")


def test_captions_in_either_form(tmp_path: Path):
    (tmp_path / "c.tsv").write_text('caption\tfile\n"quoted" dog, barking\tsub/a.wav\n')
    (tmp_path / "c.csv").write_text('file,caption\nb,"a dog, barking"\n', encoding="utf-8-sig")
    assert read_captions(tmp_path / "c.tsv") == {"sub/a": '"quoted" dog, barking'}
    assert read_captions(tmp_path / "c.csv") == {"b": "a dog, barking"}


def test_conditions_that_are_wrong(tmp_path: Path):
    good = unit(np.random.default_rng(0).normal(size=(2, 8)))
    cases = {
        "rows.npy": (good[:1], r"float32 \(1, 8\); the 2 files need floats \(2, 8\)"),
        "whole.npy": (np.ones((2, 8), np.int64), "holds int64"),
        "nan.npy": (good * np.nan, "is no CLAP embedding"),
        "zero.npy": (good * 0, "is no CLAP embedding"),
        "object.npy": (np.array([{}, {}]), "is no .npy file of numbers"),
        "shape.safetensors": ({"a": good}, r"'a' is no CLAP embedding of this pack \(shape"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if isinstance(content, dict):
            save_file(content, path)
        else:
            np.save(path, content)
        with pytest.raises(InputError, match=message):
            read_conditions(path, ["a", "b"], 8)
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(InputError, match=r"is neither \.safetensors nor \.npy"):
        read_conditions(tmp_path / "text", ["a", "b"], 8)
    with pytest.raises(InputError, match="cannot be read"):
        read_conditions(tmp_path / "none.npy", ["a", "b"], 8)


def test_a_table_of_other_files(folders: tuple[Path, Path], starter: Models, tmp_path: Path):
    (tmp_path / "c.tsv").write_text("file\tcaption\nother.wav\ta dog\n")
    with pytest.raises(InputError, match=r"names none of the files in .*'other'.*'applause_1'"):
        judge(folders[0], models=starter, captions=tmp_path / "c.tsv")
