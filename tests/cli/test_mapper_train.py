"""``mapper train`` from end to end, killed and gone on with, and what it makes in use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import Cli
from tests.cli.refusal import refused
from tests.mapper.made import TINY, write_pairs
from v2a_foley import cuesheet
from v2a_foley.models.bundle import Models

TRAIN = ("mapper", "train", "pairs", "--config", "tiny.toml", "-o", "mine.safetensors")


@pytest.fixture
def pairs(cli: Cli) -> Path:
    """A folder of made pairs and a tiny config, where the command line runs."""
    Path("tiny.toml").write_text(TINY["regression"])
    return write_pairs(Path("pairs"))


# What it says and writes -------------------------------------------------------------------------


def test_prints_the_mapper_and_says_how_good_it_is(cli: Cli, pairs: Path) -> None:
    result = cli(*TRAIN, "--device", "cpu", "--steps", "40")
    assert (result.exit_code, result.stdout) == (0, "mine.safetensors\n")
    assert "step 40: held-out loss" in result.stderr
    assert "regression mapper of 0.00 M parameters, on " in result.stderr
    assert "valid cosine" in result.stderr
    assert {path.name for path in Path().iterdir()} == {
        "pairs", "tiny.toml", "mine.safetensors", "mine.losses.jsonl", "mine.losses.png",
    }  # fmt: skip


def test_json(cli: Cli, pairs: Path) -> None:
    result = cli(*TRAIN, "--device", "cpu", "--epochs", "2", "--batch-size", "50", "--json", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    assert record["path"] == "mine.safetensors"
    assert record["steps"] == 2 * (record["pairs"] // 50)
    assert set(record["metrics"]) == {"valid_loss", "valid_cosine"}


def test_a_kind_alone_takes_the_config_that_ships(cli: Cli, pairs: Path) -> None:
    result = cli(
        "mapper", "train", "pairs", "--kind", "regression", "-o", "mine.safetensors",
        "--steps", "2", "--device", "cpu", "--json", "-q",
    )  # fmt: skip
    assert json.loads(result.stdout)["parameters"] > 2e6


# Refusals ----------------------------------------------------------------------------------------

BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing to train": (("pairs",), "--kind regression, --kind diffusion or --config"),
    "the bridge": (("pairs", "--kind", "bridge"), "bridge: it is not trained; choose regression"),
    "kind": (("pairs", "--kind", "magic"), "--kind magic; choose regression or diffusion"),
    "both": (
        ("pairs", "--kind", "diffusion", "--config", "tiny.toml"),
        "the config tiny.toml is of kind regression; leave out --kind",
    ),
    "steps and epochs": (
        ("pairs", "--config", "tiny.toml", "--steps", "3", "--epochs", "1"), "give one",
    ),
    "config": (("pairs", "--config", "tinny"), "unknown mapper config 'tinny': choose one of"),
    "lr": (("pairs", "--config", "tiny.toml", "--lr", "-1"), "training.lr must be from"),
    "steps": (("pairs", "--config", "tiny.toml", "--steps", "0"), "training.steps must be from 1"),
    "no pairs": (("none", "--config", "tiny.toml"), "none: is not a folder of pairs"),
    "a file": (("tiny.toml", "--config", "tiny.toml"), "tiny.toml: is not a folder of pairs"),
    "device": (("pairs", "--config", "tiny.toml", "--device", "x"), "unknown device 'x'"),
    "precision": (
        ("pairs", "--config", "tiny.toml", "--device", "cpu", "--precision", "fp16"),
        "fp16 needs a CUDA device",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_refused(cli: Cli, pairs: Path, what: str) -> None:
    arguments, message = BAD[what]
    line = refused(cli, "mapper", "train", *arguments, "-o", "mine.safetensors")
    assert message in line


def test_refused_outputs(cli: Cli, pairs: Path) -> None:
    start = ("mapper", "train", "pairs", "--config", "tiny.toml", "-o")
    assert "must end in .safetensors" in refused(cli, *start, "mine.bin")
    Path("mine.safetensors").write_bytes(b"mine")
    assert "exists already; remove it or use --overwrite" in refused(cli, *start, TRAIN[-1])


def test_a_corrupt_shard(cli: Cli, pairs: Path) -> None:
    shard = pairs / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:1000])
    assert "shard-00000.safetensors: damaged or no shard" in refused(cli, *TRAIN)


# Killed ------------------------------------------------------------------------------------------


def start(folder: Path, output: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "v2a_foley", "mapper", "train", "pairs", "--config", "tiny.toml",
        "-o", output, "--steps", "300", "--device", "cpu", "--quiet",
    ]  # fmt: skip
    return subprocess.Popen(command, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_killed_and_gone_on_with_it_ends_the_same(cli: Cli, pairs: Path) -> None:
    Path("tiny.toml").write_text(TINY["diffusion"].replace("interval = 20", "interval = 50"))
    folder = Path().absolute()
    assert start(folder, "whole.safetensors").wait(240) == 0
    kept = folder / "mine.checkpoint.pt"
    child = start(folder, "mine.safetensors")
    while not kept.exists():
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    assert child.wait(60) != 0
    assert not (folder / "mine.safetensors").exists()
    done = cli(*TRAIN, "--steps", "300", "--device", "cpu", "--lr", "0.1")
    assert done.exit_code == 2
    assert "mine.checkpoint.pt: is the checkpoint of a training with training.lr" in done.stderr
    assert start(folder, "mine.safetensors").wait(240) == 0
    for name in ("{}.safetensors", "{}.losses.jsonl"):
        mine, whole = (folder / name.format(each) for each in ("mine", "whole"))
        assert mine.read_bytes() == whole.read_bytes()
    assert not kept.exists()


def test_two_processes_train_one_mapper(cli: Cli, pairs: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, "-m", "v2a_foley", *TRAIN, "--device", "cpu"],
        capture_output=True, text=True, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "mine.safetensors\n"), done.stderr
    assert done.stderr.count("step 60: held-out loss") == 1
    alone = cli(*TRAIN[:-1], "alone.safetensors", "--device", "cpu", "--json", "-q")
    metrics = json.loads(alone.stdout)["metrics"]
    words = re.search(r"valid cosine ([\d.]+)", done.stderr)
    assert words is not None
    assert float(words[1]) == pytest.approx(metrics["valid_cosine"], abs=0.05)


# In use ------------------------------------------------------------------------------------------

FAST = ("--steps", "3", "--candidates", "1", "--models", "starter", "--device", "cpu")


@pytest.fixture(scope="session")
def fitting(tmp_path_factory: pytest.TempPathFactory, starter: Models) -> Path:
    """Made pairs with the sizes and names of the starter pack's CLIP and CLAP."""
    return write_pairs(
        tmp_path_factory.mktemp("fitting") / "pairs", 60, d_clip=512, d_clap=512,
        clip_id=starter.pack.clip_id, fingerprint=starter.bank.fingerprint,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["regression", "diffusion"])
