from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.review import made
from tests.review.chromium import Browser
from v2a_foley.cuesheet import CueSheet


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests; each page has cookies of its own."""
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots with a tone, made once."""
    return made.video(tmp_path_factory.mktemp("video") / "clip.mp4")


@pytest.fixture
def clip(tmp_path: Path, video: Path) -> Path:
    """The video beside the sheet."""
    return Path(shutil.copy(video, tmp_path / "clip.mp4"))


@pytest.fixture
def sheet(tmp_path: Path, clip: Path) -> CueSheet:
    """A sheet that was rendered."""
    return made.rendered(made.spotted(tmp_path, clip))
