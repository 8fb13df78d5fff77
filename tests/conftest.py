"""What all tests share: private folders, and the models, loaded once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.media.clips import shots

# A suite that was started in the background ignores Ctrl-C, and so would the programs it tests.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Threads that wait by spinning slow torch down twentyfold when anything else wants a core.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Before any import of the hub's library: no test may reach for the network.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session", autouse=True)
def private_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Caches, configuration and fetched packs of the tests, apart from the user's."""
    folder = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "CONFIG", "DATA"):
            patch.setenv(f"V2A_FOLEY_{name}_DIR", str(folder / name.lower()))
        yield folder


@pytest.fixture(scope="session")
def starter() -> object:
    """The starter pack's models on the CPU."""
    from v2a_foley.models.bundle import Models

    return Models("starter", "cpu")


@pytest.fixture(scope="session")
def three_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A silent clip of three shots: 1.2, 2 and 0.8 seconds."""
    return shots(tmp_path_factory.mktemp("clips") / "three shots.mp4", [1.2, 2.0, 0.8])
