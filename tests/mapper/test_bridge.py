from __future__ import annotations

import pytest
import torch

from v2a_foley.mapper.bridge import Bridge, phrases
from v2a_foley.models.bundle import Models


def bridge(temperature: float = 0.01, top_k: int = 3) -> Bridge:
    return Bridge(torch.eye(4, 6), torch.eye(4, 5), temperature, top_k)


def test_a_key_maps_to_its_value() -> None:
    mapped = bridge().map([torch.eye(4, 6)[2:3]])
    assert mapped.shape == (1, 5)
    assert torch.allclose(mapped, torch.eye(4, 5)[2:3], atol=1e-3)


def test_between_two_keys_lies_between_their_values() -> None:
    visual = torch.tensor([[1.0, 1, 0, 0, 0, 0]])
    mapped = bridge().map([visual])
    assert torch.allclose(mapped, torch.tensor([[0.5**0.5, 0.5**0.5, 0, 0, 0]]), atol=1e-3)


def test_top_k_one_takes_the_nearest() -> None:
    visual = torch.tensor([[1.0, 0.9, 0, 0, 0, 0]])
    mapped = bridge(temperature=10.0, top_k=1).map([visual])
    assert torch.allclose(mapped, torch.eye(1, 5))


def test_several_frames_are_their_mean() -> None:
    frames = torch.eye(4, 6)
    scenes = [frames[:2], frames[2:3]]
    mapped = bridge().map(scenes)
    assert mapped.shape == (2, 5)
    assert torch.allclose(mapped[0], bridge().map([frames[:2].mean(0, keepdim=True)])[0])
    assert torch.allclose(mapped[1], torch.eye(4, 5)[2], atol=1e-3)


def test_a_higher_temperature_blends_more() -> None:
    visual = torch.tensor([[1.0, 0.5, 0.2, 0, 0, 0]])
    entropies = []
    for temperature in (0.01, 0.1, 1.0):
        weights, _ = bridge(temperature, 4).weights(visual)
        entropies.append(float(-(weights * weights.clamp_min(1e-12).log()).sum()))
    assert entropies == sorted(entropies)


def test_mapped_is_unit_length_and_independent_of_the_batch(starter: Models) -> None:
    torch.manual_seed(0)
    visual = torch.nn.functional.normalize(torch.randn(5, 2, 512), dim=-1).numpy()
    mapped = starter.map(visual, temperature=0.02, top_k=8, seed=0)
    alone = starter.map(visual[3:4], temperature=0.02, top_k=8, seed=0)
    assert mapped.shape == (5, 512)
    assert (mapped**2).sum(1) == pytest.approx(1.0, abs=1e-4)
    assert abs(mapped[3] - alone[0]).max() < 1e-5


def test_the_bank_is_large() -> None:
    assert len(phrases()) >= 500
