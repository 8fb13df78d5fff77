from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.media.clips import truncated
from tests.pairs.made import D_CLAP, D_CLIP, FINGERPRINT, pair, write
from v2a_foley.errors import InputError
from v2a_foley.pairs.dataset import Pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pairs in two shards; of the last three one is silent, one speech and one music."""
    shard = [pair(number, split=("train", "valid")[number % 2]) for number in range(7)]
    flagged = [pair(7, silent=True), pair(8, speech=0.9), pair(9, music=0.6, split="test")]
    return write(tmp_path / "pairs", shard, flagged)


def test_what_was_written_is_read_to_half_precision(folder: Path):
    pairs = Pairs.open(folder, silent=True, speech=1, music=1)
    assert (len(pairs), pairs.d_clip, pairs.d_clap) == (10, D_CLIP, D_CLAP)
    assert pairs.clip_id == "made/clip"
    np.testing.assert_array_equal(pairs.fingerprint, FINGERPRINT)
    heard = pairs.audio(slice(None))
    for number in range(10):
        made = pair(number)
        assert pairs.records[number].id == made.record.id
        np.testing.assert_allclose(pairs.frames(number), made.frames, atol=1e-3)
        np.testing.assert_allclose(heard[number], made.audio, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(heard, axis=1), 1, atol=1e-6)
    assert heard.dtype == np.float32


def test_flagged_pairs_are_left_out_unless_they_are_asked_for(folder: Path):
    assert [each.id for each in Pairs.open(folder).records] == [f"{n:03d}" for n in range(7)]
    assert len(Pairs.open(folder, silent=True)) == 8
    assert len(Pairs.open(folder, speech=0.95)) == 8
    assert len(Pairs.open(folder, music=0.6)) == 8


def test_a_split_has_embeddings_of_its_own(folder: Path):
    held = Pairs.open(folder, split="valid")
    assert [each.id for each in held.records] == ["001", "003", "005"]
    np.testing.assert_allclose(held.frames(2), pair(5).frames, atol=1e-3)
    np.testing.assert_allclose(held.audio(np.array([2, 0]))[1], pair(1).audio, atol=1e-3)


def test_a_batch_is_padded_and_picks_frames_evenly(folder: Path):
    pairs = Pairs.open(folder, silent=True, speech=1, music=1)
    order = np.array([9, 0, 3])  # two frames, one and four, from both shards
    frames, mask, audio = pairs.batch(order, 8)
    assert frames.shape == (3, 4, D_CLIP)
    assert mask.sum(1).tolist() == [2, 1, 4]
    assert not frames[~mask].any()
    for at, number in enumerate(order):
        np.testing.assert_allclose(frames[at][mask[at]], pairs.frames(number), atol=1e-6)
    np.testing.assert_array_equal(audio, pairs.audio(order))
    few, mask, _ = pairs.batch(order, 2)
    assert mask.sum(1).tolist() == [2, 1, 2]
    np.testing.assert_allclose(few[2], pairs.frames(3)[[0, 3]], atol=1e-6)


def refusal(folder: Path, **how: object) -> str:
    with pytest.raises(InputError) as refused:
        Pairs.open(folder, **how)  # type: ignore[arg-type]
    return str(refused.value)


def test_what_is_no_folder_of_pairs(tmp_path: Path):
    assert "is not a folder of pairs" in refusal(tmp_path)
    assert "is not a folder of pairs" in refusal(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    assert "is not a folder of pairs" in refusal(tmp_path / "file")
    assert "holds no pairs" in refusal(write(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ('{"format": 1}', "damaged"),
        ('{"format": 9}', "has format 9"),
    ],
)
def test_a_damaged_manifest(folder: Path, text: str, words: str):
    (folder / "pairs.json").write_text(text)
    message = refusal(folder)
    assert words in message
    assert "pairs.json" in message


def test_a_manifest_of_other_dimensions(folder: Path):
    path = folder / "pairs.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"d_clip": 7}))
    message = refusal(folder)
    assert "shard-00000.safetensors: does not fit" in message
    assert "CLIP has 7 dimensions" in message
    path.write_text(json.dumps(json.loads(path.read_text()) | {"d_clip": D_CLIP, "d_clap": 11}))
    assert "CLAP 11" in refusal(folder)


@pytest.mark.parametrize("name", ["shard-00001.safetensors", "clap.safetensors"])
def test_a_truncated_or_missing_file_is_named(folder: Path, name: str):
    truncated(folder / name, folder / name, 0.7)
    assert f"{name}: damaged" in refusal(folder)
    (folder / name).unlink()
    assert f"{name}: is missing" in refusal(folder)


def test_records_that_are_damaged_or_too_few(folder: Path):
    path = folder / "shard-00001.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]))
    assert "2 records" in refusal(folder)
    path.write_text(lines[0] + "{" + lines[1] + lines[2])
    assert "shard-00001.jsonl, line 2" in refusal(folder)
    path.write_text(lines[0] + lines[1] + lines[2].replace('"test"', '"rest"'))
    assert "line 3: is no record of a pair (split 'rest')" in refusal(folder)


def test_a_shard_without_records_does_not_count(folder: Path):
    (folder / "shard-00001.jsonl").unlink()  # what a killed run leaves
    assert len(Pairs.open(folder)) == 7
    (folder / "shard-00000.safetensors").rename(folder / "shard-00003.safetensors")
    assert "shard-00000.safetensors: is missing" in refusal(folder)


def test_nan_is_found_when_it_is_read_and_not_before(folder: Path):
    path = folder / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[-2 * D_CLIP :] = np.full(D_CLIP, np.nan, np.float16).tobytes()  # the last frame
    path.write_bytes(data)
    pairs = Pairs.open(folder, silent=True, speech=1, music=1)
    pairs.frames(0)
    for ask in (lambda: pairs.frames(9), lambda: pairs.batch(np.array([0, 9]), 8)):
        with pytest.raises(InputError, match="NaN"):
            ask()


def test_nothing_is_left(folder: Path, tmp_path: Path):
    assert "split 'rest': choose one of train, valid, test" in refusal(folder, split="rest")
    assert "all 1 pairs of the split 'test' are silent" in refusal(folder, split="test")
    only = write(tmp_path / "only", [pair(0)])
    assert "holds no pairs of the split 'test' (of 1)" in refusal(only, split="test")
