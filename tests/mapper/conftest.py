from __future__ import annotations

from pathlib import Path

import pytest

from tests.mapper.made import write_pairs
from v2a_foley.mapper.batches import Material


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 240 made pairs."""
    return write_pairs(tmp_path_factory.mktemp("made") / "pairs")


@pytest.fixture(scope="session")
def material(folder: Path) -> Material:
    """The made pairs, opened for training."""
    return Material.open(folder)
