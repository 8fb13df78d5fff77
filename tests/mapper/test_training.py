from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.mapper.made import CLIP_ID, FINGERPRINT, tiny, write_pairs
from v2a_foley.errors import FoleyError, InputError
from v2a_foley.mapper import checkpoint, devices
from v2a_foley.mapper.batches import Batches, Material
from v2a_foley.mapper.curves import Curves
from v2a_foley.mapper.protocol import Mapper
from v2a_foley.mapper.training import Trained, checkpoint_path, train
from v2a_foley.pairs.dataset import Pairs
from v2a_foley.pairs.layout import shard_paths

KINDS = ("regression", "diffusion")


class Stop:
    """Progress that interrupts a training once it is so far."""

    def __init__(self, share: float = 2.0) -> None:
        self.share = share
        self.notes: list[str] = []

    def stage(self, name: str, share: float) -> None:
        if share >= self.share:
            raise KeyboardInterrupt

    def note(self, message: str) -> None:
        self.notes.append(message)


def run(material: Material, output: Path, kind: str = "regression", **training: float) -> Trained:
    made = train(material, output, tiny(kind, output.parent, **training), device="cpu")
    assert made is not None
    return made


def loaded(path: Path) -> Mapper:
    return checkpoint.load(path, clip_id=CLIP_ID, fingerprint=FINGERPRINT)[1]


def cosine(mapper: Mapper, material: Material) -> float:
    scenes = [torch.from_numpy(material.pairs.frames(i)) for i in material.held_out]
    mapped = mapper.map(scenes, generator=torch.Generator().manual_seed(0)).numpy()
    return float((mapped * material.pairs.audio(material.held_out)).sum(1).mean())


# What comes out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapper_learns(material: Material, tmp_path: Path, kind: str) -> None:
    made = run(material, tmp_path / "mine.safetensors", kind, steps=300, interval=100)
    header, mapper = checkpoint.load(made.path, clip_id=CLIP_ID, fingerprint=FINGERPRINT)
    assert header.kind == kind == mapper.kind
    # Two sounds belong to each look: a guess of the class is right for one half of them.
    assert cosine(mapper, material) > 0.35
    assert header.metrics["valid_cosine"] == pytest.approx(cosine(mapper, material), abs=0.1)
    assert header.training["pairs"] == len(material.learned) == made.pairs
    assert header.training["classes"] == 6
    assert header.training["steps"] == 300
    assert {p.name for p in tmp_path.iterdir()} == {
        "mine.safetensors", "mine.losses.jsonl", "mine.losses.png", f"{kind}.toml",
    }  # fmt: skip


def test_diffusion_has_the_variety_that_regression_lacks(
    material: Material, tmp_path: Path
) -> None:
    mappers = {
        kind: loaded(run(material, tmp_path / f"{kind}.safetensors", kind, steps=400).path)
        for kind in KINDS
    }
    # One look, heard in two ways: the mean lies between them, samples near one or the other.
    of_one = [i for i in material.learned if material.pairs.records[i].label == "class 0"]
    scenes = [torch.from_numpy(material.pairs.frames(i)) for i in of_one]
    truth = material.pairs.audio(np.array(of_one))
    nearest = {}
    for kind, mapper in mappers.items():
        made = mapper.map(scenes, generator=torch.Generator().manual_seed(0)).numpy()
        nearest[kind] = float((made @ truth.T).max(1).mean())
    assert nearest["diffusion"] > nearest["regression"]


