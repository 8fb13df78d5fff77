from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.pairs.made import contents
from v2a_foley.errors import InputError
from v2a_foley.models.bundle import Models
from v2a_foley.pairs.dataset import Pairs
from v2a_foley.pairs.splits import Shares
from v2a_foley.pairs.texts import (
    Phrase,
    TextSettings,
    embed_phrases,
    load_phrases,
    measured_noise,
    noisy,
)

PHRASES = [
    Phrase("a dog on a lawn", "a dog barking", "dog", "", "dog"),
    Phrase("a wet street", "rain falling", "rain", "", "rain"),
    Phrase("a cat", "a cat meowing", "cat", "", "cat"),
]


def test_noise_has_the_length_that_is_asked_for_and_a_seed_of_its_own():
    start = np.eye(1, 512, dtype=np.float32)[0]
    made = noisy(start, 0.04, (0, 1, 2))
    np.testing.assert_allclose(np.linalg.norm(made), 1, atol=1e-6)
    np.testing.assert_allclose(made @ start, 1 / np.sqrt(1 + 512 * 0.04**2), atol=0.04)
    np.testing.assert_array_equal(made, noisy(start, 0.04, (0, 1, 2)))
    assert abs(made @ noisy(start, 0.04, (0, 1, 3))) < 0.8
    np.testing.assert_array_equal(noisy(start, 0.0, (0,)), start)


def test_noise_is_measured_between_texts_about_one_thing():
    rng = np.random.default_rng(0)
    visual = rng.normal(size=(50, 64))
    alike = visual + rng.normal(0, 0.03, visual.shape)
    assert abs(measured_noise(visual, alike) - 0.03) < 0.002


def test_the_bank_and_a_table(tmp_path: Path):
    bank = load_phrases(None)
    assert len(bank) > 1000
    assert len({(each.visual, each.sound) for each in bank}) == len(bank)
    table = tmp_path / "phrases.tsv"
    table.write_text(
        "visual\tsound\tlabel\tsplit\n"
        "a dog\ta bark\tdog\ttrain\n"
        "a dog\ta bark\tpuppy\ttest\n"
        "a cat\ta meow\t\t\n"
    )
    assert load_phrases(table) == [
        Phrase("a dog", "a bark", "dog", "train", "dog"),
        Phrase("a cat", "a meow", "", "", "a meow"),
    ]


def test_a_phrase_makes_copies_around_what_it_looks_like(tmp_path: Path, starter: Models):
    folder = tmp_path / "pairs"
    made = embed_phrases(
        PHRASES, folder, models=starter, settings=TextSettings(copies=5, shares=Shares(0.1, 0.1))
    )
    assert (made.added, len(made.records)) == (15, 15)
    pairs = Pairs.open(folder)
    assert pairs.manifest.kind == "text"
    assert 0.02 < pairs.manifest.settings["noise"] < 0.08
    assert {each.label: each.split for each in pairs.records} == {
        "dog": "train",
        "rain": "valid",
        "cat": "test",
    }
    looks = starter.clip.phrases([each.visual for each in PHRASES])
    sounds = starter.clap.texts([each.sound for each in PHRASES])
    np.testing.assert_allclose(pairs.audio(slice(None)), np.repeat(sounds, 5, 0), atol=2e-3)
    frames = np.stack([pairs.frames(index)[0] for index in range(15)])
    assert (np.argmax(frames @ looks.T, 1) == np.repeat(range(3), 5)).all()
    assert (frames @ frames.T)[0, 1] < 0.95


def test_a_broken_run_is_gone_on_with_and_another_refused(tmp_path: Path, starter: Models):
    folder = tmp_path / "pairs"
    settings = TextSettings(copies=200, noise=0.05)
    embed_phrases(PHRASES, folder, models=starter, settings=settings)
    whole = contents(folder)
    assert "shard-00001.jsonl" in whole
    (folder / "shard-00001.jsonl").unlink()
    made = embed_phrases(PHRASES, folder, models=starter, settings=settings)
    assert (made.added, len(made.records)) == (88, 600)
    assert contents(folder) == whole
    other = TextSettings(copies=200, noise=0.06)
    with pytest.raises(InputError, match=r"noise 0\.05, now it is 0\.06"):
        embed_phrases(PHRASES, folder, models=starter, settings=other)
    with pytest.raises(InputError, match="phrases"):
        embed_phrases(PHRASES[:2], folder, models=starter, settings=settings)
    assert contents(folder) == whole


@pytest.mark.parametrize("wrong", [{"noise": -1.0}, {"noise": float("nan")}, {"copies": 0}])
def test_settings_that_make_no_sense(wrong: dict[str, float]):
    with pytest.raises(InputError):
        TextSettings(**wrong)  # type: ignore[arg-type]
