from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from v2a_foley.errors import ModelError
from v2a_foley.mapper.bridge import phrases
from v2a_foley.models import packs
from v2a_foley.models.bundle import Models
from v2a_foley.models.recordings import Recordings, arrange

RATE = 16_000


def clicks(length: int = 1_600) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, length).astype(np.float32)


def test_events_follow_one_another_with_pauses() -> None:
    made = arrange([clicks()], 5 * RATE, RATE, loops=False, rng=random.Random(1))
    assert made.shape == (5 * RATE,)
    silent = np.abs(made).reshape(-1, 160).max(1) == 0
    assert 0.2 < silent.mean() < 0.95


def test_what_goes_on_has_no_gap() -> None:
    made = arrange([clicks(8_000)], 5 * RATE, RATE, loops=True, rng=random.Random(1))
    level = np.sqrt((made.reshape(-1, 800) ** 2).mean(1))
    assert level.min() > 0.3 * level.max()


def test_a_long_one_is_cut_not_repeated() -> None:
    wave = clicks(10 * RATE)
    made = arrange([wave], RATE, RATE, loops=False, rng=random.Random(3))
    start = int(np.flatnonzero(wave == made[0])[0])
    assert (wave[start : start + RATE] == made).all()


def test_the_seed_decides_alone() -> None:
    one, same, other = (
        arrange([clicks(), clicks(900)], 3 * RATE, RATE, loops=False, rng=random.Random(seed))
        for seed in (5, 5, 6)
    )
    assert (one == same).all()
    assert (one != other).any()


def test_phrases_of_classes_choose_recordings_of_their_class(starter: Models) -> None:
    given = starter.recordings
    assert given is not None
    labels = {item.label for item in given.items}
    rows = [(i, p.concept) for i, p in enumerate(phrases()) if p.concept in labels]
    assert len(rows) > 60
    right = 0
    for index, concept in rows:
        chosen = given.choose(starter.bank.heard[index], seed=index)
        assert len({item.label for item in chosen}) <= 1
        right += bool(chosen) and chosen[0].label == concept
    assert right >= 0.9 * len(rows)


def test_nothing_near_chooses_nothing(starter: Models) -> None:
    given = starter.recordings
    assert given is not None
    away = -given.embeddings.mean(0)
    assert given.choose(away / np.linalg.norm(away), 1) == ()


def test_every_recording_opens_and_is_credited(starter: Models) -> None:
    given = starter.recordings
    assert given is not None
    for item in given.items[::7]:
        wave = given.sound(item, RATE)
        assert 0.1 * RATE < len(wave) < 5.2 * RATE
        assert np.abs(wave).max() > 0.01
        assert all(item.credit[key] for key in ("label", "licence", "package", "path", "made"))
    assert {item.made for item in given.items} == {"recorded", "synthesised"}


@pytest.fixture
def copy(starter: Models, tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    shutil.copytree(starter.pack.folder, folder)
    return folder


@pytest.mark.parametrize("name", ["recordings.tsv", "sounds.zip", "embeddings.safetensors"])
def test_an_altered_file_is_refused_by_name(copy: Path, name: str) -> None:
    path = copy / "recordings" / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match=name):
        Recordings(packs.load(copy))
