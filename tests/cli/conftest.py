from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.media.made import noise
from v2a_foley import cuesheet
from v2a_foley.cli import app
from v2a_foley.media.audio import write_wav
from v2a_foley.media.ffmpeg import ffmpeg_exe
from v2a_foley.stems import stem_path

MANIFEST = """\
[pack]
name = "tiny"
version = "1.2"
description = "a pack with nothing in it"
commercial = false

[licences]
generator = "CC BY-NC-SA 4.0"

[clip]
path = "clip"
id = "tiny-clip"
prompts = ["a photo of {}"]

[clap]

[generator]
path = "generator"
window = 10.24
bucket = 2.56

[files]
"weights.bin" = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
"""

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with folders of their own, who has never run the program."""
    folder = tmp_path / "user"
    for kind in ("CONFIG", "DATA"):
        monkeypatch.setenv(f"V2A_FOLEY_{kind}_DIR", str(folder / kind.lower()))
    monkeypatch.setenv("COLUMNS", "120")
    return folder


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs the command line in a folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments: str | Path, answer: str | None = None) -> Result:
        texts = [str(each) for each in arguments]
        return CliRunner().invoke(app, texts, input=answer, catch_exceptions=False)

    return run


@pytest.fixture
def pack(user: Path) -> Path:
    """A model pack that is named but has no models."""
    folder = user / "data" / "packs" / "tiny"
    for part in ("clip", "generator"):
        (folder / part).mkdir(parents=True)
    (folder / "pack.toml").write_text(MANIFEST)
    (folder / "weights.bin").write_bytes(b"test")
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds with one cut and a tone: 1.5 s of a test picture, 1.5 s of a mandelbrot."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    graph = "testsrc2=s=160x120:d=1.5[a];mandelbrot=s=160x120,trim=duration=1.5[b];[a][b]concat"
    sources = ["-f", "lavfi", "-i", graph, "-f", "lavfi", "-i", "sine=440:d=3"]
    coding = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "3"]
    command = [ffmpeg_exe(), "-nostdin", "-v", "error", *sources, *coding, str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture
def video(cli: Cli, clip: Path) -> Path:
    """The clip in the folder where the command line runs."""
    path = Path("clip.mp4").absolute()
    path.write_bytes(clip.read_bytes())
    return path


SHEET = """\
version = 1
seed = 5

[video]
path = "clip.mp4"
duration = 3.0
fingerprint = "abc"

[models]
pack = "tiny"

[[scene]]
id = "001"
start = 0.0
end = 1.5
preset = "city"
seed = 11
tags = [{concept = "street traffic", group = "city", score = 0.43}]

[[scene]]
id = "002"
start = 1.5
end = 3.0
preset = "default"
seed = 12
"""


@pytest.fixture
def sheet(cli: Cli) -> Path:
    """A cue sheet of two scenes."""
    path = Path("clip.cues.toml").absolute()
    path.write_text(SHEET)
    return path


@pytest.fixture
def stems(cli: Cli, sheet: Path) -> Path:
    """A cue sheet whose stems are there: noise, with a handle of 0.15 s at both ends."""
    loaded = cuesheet.load(sheet)
    for scene in loaded.scenes:
        write_wav(stem_path(loaded, scene), noise(scene.duration + 0.3)[:, 0])
    return sheet
