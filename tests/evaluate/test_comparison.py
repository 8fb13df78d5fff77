from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.conftest import CONCEPTS, make_pairs
from tests.evaluate.made import mapper_file
from v2a_foley.errors import InputError, ModelError
from v2a_foley.evaluate.comparison import Comparison, Score, compare
from v2a_foley.evaluate.distances import frechet
from v2a_foley.evaluate.heldout import HeldOut, spoken
from v2a_foley.evaluate.mappers import Contender, run
from v2a_foley.models.bundle import Models


@pytest.fixture(scope="module")
def compared(pairs: Path, starter: Models, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("mappers")
    files = [mapper_file(folder / f"{kind}.safetensors", starter, kind) for kind in KINDS]
    return compare(pairs, files, models=starter)


KINDS = ("regression", "diffusion")
PACKED = tuple(f"{kind} (the pack's)" for kind in KINDS)


def row(of: Comparison, name: str) -> Score:
    return next(score for score in of.scores if score.name == name)


def test_a_row_for_each_mapper_between_the_truth_and_chance(compared: Comparison):
    names = ["true sounds", *KINDS, *PACKED, "bridge", "ridge", "chance"]
    assert [score.name for score in compared.scores] == names
    kinds = ["", *KINDS, *KINDS, "bridge", "ridge", ""]
    assert [score.kind for score in compared.scores] == kinds
    assert (compared.scenes, compared.sounds, compared.classes) == (24, 24, 8)


def test_what_the_bridge_and_ridge_know_untrained_mappers_do_not(compared: Comparison):
    """The pairs are made of the phrase bank: the bridge joins the very rows they come from."""
    chance = row(compared, "chance")
    for name in ("bridge", "ridge"):
        score = row(compared, name)
        assert score.cosine > 0.9
        assert score.class_top1 == row(compared, "true sounds").class_top1 == 1
        assert score.recall[5] == 1
        assert score.median_rank <= 3
    for name in KINDS:
        score = row(compared, name)
        assert abs(score.cosine) < 0.2
        assert score.recall[1] <= 0.25
        assert score.frechet > 5 * row(compared, "bridge").frechet
        assert score.kernel.mean > row(compared, "bridge").kernel.mean
    assert chance.recall == pytest.approx({1: 1 / 24, 5: 5 / 24, 10: 10 / 24})
    assert (chance.median_rank, chance.class_top1, chance.class_top5) == (12.5, 1 / 8, 5 / 8)


def test_measures_are_those_of_what_was_mapped(compared: Comparison):
    score, spaces = row(compared, "bridge"), compared.spaces
    mapped = spaces.mapped["bridge"]
    assert score.cosine == pytest.approx(float((mapped * spaces.heard).sum(1).mean()), abs=1e-6)
    assert score.frechet == frechet(mapped, spaces.heard)
    assert score.median_rank == np.median(spaces.ranks["bridge"])
    order = np.argsort(-(mapped @ spaces.heard.T), axis=1)
    assert score.recall[1] == np.mean(order[:, 0] == np.arange(24))


def test_only_mappers_that_sample_have_variety(compared: Comparison):
    assert [row(compared, name).variety == 0 for name in (*KINDS, "bridge", "ridge")] == [
        True, False, True, True,
    ]  # fmt: skip
    assert row(compared, "diffusion").variety > 0.01


def test_the_same_seed_gives_the_same(compared: Comparison, pairs: Path, starter: Models):
    again, other = (compare(pairs, [], models=starter, seed=seed) for seed in (0, 1))
    assert row(again, "ridge") == row(compared, "ridge")
    assert row(again, "bridge") == row(compared, "bridge")
    assert row(other, "bridge").kernel != row(compared, "bridge").kernel


def test_scenes_are_sampled_alike_in_any_company(pairs: Path, starter: Models, tmp_path: Path):
    from v2a_foley.mapper import checkpoint

    path = mapper_file(tmp_path / "d.safetensors", starter, "diffusion")
    mapper = checkpoint.load(
        path, clip_id=starter.pack.clip_id, fingerprint=starter.bank.fingerprint
    )[1]
    held = HeldOut.open(pairs, "test")
    everything = run(Contender("d", mapper), held, 3)
    few = run(Contender("d", mapper), held, 3, most=2)
    backwards = run(Contender("d", mapper), replace(held, scenes=held.scenes[::-1]), 3)
    assert np.allclose(everything[:2], few, atol=1e-5)
    assert np.allclose(everything, backwards[::-1], atol=1e-5)


def test_a_scene_in_several_pairs_counts_once(tmp_path: Path, starter: Models):
    """Two pictures, three sounds of one class: six pairs."""
    from tests.evaluate.conftest import manifest, unit
    from v2a_foley.pairs.layout import Record
    from v2a_foley.pairs.shards import Pair, PairsFolder

    rng = np.random.default_rng(0)
    looks, sounds = (unit(rng.normal(size=(n, 512))) for n in (6, 9))
    made = [
        Pair(
            Record(f"{i}-{j}", "", 0, 1, "", f"class {i // 2}", "test", "", ""),
            looks[i : i + 1],
            sounds[j],
        )
        for i in range(6)
        for j in range(3 * (i // 2), 3 * (i // 2) + 3)
    ]
    folder = PairsFolder.create(tmp_path / "p", manifest(starter), starter.bank.fingerprint)
    folder.write(made)
    held = HeldOut.open(tmp_path / "p", "test")
    assert (len(held.pairs), len(held.scenes), len(held.sounds)) == (18, 6, 9)
    assert held.owned == [[0, 1, 2]] * 2 + [[3, 4, 5]] * 2 + [[6, 7, 8]] * 2
    assert held.labels == [f"class {i // 2}" for i in range(6)]
    assert held.partners() == [-1] * 6
    assert np.allclose(held.seen(), looks, atol=1e-3)


def test_labels_are_spoken_as_the_phrase_bank_has_them():
    assert spoken("dog") == "a dog barking loudly"
    assert spoken("Washing_Machine ") == spoken("washing machine")
    assert spoken("zyzzyva") == "the sound of zyzzyva"


# Notes and bad input -----------------------------------------------------------------------------


def test_notes_say_what_a_figure_is_worth(compared: Comparison):
    text = "\n".join(compared.notes)
    assert "24 embeddings of 512 dimensions: Fréchet distances are biased upwards" in text
    assert "with 24 independent groups of scenes a share is uncertain by up to 0.200" in text


def test_pairs_without_labels_or_training_split(tmp_path: Path, starter: Models):
    folder = make_pairs(tmp_path / "p", starter, labels=False, train=0, kind="text")
    found = compare(folder, [], models=starter)
    assert [score.name for score in found.scores] == ["true sounds", *PACKED, "bridge", "chance"]
    assert row(found, "bridge").class_top1 is None
    text = "\n".join(found.notes)
    assert "no ridge baseline" in text
    assert "pairs of texts" in text
    assert "no class accuracy" in text


def test_one_class_only(tmp_path: Path, starter: Models):
    found = compare(
        make_pairs(tmp_path / "p", starter, concepts=("dog",), test=8), [], models=starter
    )
    assert (found.classes, row(found, "bridge").class_top1) == (0, None)
    assert row(found, "bridge").recall[10] is None


def test_too_few_pairs(tmp_path: Path, starter: Models):
    folder = make_pairs(tmp_path / "p", starter, concepts=CONCEPTS[:4], test=1)
    with pytest.raises(InputError, match="4 different scenes and 4 different sounds; 5 are needed"):
        compare(folder, [], models=starter)
    with pytest.raises(InputError, match="no pairs of the split 'valid'"):
        compare(folder, [], models=starter, split="valid")


def test_pairs_of_other_models(tmp_path: Path, starter: Models):
    other = make_pairs(tmp_path / "clip", starter, clip_id="ViT-B-32/openai")
    with pytest.raises(ModelError, match=r"CLIP 'ViT-B-32/openai', the pack in use has 'starter/"):
        compare(other, [], models=starter)
    turned = np.roll(starter.bank.fingerprint, 1, axis=0)
    other = make_pairs(tmp_path / "clap", starter, fingerprint=turned)
    with pytest.raises(ModelError, match="another CLAP than the pack's"):
        compare(other, [], models=starter)


def test_mappers_of_other_models(pairs: Path, tmp_path: Path, starter: Models):
    path = tmp_path / "m.safetensors"
    mapper_file(path, starter, clip_id="ViT-B-32/openai")
    with pytest.raises(ModelError, match="made for the CLIP 'ViT-B-32/openai'"):
        compare(pairs, [path], models=starter)
    mapper_file(path, starter, fingerprint=np.roll(starter.bank.fingerprint, 1, axis=0))
    with pytest.raises(ModelError, match="another CLAP"):
        compare(pairs, [path], models=starter)
    mapper_file(path, starter, d_clip=100)
    with pytest.raises(ModelError, match="m: this mapper cannot map these pairs"):
        compare(pairs, [path], models=starter)


def test_a_mapper_that_gives_no_numbers(pairs: Path, tmp_path: Path, starter: Models):
    path = mapper_file(tmp_path / "large.safetensors", starter, scale=1e37)
    with pytest.raises(ModelError, match="large: this mapper gives NaN"):
        compare(pairs, [path], models=starter)


def test_names_that_other_rows_have(pairs: Path, tmp_path: Path, starter: Models):
    path = mapper_file(tmp_path / "ridge.safetensors", starter)
    names = [score.name for score in compare(pairs, [path, path], models=starter).scores]
    assert names == ["true sounds", str(path), *PACKED, "bridge", "ridge", "chance"]
