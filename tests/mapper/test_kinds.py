from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from v2a_foley.mapper import config, kinds
from v2a_foley.mapper.config import DiffusionSettings, FrameSettings, RegressionSettings
from v2a_foley.mapper.diffusion import Diffusion
from v2a_foley.mapper.network import CHUNK, Network

MODELS = {
    "regression": RegressionSettings(width=16, blocks=1),
    "diffusion": DiffusionSettings(layers=1, heads=2, head_width=8, steps=3),
}


def network(kind: str, **frames: str | int) -> Network:
    torch.manual_seed(0)
    settings = FrameSettings(**frames)  # type: ignore[arg-type]
    return kinds.build(12, 10, settings, MODELS[kind]).eval().requires_grad_(False)


def scenes(*lengths: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [normalize(torch.randn(length, 12), dim=-1) for length in lengths]


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("aggregation", ["mean", "attention", "key_frame", "transformer"])
def test_maps_to_unit_length(kind: str, aggregation: str) -> None:
    mapped = network(kind, aggregation=aggregation).map(scenes(1, 4, 30), generator=seeded(1, 2, 3))
    assert mapped.shape == (3, 10)
    assert mapped.dtype == torch.float32
    assert mapped.norm(dim=-1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("kind", MODELS)
def test_an_item_maps_the_same_alone_and_among_others(kind: str) -> None:
    mapper, items = network(kind), scenes(1, 4, 2)
    together = mapper.map(items, generator=seeded(1, 2, 3))
    for index, item in enumerate(items):
        alone = mapper.map([item], generator=seeded(index + 1))
        assert torch.allclose(alone[0], together[index], atol=1e-5)


def test_one_generator_is_drawn_from_item_after_item() -> None:
    mapper = network("diffusion")
    items = scenes(*[1] * (CHUNK + 2))
    whole = mapper.map(items, generator=torch.Generator().manual_seed(5))
    one = torch.Generator().manual_seed(5)
    parts = torch.cat([mapper.map(items[:7], generator=one), mapper.map(items[7:], generator=one)])
    assert torch.allclose(whole, parts, atol=1e-5)
    assert not torch.allclose(whole[0], mapper.map(items[:1], generator=seeded(6))[0], atol=1e-3)


@pytest.mark.parametrize("kind", MODELS)
def test_the_loss_of_a_batch_reaches_every_weight(kind: str) -> None:
    for aggregation in ("attention", "transformer"):
        trained = network(kind, aggregation=aggregation).train().requires_grad_(True)
        if isinstance(trained, Diffusion):
            trained.prior.clip_mean.requires_grad_(False)
            trained.prior.clip_std.requires_grad_(False)
        mask = torch.ones(20, 3, dtype=torch.bool)
        frames = torch.stack(scenes(*[3] * 20))
        loss = trained(frames, mask, normalize(torch.randn(20, 10), dim=-1))
        loss.backward()
        without = [n for n, w in trained.named_parameters() if w.requires_grad and w.grad is None]
        assert without == []


def test_a_loss_of_cosines_is_between_none_and_two() -> None:
    model = RegressionSettings(width=16, blocks=0, loss="cosine")
    trained = kinds.build(12, 10, FrameSettings(), model)
    frames = torch.stack(scenes(2, 2))
    loss = trained(frames, torch.ones(2, 2, dtype=torch.bool), torch.eye(2, 10))
    assert 0 < loss.item() < 2


def test_the_full_size_is_the_paper_s_within_two_percent() -> None:
    paper = config.load("diffusion")
    with torch.device("meta"):
        full = kinds.build(512, 512, paper.frames, paper.model)
    count = sum(weight.numel() for weight in full.parameters() if weight.requires_grad)
    assert count == pytest.approx(48.83e6, rel=0.02)


def test_small_configs_are_small() -> None:
    for name in ("diffusion-small", "regression-mlp", "regression-transformer"):
        small = config.load(name)
        with torch.device("meta"):
            made = kinds.build(512, 512, small.frames, small.model)
        assert 1e6 < sum(weight.numel() for weight in made.parameters()) < 3e6


def test_more_guidance_changes_the_sample() -> None:
    plain = network("diffusion")
    assert isinstance(plain, Diffusion)
    torch.nn.init.normal_(plain.nothing)
    first = plain.map(scenes(2), generator=seeded(1))
    plain.settings = replace(plain.settings, guidance=3.0)
    assert not torch.allclose(first, plain.map(scenes(2), generator=seeded(1)), atol=1e-3)


def test_more_samples_come_nearer_to_the_mean() -> None:
    mapper = network("diffusion")
    assert isinstance(mapper, Diffusion)
    items = scenes(*[1] * 50)
    near = []
    for samples in (1, 16):
        mapper.settings = replace(mapper.settings, samples=samples)
        mapped = mapper.map(items, generator=torch.Generator().manual_seed(0))
        again = mapper.map(items, generator=torch.Generator().manual_seed(1))
        near.append(float((mapped * again).sum(1).mean()))
    assert near[1] > near[0]
