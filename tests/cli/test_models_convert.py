"""From a CLAP checkpoint to a pack that ranks its takes, by the command line alone."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Cli
from tests.cli.refusal import refused
from tests.models.laion import (
    clap_model,
    save_audioldm,
    save_laion,
    scatter,
    to_laion,
    write_pack,
    write_words,
)
from v2a_foley.mapper.checkpoint import Header, save
from v2a_foley.models.bundle import Models


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has: AudioLDM's checkpoint, RoBERTa's tokenizer, and the pack of the same."""
    folder = tmp_path_factory.mktemp("given")
    checkpoint = save_audioldm(folder / "audioldm.ckpt", to_laion(clap_model().state_dict()))
    write_pack(folder / "pack", checkpoint, write_words(folder / "roberta"))
    return folder


def test_a_pack_with_the_clap_of_its_checkpoint_ranks(cli: Cli, video: Path, given: Path):
    made = cli("models", "convert", given / "audioldm.ckpt", "--pack", given / "pack", "-o", "mine")
    assert (made.exit_code, made.stdout) == (0, "mine\n"), made.stderr
    checked = cli("models", "check", "mine", "--load")
    assert checked.exit_code == 0, checked.stderr
    assert "clap: loads\n" in checked.stderr
    info = json.loads(cli("models", "info", "mine", "--json").stdout)
    assert info["commercial"] is False
    assert info["licences"]["CLAP (audioldm.ckpt)"].startswith("not stated")

    models = Models("mine", "cpu")
    header = Header("bridge", {"temperature": 0.05, "top_k": 2}, models.pack.clip_id)
    bank = models.bank
    keys = torch.from_numpy(bank.seen[:20])
    tensors = {"keys": keys, "values": torch.from_numpy(bank.heard[:20])}
    save(Path("m.safetensors"), header, tensors, bank.fingerprint)
    flags = ("--models", "mine", "--device", "cpu", "--mapper", "m.safetensors")
    spotted = cli("spot", "clip.mp4", *flags)
    assert spotted.exit_code == 0, spotted.stderr
    quick = ("--steps", "1", "--candidates", "2", "--json")
    rendered = cli("render", "clip.cues.toml", *flags, *quick)
    assert rendered.exit_code == 0, rendered.stderr
    for scene in json.loads(rendered.stdout)["scenes"]:
        assert len(scene["candidates"]) >= 2
        assert -1 <= scene["similarity"] <= 1


def test_the_clap_alone(cli: Cli, given: Path):
    flags = ("--tokenizer", given / "roberta", "-o", "new/clap")
    made = cli("models", "convert", given / "audioldm.ckpt", *flags, "--quiet")
    assert (made.exit_code, made.stdout, made.stderr) == (0, "new/clap\n", "")
    assert {path.relative_to("new/clap").as_posix() for path in Path("new/clap").glob("*/*")} == {
        "audio/config.json", "audio/fingerprint.safetensors", "audio/model.safetensors",
        "audio/preprocessor_config.json", "text_encoder/config.json",
        "text_encoder/model.safetensors", "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    }  # fmt: skip


class Evil:
    """An object whose unpickling runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch v2a-foley-was-here",)


def test_checkpoints_that_cannot_be_converted(cli: Cli, given: Path):
    whole = (given / "audioldm.ckpt").read_bytes()
    Path("cut.ckpt").write_bytes(whole[: len(whole) // 3])
    torch.save({"state_dict": {}, "hook": Evil()}, "code.pt")
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, "other.pt")
    state = to_laion(clap_model(seed=1).state_dict())
    save_laion(Path("sizes.pt"), state | {"text_projection.0.weight": torch.zeros(5, 5)})
    flags = ("-o", "made", "--pack", given / "pack")
    for name, message in {
        "none.pt": "no such checkpoint",
        "cut.ckpt": "not a checkpoint that torch can read, or cut off",
        "code.pt": "reading that would run code",
        "other.pt": "holds no CLAP with a RoBERTa text tower",
        "sizes.pt": "its tensors are not those of a CLAP",
    }.items():
        line = refused(cli, "models", "convert", name, *flags)
        assert line.startswith(f"{name}: ")
        assert message in line


def test_tokenizers_outputs_and_packs_that_do_not_fit(cli: Cli, given: Path):
    checkpoint = given / "audioldm.ckpt"
    roberta = ("--tokenizer", given / "roberta")
    Path("taken").mkdir()
    Path("file").touch()
    Path("half").mkdir()
    Path("half/vocab.json").write_text("{}")
    Path("few").mkdir()
    Path("few/vocab.json").write_text('{"<s>": 0, "<pad>": 1, "</s>": 2}')
    Path("few/merges.txt").write_text("#version: 0.2\n")
    for flags, message in (
        (("-o", "made"), "no tokenizer: name a folder with RoBERTa's vocab.json and merges.txt"),
        (("-o", "made", "--tokenizer", "none"), "none/vocab.json: no such file"),
        (("-o", "made", "--tokenizer", "half"), "half/merges.txt: no such file"),
        (("-o", "made", "--tokenizer", "few"), "few: not RoBERTa's tokenizer: it has "),
        (("-o", "taken", *roberta), "taken: exists already; remove it or choose another folder"),
        (("-o", "file", *roberta), "file: exists already"),
        (("-o", "file/made", *roberta), "file/made: file is not a folder"),
        (("-o", "made", *roberta, "--backend", "msclap"), "unknown backend 'msclap'"),
        (("-o", "made", "--pack", "nothing"), "unknown model pack 'nothing'"),
        (("-o", "made", "--pack", "starter"), "model pack 'starter' at "),
        (("-o", given / "pack" / "made", "--pack", given / "pack"), "lies in the pack it is made"),
    ):
        assert message in refused(cli, "models", "convert", checkpoint, *flags)


@pytest.mark.skipif(find_spec("laion_clap") is not None, reason="the extra 'laion' is installed")
def test_a_pack_for_laion_clap_says_what_it_needs(cli: Cli, video: Path, given: Path):
    flags = ("--pack", given / "pack", "--backend", "laion_clap", "-o", "mine")
    assert cli("models", "convert", given / "audioldm.ckpt", *flags).exit_code == 0
    line = refused(cli, "spot", "clip.mp4", "--models", "mine", "--device", "cpu")
    assert "laion_clap package, which is not installed here" in line
    assert "install 'v2a-foley[laion]' there" in line
    checked = cli("models", "check", "mine", "--load")
    assert checked.exit_code == 1
    assert "laion_clap package, which is not installed here" in checked.stderr


@pytest.mark.skipif(find_spec("laion_clap") is None, reason="the extra 'laion' is not installed")
def test_a_pack_that_laion_clap_runs(cli: Cli, given: Path):
    from v2a_foley.models.laion.package import construct

    model = scatter(construct("HTSAT-tiny", given / "roberta", torch.device("cpu")).model)
    checkpoint = save_laion(Path("630k.pt"), model.state_dict())
    write_pack(Path("pack"), checkpoint, given / "roberta")
    made = cli(
        "models", "convert", "630k.pt", "--pack", "pack", "--backend", "laion_clap", "-o", "mine"
    )
    assert (made.exit_code, made.stdout) == (0, "mine\n"), made.stderr
    checked = cli("models", "check", "mine", "--load")
    assert checked.exit_code == 0, checked.stderr
    assert "clap: loads\n" in checked.stderr
