from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models.foundation import SMALL, write_audioldm, write_clip
from v2a_foley.errors import FoleyError, InputError, ModelError
from v2a_foley.models import packs, pull


class Evil:
    """What a hostile checkpoint holds: an object whose unpickling runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch /tmp/v2a-foley-was-here",)


def test_bins_become_safetensors_once(tmp_path: Path) -> None:
    write_audioldm(tmp_path / "generator", SMALL, bins=True)
    write_clip(tmp_path / "clip")
    pull.finish(tmp_path, {pull.AUDIOLDM: "abc"})
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not any(name.endswith(".bin") for name in files)
    assert {"diffusion_pytorch_model.safetensors", "model.safetensors"} <= files
    pack = packs.load(tmp_path)
    assert all(whole for _, whole in packs.verify(pack))


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="not plain weights"):
        pull.convert(tmp_path)
    assert not Path("/tmp/v2a-foley-was-here").exists()


def test_a_repository_without_a_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "generator" / "unet").mkdir(parents=True)
    with pytest.raises(ModelError, match="vae: missing"):
        pull.finish(tmp_path, {pull.AUDIOLDM: "abc"})


def test_only_the_foundation_is_fetched() -> None:
    with pytest.raises(InputError, match="only foundation"):
        pull.pull("starter")


def test_licences_say_what_is_not_commercial() -> None:
    assert any("no commercial use" in licence for _, licence, _ in pull.licences("foundation"))


def test_no_network_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V2A_FOLEY_DATA_DIR", str(tmp_path))
    with pytest.raises(FoleyError, match="offline") as caught:
        pull.pull("foundation")
    assert str(packs.foundation_dir()) in str(caught.value)
    assert not list(packs.foundation_dir().parent.iterdir())