def test_the_same_seed_makes_the_same_file(material: Material, tmp_path: Path) -> None:
    paths = [run(material, tmp_path / f"{n}.safetensors", "diffusion").path for n in (1, 2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    other = train(
        material, tmp_path / "3.safetensors", tiny("diffusion", tmp_path), seed=1, device="cpu"
    )
    assert other is not None
    assert other.path.read_bytes() != paths[0].read_bytes()


def test_curves(material: Material, tmp_path: Path) -> None:
    made = run(material, tmp_path / "m.safetensors")
    rows = [json.loads(line) for line in made.curves.read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    looks = [row for row in rows if "valid_loss" in row]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert [row["step"] for row in looks] == [20, 40, 60]
    assert min(row["valid_loss"] for row in looks) == pytest.approx(made.metrics["valid_loss"])
    assert (tmp_path / "m.losses.png").read_bytes().startswith(b"\x89PNG")


def test_no_matplotlib_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    curves = Curves(tmp_path / "m.safetensors")
    curves.begin(0)
    assert not curves.draw()


def test_training_stops_when_the_held_out_loss_rises(tmp_path: Path) -> None:
    few = Material.open(write_pairs(tmp_path / "pairs", 40, spread=2.0))
    made = run(few, tmp_path / "m.safetensors", steps=3000, interval=10, patience=3)
    assert made.steps < 3000
    assert made.best_step == made.steps - 30


def test_with_nothing_held_out_the_last_is_kept(tmp_path: Path) -> None:
    whole = Material.open(write_pairs(tmp_path / "pairs", 60, held_out=0.0))
    made = run(whole, tmp_path / "m.safetensors")
    assert (made.held_out, made.steps, made.metrics) == (0, 60, {})
    assert loaded(made.path).kind == "regression"


def test_noise_on_the_frames(material: Material, tmp_path: Path) -> None:
    plain = run(material, tmp_path / "a.safetensors")
    noisy = run(material, tmp_path / "b.safetensors", noise=0.5)
    assert noisy.path.read_bytes() != plain.path.read_bytes()


def test_half_precision(material: Material, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    made = train(material, output, tiny("diffusion", tmp_path), device="cpu", precision="bf16")
    assert made is not None
    assert {v.dtype for v in loaded(output).state_dict().values()} == {torch.float32}  # type: ignore[attr-defined]


# Interruptions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_was_interrupted_ends_the_same(
    material: Material, tmp_path: Path, kind: str
) -> None:
    whole = run(material, tmp_path / "whole.safetensors", kind)
    output = tmp_path / "mine.safetensors"
    for share in (0.4, 0.9):
        stop = Stop(share)
        with pytest.raises(KeyboardInterrupt):
            train(material, output, tiny(kind, tmp_path), device="cpu", progress=stop)
        assert any("goes on from the last checkpoint" in note for note in stop.notes)
        assert not output.exists()
    made = run(material, output, kind)
    assert made.resumed == 40
    assert output.read_bytes() == whole.path.read_bytes()
    assert made.curves.read_bytes() == whole.curves.read_bytes()
    assert not checkpoint_path(output).exists()


def interrupted(material: Material, output: Path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        train(material, output, tiny("regression", output.parent), device="cpu", progress=Stop(0.5))
    return checkpoint_path(output)


def test_more_steps_may_be_asked_for(material: Material, tmp_path: Path) -> None:
    interrupted(material, tmp_path / "m.safetensors")
    assert run(material, tmp_path / "m.safetensors", steps=80).steps == 80


def test_a_checkpoint_of_another_training_is_refused(material: Material, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    kept = interrupted(material, output)
    before = kept.read_bytes()
    with pytest.raises(InputError, match=r"training\.lr 0\.003, not 0\.001.*remove it"):
        run(material, output, lr=1e-3)
    with pytest.raises(InputError, match="with kind 'regression', not 'diffusion'"):
        run(material, output, "diffusion")
    others = Material.open(write_pairs(tmp_path / "pairs", 100))
    with pytest.raises(InputError, match="with pairs "):
        run(others, output)
    assert kept.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_damaged_checkpoint(material: Material, tmp_path: Path, share: float) -> None:
    output = tmp_path / "m.safetensors"
    kept = interrupted(material, output)
    data = kept.read_bytes()
    kept.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"damaged checkpoint .*: remove it to begin anew"):
        run(material, output)


# Bad input ---------------------------------------------------------------------------------------


def test_too_few_pairs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 10 pairs to learn from, at least 16"):
        Material.open(write_pairs(tmp_path / "pairs", 10, held_out=0.0))


def test_one_class_only_is_told(tmp_path: Path) -> None:
    one = Material.open(write_pairs(tmp_path / "pairs", 60, classes=1))
    told = Stop()
    wanted = tiny("regression", tmp_path, steps=2)
    train(one, tmp_path / "m.safetensors", wanted, device="cpu", progress=told)
    assert any("of one class" in note for note in told.notes)


def test_pairs_that_all_sound_the_same(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs", 60)
    path = shard_paths(folder, 0)[0]
    arrays = load_file(path)
    arrays["audio"][:] = arrays["audio"][0]
    save_file(arrays, path)
    with pytest.raises(InputError, match="all pairs sound the same"):
        Material.open(folder)


def test_numbers_that_are_none(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs", 60)
    path = shard_paths(folder, 0)[0]
    arrays = load_file(path)
    arrays["frames"][5] = np.nan
    save_file(arrays, path)
    output = tmp_path / "m.safetensors"
    with pytest.raises(InputError, match="no embeddings"):
        run(Material.open(folder), output)
    assert not output.exists()


def test_a_loss_that_runs_away(material: Material, tmp_path: Path) -> None:
    class Loud(Pairs):
        def audio(self, indices: np.ndarray | slice) -> np.ndarray:
            return super().audio(indices) * np.float32(1e30)

    loud = replace(material, pairs=Loud.open(material.pairs.folder))
    output = tmp_path / "m.safetensors"
    with pytest.raises(FoleyError, match=r"no number any more at step 10: train with a lower"):
        run(loud, output)
    assert not output.exists()


OUTPUTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "exists": (lambda path: path.write_bytes(b"x"), "exists already"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "curves": (
        lambda path: path.with_name("m.losses.jsonl").write_text("{}"), "jsonl: exists already",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTPUTS)
def test_outputs_that_must_not_be_written(material: Material, tmp_path: Path, what: str) -> None:
    prepare, message = OUTPUTS[what]
    output = tmp_path / "m.safetensors"
    prepare(output)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        train(material, output, tiny("regression", tmp_path), device="cpu")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "regression.toml"])


def test_overwrite(material: Material, tmp_path: Path) -> None:
    first = run(material, tmp_path / "m.safetensors").path.read_bytes()
    wanted = tiny("diffusion", tmp_path)
    output = tmp_path / "m.safetensors"
    train(material, output, wanted, device="cpu", overwrite=True)
    assert output.read_bytes() != first
    assert loaded(output).kind == "diffusion"


def test_the_name_says_what_it_is(material: Material, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        train(material, tmp_path / "m.pt", tiny("regression", tmp_path), device="cpu")


def test_devices() -> None:
    with pytest.raises(InputError, match="fp16 needs a CUDA device"):
        devices.accelerator("cpu", "fp16")
    with pytest.raises(InputError, match="precision 'half'"):
        devices.accelerator("cpu", "half")
    with pytest.raises(InputError, match="unknown device"):
        devices.accelerator("tpu9")


# Batches -----------------------------------------------------------------------------------------


def test_an_epoch_sees_each_pair_once(material: Material) -> None:
    batches = Batches(material, 32, 16, seed=3)
    seen = np.concatenate([batches.indices(step) for step in range(batches.per_epoch)])
    assert len(set(seen)) == len(seen) == batches.per_epoch * 32
    assert set(seen) <= set(material.learned)
    again = np.concatenate([batches.indices(batches.per_epoch + s) for s in range(3)])
    assert not np.array_equal(again, seen[: len(again)])


def test_processes_share_a_batch(material: Material) -> None:
    batches = Batches(material, 32, 16, seed=3)
    (whole,) = batches.stream(5, 6)
    halves = [next(iter(batches.stream(5, 6, rank, 2))) for rank in (0, 1)]
    assert torch.equal(torch.stack([h[2] for h in halves], 1).flatten(0, 1), whole[2])


def test_epochs_in_steps(material: Material) -> None:
    assert material.steps(3, 64) == 3 * (len(material.learned) // 64)
    assert material.steps(3, 10**6) == 3


def test_flagged_pairs_and_other_splits_are_left_out(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs", 100)
    lines = shard_paths(folder, 0)[1]
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    for record in records[:20]:
        record["speech"] = 0.8
    records[30]["split"] = "test"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    few, all_ = Material.open(folder), Material.open(folder, speech=1.0)
    assert len(few.learned) + len(few.held_out) == 79
    assert len(all_.learned) + len(all_.held_out) == 99
    assert few.digest != all_.digest
    shutil.rmtree(folder)
    assert asdict(few.pairs.records[0])["speech"] == 0.0
