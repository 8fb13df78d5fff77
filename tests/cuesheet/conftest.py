from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from v2a_foley.cuesheet import CueSheet, Scene

TEXT = """\
# the job for Monday
version = 1
seed = 7 # lucky

[video]
path = "clip.mp4"
duration = 10.0
fingerprint = "abc123"

[models]
pack = "starter"

[defaults.mix]
loudness = "none"  # mixed elsewhere

# the street
[[scene]]
id = "001"
start = 0.0
end = 1.20 # on the cut
preset = "city"
seed = 1234
tags = [
    {concept = "street traffic", group = "city", score = 0.43}, # sure
    {concept = "dog", group = "animals", score = 0.1},
]

[scene.generation]
steps = 30

# the chase
[[scene]]
id = "002"
start = 1.2
end = 4.5
preset = "footsteps"
seed = 99
"""


@pytest.fixture(autouse=True)
def user_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of user presets, found through the environment."""
    monkeypatch.setenv("V2A_FOLEY_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "config" / "presets"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "clip.cues.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def a_sheet(**changes: Any) -> CueSheet:
    scene = Scene("001", 0.0, 4.0, "city", 5)
    sheet = CueSheet(video=Path("clip.mp4"), duration=10.0, fingerprint="f", scenes=(scene,))
    return replace(sheet, **changes)
