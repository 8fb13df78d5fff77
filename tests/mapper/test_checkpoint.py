from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.mapper.made import tiny
from v2a_foley.errors import ModelError
from v2a_foley.mapper import checkpoint, config, kinds
from v2a_foley.mapper.checkpoint import Header

FINGERPRINT = np.eye(8, 512, dtype=np.float32)
TENSORS = {"keys": torch.eye(4, 6), "values": torch.eye(4, 512)}


def write(path: Path, **changes: object) -> Path:
    header = {"kind": "bridge", "config": {"temperature": 0.05, "top_k": 2}, "clip_id": "clip"}
    checkpoint.save(path, Header(**(header | changes)), TENSORS, FINGERPRINT)  # type: ignore[arg-type]
    return path


def load(path: Path) -> object:
    return checkpoint.load(path, clip_id="clip", fingerprint=FINGERPRINT)[1]


def test_round_trip(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.safetensors", metrics={"r@1": 0.5})
    header, mapper = checkpoint.load(path, clip_id="clip", fingerprint=FINGERPRINT)
    assert header.metrics == {"r@1": 0.5}
    assert mapper.kind == "bridge"
    assert torch.allclose(mapper.map([torch.eye(1, 6)]), torch.eye(1, 512), atol=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]


def test_another_clip_names_both(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", clip_id="ViT-L-14/openai")
    with pytest.raises(ModelError, match=r"'ViT-L-14/openai'.*'clip'"):
        load(path)


def test_another_clap_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors")
    other = np.roll(FINGERPRINT, 1, axis=0)
    with pytest.raises(ModelError, match="another CLAP"):
        checkpoint.load(path, clip_id="clip", fingerprint=other)
    with pytest.raises(ModelError, match="another CLAP"):
        checkpoint.load(path, clip_id="clip", fingerprint=FINGERPRINT[:, :100])


# Trained kinds -----------------------------------------------------------------------------------


def tensors_of(kind: str, tmp_path: Path) -> tuple[Header, dict[str, torch.Tensor]]:
    wanted = tiny(kind, tmp_path)
    network = kinds.build(6, 512, wanted.frames, wanted.model)
    header = Header(kind, config.header(wanted, 6, 512), "clip", {"steps": 3}, {"r@1": 0.5})
    return header, network.state_dict()


TRAINED = ("regression", "diffusion")


@pytest.mark.parametrize("kind", TRAINED)
def test_a_trained_kind_comes_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.safetensors"
    header, tensors = tensors_of(kind, tmp_path)
    checkpoint.save(path, header, tensors, FINGERPRINT)
    found, mapper = checkpoint.load(path, clip_id="clip", fingerprint=FINGERPRINT)
    assert found == header
    assert mapper.kind == kind
    assert mapper.per_window
    generators = [torch.Generator().manual_seed(n) for n in (1, 2)]
    assert mapper.map([torch.eye(2, 6), torch.eye(1, 6)], generator=generators).shape == (2, 512)


@pytest.mark.parametrize("kind", TRAINED)
def test_shapes_that_do_not_fit(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.safetensors"
    header, tensors = tensors_of(kind, tmp_path)
    name = next(iter(tensors))
    for change in ({name: torch.zeros(3, 3)}, {"another": torch.zeros(1)}):
        checkpoint.save(path, header, tensors | change, FINGERPRINT)
        with pytest.raises(ModelError, match=rf"damaged {kind} mapper .*train it again"):
            load(path)
    checkpoint.save(path, header, {k: v for k, v in tensors.items() if k != name}, FINGERPRINT)
    with pytest.raises(ModelError, match=name):
        load(path)


def test_a_header_cannot_ask_for_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header, tensors = tensors_of("regression", tmp_path)
    for model in ({"width": 10**9}, {"width": 8192, "blocks": 64}, {"width": "x"}, {"depth": 1}):
        wrong = replace(header, config=header.config | {"model": model})
        checkpoint.save(path, wrong, tensors, FINGERPRINT)
        with pytest.raises(ModelError, match="damaged regression mapper"):
            load(path)


def test_a_header_that_is_none(tmp_path: Path) -> None:
    for change in ({"kind": "ridge"}, {"kind": ["bridge"]}, {"config": [1]}, {"config": {"x": 1}}):
        with pytest.raises(ModelError, match="damaged"):
            load(write(tmp_path / "m.safetensors", **change))


def test_numbers_of_a_network_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header, tensors = tensors_of("diffusion", tmp_path)
    tensors["nothing"] = torch.full_like(tensors["nothing"], torch.inf)
    checkpoint.save(path, header, tensors, FINGERPRINT)
    with pytest.raises(ModelError, match="damaged"):
        load(path)


# Damage ------------------------------------------------------------------------------------------


def test_what_is_no_mapper(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(ModelError, match="no such mapper"):
        load(path)
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(ModelError, match="not a mapper file, or damaged"):
        load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="not a mapper of v2a-foley"):
        load(path)
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "m.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError):
        load(path)


def test_numbers_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    broken = {**TENSORS, "keys": torch.full((4, 6), torch.nan)}
    checkpoint.save(path, Header("bridge", {}, "clip"), broken, FINGERPRINT)
    with pytest.raises(ModelError, match="damaged"):
        load(path)
