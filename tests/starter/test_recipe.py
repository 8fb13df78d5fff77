"""The recipe's parts on a few real recordings, for seconds instead of hours."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.material import FOLDER, material
from v2a_foley.models.runtime import prepare

prepare()

from v2a_foley.starter.recipe import data, diffusion, latent, training, vision  # noqa: E402
from v2a_foley.starter.recipe.judge import Judge, examples, shares  # noqa: E402


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[data.Recording]:
    """The test material as a data folder."""
    folder = tmp_path_factory.mktemp("data")
    lines = ["file\tcls\tkind\tcaption\tseconds\tsource_rate\tlicence\tpackage\tpath"]
    for number, path in enumerate(material("sounds")):
        name = path.stem.split("_")[0]
        package = "scratch" if number % 4 == 0 else "made"
        lines.append(f"{path}\t{name}\tfoley\t{name}\t1\t48000\tCC0\t{package}\t{path.name}")
    (folder / "sounds.tsv").write_text("\n".join(lines) + "\n")
    return data.recordings(folder)


def test_recordings_are_level_mono_and_split_by_package(items: list[data.Recording]) -> None:
    assert len(items) == len(material("sounds"))
    assert {item.held_out for item in items} == {True, False}
    assert all(item.held_out == (item.package == "scratch") for item in items)
    assert all(0.05 < np.abs(item.audio).max() < 1 for item in items)


@pytest.mark.parametrize("label", ["glass", "rain"])
@pytest.mark.parametrize("length", [500, 9_000, 40_000, 200_000])
def test_windows_are_full(label: str, length: int) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, length).astype(np.float16)
    made = data.window(audio, label, random.Random(1))
    assert made.shape == (data.WINDOW,)
    assert np.isfinite(made).all()
    halves = np.abs(made).reshape(4, -1).max(1)
    assert (halves > 0).all()


def test_the_autoencoder_learns_resumes_and_has_unit_latents(
    items: list[data.Recording], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latent.train(items, tmp_path, 2.0, batch=2)
    first = training.load_checkpoint(tmp_path / "vae.pt")
    model = latent.train(items, tmp_path, 4.0, batch=2)
    second = training.load_checkpoint(tmp_path / "vae.pt")
    assert first is not None
    assert second is not None
    assert second["step"] > first["step"] > 0
    assert second["spent"] >= 4.0 > first["spent"] >= 2.0
    waves = torch.from_numpy(data.Windows(items, seed=99).batch(8)[0])
    before = model.decode(model.encode(latent.mel_input(waves)).latent_dist.mean).sample.detach()
    latent.fold_statistics(model, items)
    made = model.encode(latent.mel_input(waves)).latent_dist.mean.detach()
    assert made.mean((0, 2, 3)).abs().max() < 0.5
    assert 0.5 < made.std((0, 2, 3)).mean() < 2
    after = model.decode(made).sample.detach()
    assert (after - before).abs().max() < 1e-3


def test_the_denoiser_trains_for_a_moment(tmp_path: Path) -> None:
    latents = torch.randn(6, 16, 64, 8).half()
    calls: list[torch.Tensor] = []

    def condition(index: torch.Tensor) -> torch.Tensor:
        calls.append(index)
        return torch.randn(len(index), diffusion.DIM)

    model = diffusion.train(latents, torch.ones(6), condition, tmp_path, 1.0, batch=4)
    assert calls
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert (tmp_path / "unet.pt").exists()


def test_the_analytic_head_is_conse() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(1000, 1280) * 0.05, torch.zeros(1000)
    classes = torch.nn.functional.normalize(torch.randn(1000, vision.DIM), dim=-1)
    head = vision.conse(weight, bias, classes, shift=1.0)
    feature = weight[123:124] * 40
    seen = torch.nn.functional.normalize(head(feature), dim=-1)
    assert int((seen @ classes.T).argmax()) == 123


def test_the_average_follows_and_keeps_apart() -> None:
    module = torch.nn.Linear(3, 3)
    average = training.Average(module, 0.9)
    start = average.module.weight.clone()
    with torch.no_grad():
        module.weight += 1
    for _ in range(200):
        average.update(module)
    assert torch.allclose(average.module.weight, start + 1, atol=1e-3)


def test_the_budget_counts_time_spent_before() -> None:
    saved: list[float] = []
    shares_seen = list(training.steps(10.0, 9.95, saved.append))
    assert shares_seen[0] >= 0.995
    assert len(saved) == 1
    assert saved[0] >= 10.0


def test_the_judge_knows_what_it_learned(items: list[data.Recording]) -> None:
    judge = Judge([item.label for item in items], examples(items, copies=4))
    rng = random.Random(3)
    ranks = [judge.rank(data.window(i.audio, i.label, rng), i.label) for i in items]
    first, fifth = shares(ranks)
    assert first > 0.6
    assert fifth >= first
    noise = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    assert 0 <= judge.rank(noise, items[0].label) < len(judge.labels)


def test_material_is_credited() -> None:
    credited = (FOLDER / "CREDITS.tsv").read_text()
    for kind in ("sounds", "pictures", "clips", "voices"):
        for path in material(kind):
            assert f"{kind}/{path.name}\t" in credited
            if kind == "sounds":
                assert soundfile.info(path).duration < 20
