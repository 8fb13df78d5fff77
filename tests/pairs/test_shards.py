from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.pairs.made import D_CLAP, FINGERPRINT, MANIFEST, contents, pair, write
from v2a_foley.errors import InputError, MediaError
from v2a_foley.pairs.shards import PairsFolder


def test_a_folder_is_gone_on_with(tmp_path: Path):
    whole = write(tmp_path / "whole", [pair(0), pair(1)], [pair(2)])
    begun = write(tmp_path / "begun", [pair(0), pair(1)])
    (begun / "shard-00001.safetensors").write_bytes(b"half a sha")
    (begun / ".shard-00001.part.jsonl").write_bytes(b"{")
    target = PairsFolder.create(begun, MANIFEST, FINGERPRINT)
    assert [record.id for record in target.records] == ["000", "001"]
    target.write([pair(2)])
    assert contents(begun) == contents(whole)


def test_a_folder_killed_before_its_manifest_is_begun_again(tmp_path: Path):
    folder = write(tmp_path / "pairs")
    (folder / "pairs.json").unlink()
    assert PairsFolder.create(folder, MANIFEST, FINGERPRINT).records == []
    assert (folder / "pairs.json").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clip_id": "other/clip"}, "clip_id 'made/clip', now it is 'other/clip'"),
        ({"pack": "made-2"}, "pack 'made-1', now it is 'made-2'"),
        ({"kind": "text"}, "kind 'media', now it is 'text'"),
        ({"settings": {"fps": 4.0}}, "fps 2.0, now it is 4.0"),
    ],
)
def test_other_models_and_settings_are_not_mixed(
    tmp_path: Path, change: dict[str, object], words: str
):
    folder = write(tmp_path / "pairs", [pair(0)])
    before = contents(folder)
    with pytest.raises(InputError, match="choose a new folder") as refused:
        PairsFolder.create(folder, replace(MANIFEST, **change), FINGERPRINT)  # type: ignore[arg-type]
    assert words in str(refused.value)
    assert contents(folder) == before


def test_another_clap_is_not_mixed(tmp_path: Path):
    folder = write(tmp_path / "pairs", [pair(0)])
    with pytest.raises(InputError, match="another CLAP"):
        PairsFolder.create(folder, MANIFEST, np.roll(FINGERPRINT, 1, axis=1))


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="is not empty and is not a folder of pairs"):
        PairsFolder.create(tmp_path, MANIFEST, FINGERPRINT)
    with pytest.raises(InputError, match="is a file"):
        PairsFolder.create(tmp_path / "holiday.jpg", MANIFEST, FINGERPRINT)
    assert contents(tmp_path) == {"holiday.jpg": b""}


def test_nan_is_not_written(tmp_path: Path):
    target = PairsFolder.create(tmp_path / "pairs", MANIFEST, FINGERPRINT)
    bad = replace(pair(0), audio=np.full(D_CLAP, np.nan, np.float32))
    with pytest.raises(MediaError, match="not finite"):
        target.write([pair(1), bad])
    assert not list((tmp_path / "pairs").glob("shard*"))


def test_names_that_are_no_unicode_come_back(tmp_path: Path):
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    folder = write(tmp_path / "pairs", [pair(0, caption=f"line\none \u2028 {name}")])
    (record,) = PairsFolder.create(folder, MANIFEST, FINGERPRINT).records
    assert record.caption.endswith(name)