@pytest.mark.parametrize("per", ["window", "scene"])
def test_a_trained_mapper_renders_a_long_scene(
    cli: Cli, video: Path, fitting: Path, starter: Models, kind: str, per: str
) -> None:
    frames = f'[frames]\naggregation = "attention"\nper = "{per}"\n'
    Path("tiny.toml").write_text(TINY[kind] + frames)
    made = cli("mapper", "train", fitting, "--config", "tiny.toml", "-o", "m.safetensors", "-q")
    assert made.exit_code == 0, made.stderr
    cli("spot", video, "-o", "a.cues.toml", "--models", "starter", "--device", "cpu", "-q")
    sheet = cuesheet.load(Path("a.cues.toml"))
    text = Path("a.cues.toml").read_text()
    last = f"end = {sheet.scenes[-1].end}"
    assert last in text
    Path("a.cues.toml").write_text(
        text.replace(last, "end = 11.0").replace(f"duration = {sheet.duration}", "duration = 11.0")
    )
    result = cli("render", "a.cues.toml", "--mapper", "m.safetensors", *FAST, "--json", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    stem = Path(json.loads(result.stdout)["scenes"][-1]["stem"])
    wave = soundfile.read(stem)[0]
    assert len(wave) > 9 * 48_000
    assert np.sqrt((wave**2).mean()) > 1e-4
    again = cli("render", "a.cues.toml", "--mapper", "m.safetensors", *FAST, "-q")
    assert again.exit_code == 0
    assert (soundfile.read(stem)[0] == wave).all()


def test_run_with_a_mapper(cli: Cli, video: Path, fitting: Path) -> None:
    Path("tiny.toml").write_text(TINY["diffusion"])
    cli("mapper", "train", fitting, "--config", "tiny.toml", "-o", "m.safetensors", "-q")
    result = cli("run", video, "--mapper", "m.safetensors", *FAST, "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert Path(result.stdout.strip()).stat().st_size > 1000


def test_a_mapper_of_other_models_is_refused(cli: Cli, video: Path, pairs: Path) -> None:
    cli(*TRAIN, "-q", "--device", "cpu")
    line = refused(cli, "run", video, "--mapper", "mine.safetensors", "--models", "starter")
    assert "made for the CLIP 'made/clip'" in line
