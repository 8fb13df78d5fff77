from __future__ import annotations

from pathlib import Path

import pytest

from tests.library.made import folder_of_sounds
from v2a_foley.library.space import index_folder
from v2a_foley.models.bundle import Models


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a library."""
    folder = tmp_path / "data"
    monkeypatch.setenv("V2A_FOLEY_DATA_DIR", str(folder))
    return folder


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder of five recordings."""
    return folder_of_sounds(tmp_path / "sounds")


@pytest.fixture
def place(data: Path, starter: Models) -> Path:
    """Where the starter's index will be."""
    return index_folder(starter.pack)


class Notes:
    """Keeps what the library tells."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shares: list[float] = []

    def stage(self, name: str, share: float) -> None:
        self.shares.append(share)

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def notes() -> Notes:
    """A receiver of progress."""
    return Notes()
