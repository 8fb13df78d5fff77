from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from v2a_foley.mapper.aggregation import build, gather
from v2a_foley.mapper.config import FrameSettings

NAMES = ("mean", "attention", "key_frame", "transformer")


def scenes(*lengths: int, d: int = 8) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [normalize(torch.randn(length, d), dim=-1) for length in lengths]


def aggregate(name: str, items: list[torch.Tensor], most: int = 16) -> torch.Tensor:
    torch.manual_seed(1)
    made = build(FrameSettings(aggregation=name, width=8, heads=2), 8, 0.0).eval()
    with torch.no_grad():
        return made(*gather(items, most))


def test_gather_pads_and_says_where() -> None:
    items = scenes(1, 3)
    frames, mask = gather(items, 16)
    assert frames.shape == (2, 3, 8)
    assert mask.tolist() == [[True, False, False], [True, True, True]]
    assert (frames[0, 1:] == 0).all()
    assert (frames[1] == items[1]).all()


def test_of_many_frames_some_are_picked_evenly() -> None:
    (item,) = scenes(101)
    frames, mask = gather([item], 5)
    assert (frames[0] == item[[0, 25, 50, 75, 100]]).all()
    assert mask.all()


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name: str) -> None:
    short, long = scenes(2, 7)
    together = aggregate(name, [short, long])
    assert torch.allclose(together[:1], aggregate(name, [short]), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_vector_is_as_long_as_networks_like_it(name: str) -> None:
    made = aggregate(name, scenes(1, 2, 9))
    assert made.shape == (3, 8)
    assert made.norm(dim=-1).tolist() == pytest.approx([8**0.5] * 3, rel=1e-3)


def test_mean_and_untrained_attention_are_the_mean() -> None:
    (item,) = scenes(5)
    mean = normalize(item.mean(0), dim=-1) * 8**0.5
    for name in ("mean", "attention"):
        assert torch.allclose(aggregate(name, [item])[0], mean, atol=1e-5)


def test_the_key_frame_is_the_most_typical() -> None:
    main, stray = torch.eye(2, 8)
    near = normalize(main + 0.1 * torch.eye(8)[3], dim=-1)
    made = aggregate("key_frame", [torch.stack([stray, main, near])])
    assert torch.allclose(made[0], main * 8**0.5) or torch.allclose(made[0], near * 8**0.5)


def test_a_transformer_takes_frames_as_a_set() -> None:
    (item,) = scenes(6)
    once, turned = aggregate("transformer", [item]), aggregate("transformer", [item.flip(0)])
    assert torch.allclose(once, turned, atol=1e-5)
