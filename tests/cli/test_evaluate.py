from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Cli
from tests.cli.refusal import listing, refused
from tests.evaluate.conftest import CONCEPTS, make_pairs
from tests.evaluate.made import mapper_file
from tests.material import material
from v2a_foley.media.audio import write_wav
from v2a_foley.models.bundle import Models

STARTER = ("--models", "starter", "--device", "cpu")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, starter: Models) -> Path:
    return make_pairs(tmp_path_factory.mktemp("pairs") / "pairs", starter, concepts=CONCEPTS[:4])


@pytest.fixture
def pairs(cli: Cli, embedded: Path) -> Path:
    return Path(shutil.copytree(embedded, "pairs"))


@pytest.fixture
def sounds(cli: Cli) -> Path:
    """Two real sounds, and captions of them in captions.tsv."""
    folder = Path("sounds")
    folder.mkdir()
    for path in material("sounds")[:2]:
        shutil.copy(path, folder)
    Path("captions.tsv").write_text(
        "file\tcaption\n" + "".join(f"{p.name}\t{p.stem}\n" for p in folder.iterdir())
    )
    return folder


# Mappers -----------------------------------------------------------------------------------------


def test_mappers_as_a_table_as_json_and_as_a_report(cli: Cli, pairs: Path, starter: Models):
    mapper_file(Path("mine.safetensors"), starter)
    command = ("evaluate", "mapper", pairs, "mine.safetensors", *STARTER)
    shown = cli(*command, "--quiet")
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0].split()[:4] == ["mapper", "cosine", "R@1", "R@5"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "true sounds", "mine", "regression (the pack's)", "diffusion (the pack's)",
        "bridge", "ridge", "chance",
    ]  # fmt: skip
    result = cli(*command, "--json", "--report", "out/r.md")
    assert result.exit_code == 0
    assert "note: 12 embeddings of 512 dimensions" in result.stderr
    found = json.loads(result.stdout)
    assert (found["split"], found["scenes"], found["classes"]) == ("test", 12, 4)
    bridge = next(score for score in found["scores"] if score["name"] == "bridge")
    assert bridge["recall"] == {"1": bridge["recall"]["1"], "5": 1.0, "10": 1.0}
    assert {each.name for each in Path("out").iterdir()} == {"r.md", "r.gap.png", "r.recall.png"}
    assert Path("out/r.md").read_text().count(f"{bridge['frechet']:.4f}") == 1
    assert json.loads(cli(*command, "--json").stdout) == found


def test_another_split(cli: Cli, pairs: Path):
    result = cli("evaluate", "mapper", pairs, *STARTER, "--split", "train", "--json")
    assert json.loads(result.stdout)["scenes"] == 24
    assert "which training may have seen" in result.stderr


def test_mappers_that_are_refused(cli: Cli, pairs: Path, starter: Models):
    mapper_file(Path("other.safetensors"), starter, clip_id="ViT-B-32/openai")
    Path("text.safetensors").write_text("no mapper")
    command = ("evaluate", "mapper", pairs, *STARTER, "--report", "r.md")
    assert "made for the CLIP 'ViT-B-32/openai'" in refused(cli, *command, "other.safetensors")
    assert "not a mapper file, or damaged" in refused(cli, *command, "text.safetensors")
    assert "no such mapper file" in refused(cli, *command, "none.safetensors")


def test_pairs_that_are_refused(cli: Cli, pairs: Path, starter: Models):
    def line(*more: str) -> str:
        return refused(cli, "evaluate", "mapper", *STARTER, *more)

    assert "is not a folder of pairs" in line("none")
    assert "choose one of train, valid, test" in line("pairs", "--split", "all")
    assert "no pairs of the split 'valid'" in line("pairs", "--split", "valid")
    shard = pairs / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert "shard-00000.safetensors: damaged" in line("pairs")
    make_pairs(Path("few"), starter, concepts=CONCEPTS[:1], test=3)
    assert "has 3 different scenes and 3 different sounds; 5 are needed" in line("few")
    make_pairs(Path("other"), starter, clip_id="ViT-B-32/openai")
    assert "made with the CLIP 'ViT-B-32/openai'" in line("other")


