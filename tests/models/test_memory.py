from __future__ import annotations

import pytest
import torch

from v2a_foley.errors import ModelError
from v2a_foley.models import memory
from v2a_foley.models.bundle import Models

CPU = torch.device("cpu")


def test_the_need_is_the_weights_and_some_room(starter: Models) -> None:
    need = memory.needed(starter.pack, CPU)
    stored = sum(path.stat().st_size for path in starter.pack.folder.rglob("*.safetensors"))
    assert memory.WORKING + 1.5 * stored < need < memory.WORKING + 2.5 * stored


def test_too_little_is_told_with_both_figures(starter: Models) -> None:
    with pytest.raises(ModelError, match=r"'starter' needs about 1\.\d GiB .* 0\.5 GiB are free"):
        memory.require(starter.pack, CPU, 0.5 * 2**30)


def test_enough_or_unknown_is_no_hindrance(starter: Models) -> None:
    memory.require(starter.pack, CPU, 64 * 2**30)
    memory.require(starter.pack, CPU, None)


def test_this_machine_says_what_it_has() -> None:
    free = memory.available(CPU)
    assert free is None or free > 2**20
