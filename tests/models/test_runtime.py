from __future__ import annotations

import pytest
import torch

from v2a_foley.errors import InputError
from v2a_foley.models.runtime import choose_device, choose_dtype, prepare


def test_torchvision_imports_after_prepare() -> None:
    prepare()
    prepare()
    from torchvision.transforms import Resize

    assert Resize(8)(torch.zeros(3, 16, 16)).shape == (3, 8, 8)


def test_the_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_dtype(torch.device("cpu")) is torch.float32
    assert choose_dtype(torch.device("cuda")) is torch.float16


@pytest.mark.parametrize("name", ["gpu", "cpu:x", "", "cuda:99"])
def test_unknown_or_absent_device(name: str) -> None:
    with pytest.raises(InputError, match="device"):
        choose_device(name)