def test_pairs_that_hold_no_numbers(cli: Cli, pairs: Path):
    from safetensors.numpy import load_file, save_file

    shard = pairs / "shard-00000.safetensors"
    tensors = load_file(shard)
    tensors["audio"][-1, 0] = np.nan
    save_file(tensors, shard)
    line = refused(cli, "evaluate", "mapper", "pairs", *STARTER)
    assert "shard-00000.safetensors: holds numbers that are no embeddings" in line


def test_a_report_never_replaces_unasked(cli: Cli, pairs: Path):
    Path("r.gap.png").write_text("mine")
    command = ("evaluate", "mapper", "pairs", *STARTER, "--report", "r.md")
    assert refused(cli, *command).startswith("r.gap.png: exists already")
    assert cli(*command, "--overwrite").exit_code == 0
    assert Path("r.gap.png").read_bytes().startswith(b"\x89PNG")


# Sounds ------------------------------------------------------------------------------------------


def test_sounds_as_a_table_as_json_and_as_a_report(cli: Cli, sounds: Path):
    command = ("evaluate", "sounds", sounds, sounds, "--captions", "captions.tsv", *STARTER)
    shown = cli(*command, "--report", "r.md")
    assert shown.exit_code == 0, shown.stderr
    assert "generated       2  " in shown.stdout
    assert "same concept                 1.000" in shown.stdout
    assert {each.name for each in Path().glob("r.*")} == {"r.md", "r.sounds.png"}
    found = json.loads(cli(*command, "--json").stdout)
    assert found["against"]["cosine"] == pytest.approx(1)
    assert found["generated"]["text"]["count"] == 2
    assert [each["name"] for each in found["files"]["reference"]] == ["applause_1", "cat_1"]


def test_files_that_cannot_be_read_are_1(cli: Cli, sounds: Path):
    (sounds / "bad.wav").write_text("text")
    write_wav(sounds / "still.wav", np.zeros(48000, np.float32))
    result = cli("evaluate", "sounds", sounds, *STARTER, "--json", "--report", "r.md")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "error: skipped: sounds/bad.wav: is not a sound file that can be read here; "
        "convert it to WAV"
    )
    found = json.loads(result.stdout)
    assert (found["generated"]["count"], found["generated"]["silent"]) == (3, 1)
    assert found["files"]["generated"][2]["loudness"] is None
    assert "skipped: sounds/bad.wav" in Path("r.md").read_text()


def test_folders_and_tables_that_are_refused(cli: Cli, sounds: Path):
    def line(*more: str | Path) -> str:
        return refused(cli, "evaluate", "sounds", *STARTER, "--report", "r.md", *more)

    Path("empty").mkdir()
    assert line("empty") == "empty: holds no sound or video files; name another folder"
    assert line(sounds, "empty").startswith("empty: holds no sound")
    assert line("none") == "none: no such folder; name a folder of sounds"
    Path("c.tsv").write_text("name\tcaption\n")
    assert "c.tsv: has no column 'file'" in line(sounds, "--captions", "c.tsv")
    np.save("c.npy", np.zeros((1, 3), np.float32))
    assert "the 2 files need floats (2, 512)" in line(sounds, "--conditions", "c.npy")


# Export ------------------------------------------------------------------------------------------


def test_export(cli: Cli, sounds: Path):
    command = ("evaluate", "export", sounds, sounds, "--captions", "captions.tsv", "-o", "bench")
    result = cli(*command, "--seconds", "2")
    assert (result.exit_code, result.stdout) == (0, "bench/evaluate.sh\n")
    assert "2 sounds are shorter than 2 s: silence was added" in result.stderr
    assert len(list(Path("bench").rglob("*.wav"))) == 4
    assert refused(cli, *command).startswith("bench: exists already")


def test_exports_that_are_refused(cli: Cli, sounds: Path):
    command = ("evaluate", "export", sounds, sounds, "-o", "bench")
    assert "--seconds must be from 0.5 to 600" in refused(cli, *command, "--seconds", "nan")
    assert "applause_1.mp4: is missing" in refused(cli, *command, "--videos", "sounds")
    before = listing(Path())
    (sounds / "cat_1.ogg").write_text("text")
    result = cli(*command, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["names"] == ["applause_1"]
    assert "skipped: sounds/cat_1.ogg" in result.stderr
    assert set(before) < set(listing(Path()))
