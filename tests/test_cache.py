from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from v2a_foley import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("V2A_FOLEY_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_round_trip() -> None:
    name = cache.key("a", 1)
    assert cache.get(name) is None
    cache.put(name, {"x": np.arange(3)}, {"note": "é"})
    found = cache.get(name)
    assert found is not None
    assert found[0]["x"].tolist() == [0, 1, 2]
    assert found[1] == {"note": "é"}


def test_keys_follow_content() -> None:
    table = np.arange(6, dtype=np.float32)
    keys = {
        cache.key("a", table),
        cache.key("a", table.reshape(2, 3)),
        cache.key("a", table.astype(np.float64)),
        cache.key("b", table),
        cache.key("a", table + 1),
        cache.key("a", {"x": 1, "y": 2}),
    }
    assert len(keys) == 6
    assert cache.key({"x": 1, "y": 2}) == cache.key({"y": 2, "x": 1})


def test_damage_counts_as_absent(own_cache: Path) -> None:
    name = cache.key("x")
    cache.put(name, {"x": np.zeros(100)}, {})
    (path,) = own_cache.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:50])
    assert cache.get(name) is None


def test_what_was_unused_for_longest_goes_first(own_cache: Path) -> None:
    names = [cache.key(i) for i in range(4)]
    for age, name in enumerate(names):
        cache.put(name, {"x": np.zeros(1000)}, {})
        (path,) = own_cache.rglob(f"{name}.safetensors")
        os.utime(path, (1e9 + age, 1e9 + age))
    cache.get(names[0])
    one = cache.size() // 4
    cache.sweep(2 * one)
    assert [cache.get(name) is not None for name in names] == [True, False, False, True]
    assert cache.clear() == 2 * one
    assert cache.size() == 0


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("V2A_FOLEY_CACHE_DIR", str(blocked))
    cache.put(cache.key("x"), {"x": np.zeros(1)}, {})
    assert cache.get(cache.key("x")) is None


def test_a_work_folder_goes_with_its_run_and_takes_abandoned_ones_along(own_cache: Path) -> None:
    with cache.work_folder() as first, cache.work_folder() as second:
        assert first != second
        (first / "stems").mkdir()
        (first / "stems" / "001.wav").write_bytes(b"x")
    assert not first.exists()
    abandoned = own_cache / "runs" / "old"
    abandoned.mkdir(parents=True)
    os.utime(abandoned, (1e9, 1e9))
    with pytest.raises(KeyError), cache.work_folder() as third:
        raise KeyError
    assert not third.exists()
    assert not abandoned.exists()


def test_without_a_cache_the_work_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("V2A_FOLEY_CACHE_DIR", str(blocked))
    with cache.work_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()
