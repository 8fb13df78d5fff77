from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli


def test_list_tells_of_every_pack_also_of_broken_ones(cli: Cli, pack: Path):
    broken = pack.with_name("broken")
    broken.mkdir()
    (broken / "pack.toml").write_text("nonsense")
    found = {each["name"]: each for each in json.loads(cli("models", "list", "--json").stdout)}
    assert found["tiny"]["commercial"] is False
    assert found["tiny"]["licences"] == {"generator": "CC BY-NC-SA 4.0"}
    assert "not valid TOML" in found["broken"]["problem"]
    text = cli("models", "list").stdout
    assert "tiny 1.2 no a pack with nothing in it" in " ".join(text.split())
    assert "not valid TOML" in text


def test_info_by_name_and_by_folder(cli: Cli, pack: Path):
    by_name, by_folder = cli("models", "info", "tiny"), cli("models", "info", pack)
    assert by_name.stdout == by_folder.stdout
    assert "licences     generator: CC BY-NC-SA 4.0" in by_name.stdout
    values = json.loads(cli("models", "info", "tiny", "--json").stdout)
    assert (values["files"], values["bytes"], values["window"]) == (1, 4, 10.24)
    assert values["id"].startswith("tiny-1.2-")


def test_an_unknown_pack_is_2(cli: Cli):
    result = cli("models", "info", "nothing")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "unknown model pack 'nothing'" in result.stderr


def test_check_finds_damage(cli: Cli, pack: Path):
    fine = cli("models", "check", "tiny")
    assert (fine.exit_code, fine.stderr) == (0, "tiny: 1 of 1 files are intact\n")
    (pack / "weights.bin").write_bytes(b"tost")
    damaged = cli("models", "check", "tiny", "--quiet")
    assert damaged.exit_code == 1
    assert damaged.stderr == (
        f"error: {pack / 'weights.bin'}: is damaged or was changed\n"
        "error: model pack tiny: install it again\n"
    )


def test_pull_shows_the_licences_and_waits_for_consent(cli: Cli, user: Path):
    for answer in ("n\n", ""):
        result = cli("models", "pull", "foundation", answer=answer)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "CC BY-NC-SA 4.0" in result.stderr
        assert "https://huggingface.co/cvssp/audioldm-s-full-v2" in result.stderr
        assert "nothing was fetched" in result.stderr
    assert not user.exists()


def test_pull_knows_what_can_be_fetched(cli: Cli):
    result = cli("models", "pull", "starter", "--yes")
    assert result.exit_code == 2
    assert "cannot" in result.stderr or "can be fetched" in result.stderr
