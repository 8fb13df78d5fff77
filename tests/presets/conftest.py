from __future__ import annotations

from pathlib import Path

import pytest

SHIPPED = [
    "ambience", "animals", "cartoon", "city", "crowd", "default", "fire-and-weather", "footsteps",
    "impacts", "machines", "nature", "subtle", "vehicles", "water",
]  # fmt: skip


@pytest.fixture(autouse=True)
def user_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of user presets, found through the environment."""
    monkeypatch.setenv("V2A_FOLEY_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "config" / "presets"
    folder.mkdir(parents=True)
    return folder


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path
