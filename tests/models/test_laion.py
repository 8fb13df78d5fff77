"""LAION's CLAP checkpoints: read, converted, and run by laion_clap itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.laion import (
    clap_model,
    save_audioldm,
    save_laion,
    scatter,
    to_laion,
    write_pack,
    write_words,
)
from v2a_foley.errors import InputError, ModelError
from v2a_foley.models import packs
from v2a_foley.models.audio_tower import ClapTower, load_audio_tower
from v2a_foley.models.clap import FINGERPRINT_PROMPTS, Clap, agreement, embed_texts
from v2a_foley.models.laion import checkpoint
from v2a_foley.models.laion.convert import convert
from v2a_foley.models.laion.package import LaionClap, construct

CPU = torch.device("cpu")
TEXTS = [*FINGERPRINT_PROMPTS, "", "a very long text about a train " * 30]


def sounds() -> dict[str, np.ndarray]:
    """Waves at 48 kHz of several kinds, some louder, softer, shorter or longer than is usual."""
    rng = np.random.default_rng(0)
    time = np.arange(480_000) / 48_000
    made = {
        "noise": rng.normal(0, 0.1, 200_000),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "soft tone": 1e-3 * np.sin(2 * np.pi * 440 * time),
        "clicks": (rng.random(300_000) > 0.9999) * 0.9,
        "too loud": rng.normal(0, 1, 96_000),
        "too long": rng.normal(0, 0.1, 700_000) * np.linspace(0, 1, 700_000),
        "very short": rng.normal(0, 0.1, 3000),
        "fading": rng.normal(0, 0.1, 480_000) * np.exp(-2 * time),
        "silence": np.zeros(96_000),
    }
    return {name: wave.astype(np.float32) for name, wave in made.items()}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RoBERTa's tokenizer files."""
    return write_words(tmp_path_factory.mktemp("words") / "roberta")


@pytest.fixture(scope="module")
def model() -> Any:
    """A random ClapModel."""
    return clap_model()


@pytest.fixture(scope="module")
def laion(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a LAION checkpoint."""
    path = tmp_path_factory.mktemp("laion") / "630k.pt"
    return save_laion(path, to_laion(model.state_dict()))


@pytest.fixture(scope="module")
def converted(laion: Path, words: Path) -> Path:
    """The checkpoint, converted."""
    return convert(laion, laion.with_name("converted"), tokenizer=words)


def text_tower(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, ClapTextModelWithProjection

    model = ClapTextModelWithProjection.from_pretrained(folder / "text_encoder").eval()
    return model, AutoTokenizer.from_pretrained(folder / "tokenizer")


def test_the_converted_towers_are_the_model(model: Any, converted: Path) -> None:
    text, tokenizer = text_tower(converted)
    assert len(tokenizer) == 50265
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=77, return_tensors="pt")
    with torch.no_grad():
        own = model.get_text_features(**batch).pooler_output.numpy()
    made = embed_texts(text, tokenizer, TEXTS, CPU)
    assert np.abs(own - made).max() < 1e-5
    assert (own @ own.T)[0, 1:].max() < 0.99  # else it would show nothing

    tower = load_audio_tower(converted / "audio", CPU)
    assert isinstance(tower, ClapTower)
    assert not tower._model.config.enable_fusion
    state = tower._model.state_dict()
    for key, value in model.state_dict().items():
        if key.startswith("audio_"):
            assert torch.equal(state[key], value), key
    assert tower(sounds()["too long"], 48_000).shape == (1, 512)


def test_the_clap_inside_audioldm_is_the_same(model: Any, converted: Path, words: Path) -> None:
    path = converted.with_name("audioldm.ckpt")
    save_audioldm(path, to_laion(model.state_dict()))
    made = convert(path, path.with_name("from_audioldm"), tokenizer=words)
    for part in ("text_encoder", "audio"):
        weights = f"{part}/model.safetensors"
        assert (made / weights).read_bytes() == (converted / weights).read_bytes()


def test_a_fused_checkpoint_hears_without_chance(words: Path, tmp_path: Path) -> None:
    fused = clap_model(fused=True)
    path = save_laion(tmp_path / "fusion.pt", to_laion(fused.state_dict()))
    tower = load_audio_tower(convert(path, tmp_path / "made", tokenizer=words) / "audio", CPU)
    wave = sounds()["fading"]
    made = tower(wave, 48_000)
    assert np.array_equal(made, tower(wave, 48_000))
    mel = torch.from_numpy(tower._extract(wave, sampling_rate=48_000)["input_features"][0])[None]
    with torch.no_grad():
        own = fused.get_audio_features(mel.float(), is_longer=torch.tensor([[False]])).pooler_output
    assert float((made @ own.numpy().T).item()) > 0.999


@pytest.fixture(scope="module")
def pack(laion: Path, words: Path) -> packs.Pack:
    """A foundation pack without an audio tower, whose generator has the checkpoint's CLAP."""
    return packs.load(write_pack(laion.with_name("pack"), laion, words))


def test_a_pack_with_the_clap_of_its_generator(pack: packs.Pack, laion: Path) -> None:
    folder = convert(laion, laion.with_name("ranked"), pack=str(pack.folder))
    made = packs.load(folder)
    assert (made.name, made.commercial, made.id != pack.id) == ("ranked", False, True)
    assert made.clap_audio == folder / "clap"
    assert any("630k.pt" in what for what, _ in made.licences)
    assert all(whole for _, whole in packs.verify(made))
    assert "clap/fingerprint.safetensors" in made.files
    clap = Clap(made, CPU)
    assert clap.sounds([sounds()["noise"]], 48_000).shape == (1, 512)
    with pytest.raises(InputError, match="has a CLAP audio tower already"):
        convert(laion, laion.with_name("again"), pack=str(folder))


def test_a_clap_of_another_space_is_refused(pack: packs.Pack, laion: Path, tmp_path: Path) -> None:
    state = to_laion(clap_model().state_dict())
    state["text_projection.2.weight"] = state["text_projection.2.weight"].flip(0)
    other = save_laion(tmp_path / "other.pt", state)
    with pytest.raises(ModelError, match=r"other\.pt: another CLAP than the one that the gen"):
        convert(other, tmp_path / "made", pack=str(pack.folder))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.pt"]


def test_a_tower_of_another_space_put_in_by_hand(
    pack: packs.Pack, laion: Path, tmp_path: Path
) -> None:
    state = to_laion(clap_model().state_dict())
    state["text_projection.2.weight"] = state["text_projection.2.weight"].flip(0)
    other = save_laion(tmp_path / "other.pt", state)
    parts = convert(other, tmp_path / "parts", tokenizer=pack.generator / "tokenizer")
    folder = put_in(pack, parts / "audio", tmp_path / "pack")
    with pytest.raises(ModelError, match="audio tower is of another CLAP than the text tower"):
        Clap(packs.load(folder), CPU)
    own = convert(laion, tmp_path / "own", tokenizer=pack.generator / "tokenizer")
    folder = put_in(pack, own / "audio", tmp_path / "own pack")
    assert Clap(packs.load(folder), CPU).has_audio
    (folder / "audio" / "fingerprint.safetensors").write_bytes(b"text")
    with pytest.raises(ModelError, match=r"fingerprint\.safetensors: not a CLAP's fingerprint"):
        Clap(packs.load(folder), CPU)


def put_in(pack: packs.Pack, tower: Path, folder: Path) -> Path:
    """A copy of ``pack`` in ``folder`` with an audio tower that its manifest names."""
    shutil.copytree(pack.folder, folder)
    shutil.copytree(tower, folder / "audio")
    manifest = folder / packs.MANIFEST
    text = manifest.read_text()
    manifest.write_text(text.replace("[generator]", '[clap]\naudio = "audio"\n\n[generator]'))
    return folder


class Evil:
    """What a hostile checkpoint holds: an object whose unpickling runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch v2a-foley-was-here",)


def _cut(path: Path, source: Path) -> None:
    data = source.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _changed(path: Path, source: Path, **changes: torch.Tensor | None) -> None:
    state = checkpoint.read(source).state | changes
    save_laion(path, {k: v for k, v in state.items() if v is not None})


BAD = {
    "missing": (lambda path, source: None, "no such checkpoint; check its name"),
    "a folder": (lambda path, source: path.mkdir(), "cannot be read"),
    "empty": (lambda path, source: path.touch(), "not a checkpoint that torch can read, or cut"),
    "text": (
        lambda path, source: path.write_text("no weights\n" * 50),
        "not a checkpoint that torch can read, or cut off",
    ),
    "cut off": (_cut, "not a checkpoint that torch can read, or cut off"),
    "with code": (
        lambda path, source: torch.save({"state_dict": {}, "hook": Evil()}, path),
        "system' beside weights, and reading that would run code; get the checkpoint from its",
    ),
    "with code, written by an older torch": (
        lambda path, source: torch.save(
            {"hook": Evil()}, path, _use_new_zipfile_serialization=False
        ),
        "system' beside weights, and reading that would run code",
    ),
    "a list": (lambda path, source: torch.save([1, 2], path), "holds no 'state_dict'"),
    "another model": (
        lambda path, source: torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, path),
        "holds no CLAP with a RoBERTa text tower",
    ),
    "two CLAPs": (
        lambda path, source: torch.save(
            {f"{n}.{checkpoint.MARK}": torch.zeros(1, 1) for n in "ab"}, path
        ),
        "holds more than one CLAP",
    ),
    "another text tower": (
        lambda path, source: _changed(path, source, **{checkpoint.MARK: torch.zeros(30522, 128)}),
        "its text tower has 30522 tokens, RoBERTa's has 50265",
    ),
    "without its audio tower": (
        lambda path, source: _changed(
            path, source, **{"audio_branch.patch_embed.proj.weight": None}
        ),
        "it lacks 'audio_branch.patch_embed.proj.weight'",
    ),
    "without a tensor": (
        lambda path, source: _changed(path, source, **{"audio_branch.norm.weight": None}),
        "its tensors are not those of a CLAP",
    ),
    "of wrong sizes": (
        lambda path, source: _changed(
            path, source, **{"text_projection.0.weight": torch.zeros(5, 5)}
        ),
        "size mismatch for text_projection.linear1.weight",
    ),
    "with other mel filters": (
        lambda path, source: _changed(
            path, source, **{"audio_branch.logmel_extractor.melW": torch.zeros(513, 64)}
        ),
        "its mel filters are not those of LAION's CLAPs",
    ),
    "not finite": (
        lambda path, source: _changed(
            path, source, **{"audio_branch.norm.bias": torch.full((768,), torch.nan)}
        ),
        "damaged: audio_branch.norm.bias holds numbers that are not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_checkpoints(
    kind: str, laion: Path, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    make, message = BAD[kind]
    make(path, laion)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelError) as caught:
        convert(path, tmp_path / "made", tokenizer=words)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


WATCHED = """\
import sys
from pathlib import Path
seen = set()
reach = ("socket.connect", "socket.getaddrinfo", "pickle.find_class")
sys.addaudithook(lambda event, _: seen.add(event) if event in reach else None)
import torch
from v2a_foley.models import packs
from v2a_foley.models.clap import Clap
from v2a_foley.models.laion.convert import convert
checkpoint, pack, output, backend = sys.argv[1:]
made = packs.load(convert(Path(checkpoint), Path(output), pack=pack, backend=backend))
Clap(made, torch.device("cpu")).sounds([torch.zeros(48000).numpy()], 48000)
print(*seen)
"""


def watched(checkpoint: Path, pack: Path, output: Path, backend: str) -> set[str]:
    """Which ways out of the process converting and using a CLAP took: network and pickle."""
    free = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    arguments = [str(checkpoint), str(pack), str(output), backend]
    command = [sys.executable, "-W", "ignore", "-c", WATCHED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=free)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_neither_network_nor_pickle(pack: packs.Pack, laion: Path, tmp_path: Path) -> None:
    assert watched(laion, pack.folder, tmp_path / "made", "transformers") == set()


def test_an_older_torch_s_file_is_read(laion: Path, tmp_path: Path) -> None:
    state = checkpoint.read(laion).state
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert checkpoint.read(tmp_path / "old.pt").shape == checkpoint.read(laion).shape


# Run by laion_clap itself -------------------------------------------------------------------------

needs_laion = pytest.mark.skipif(
    find_spec("laion_clap") is None, reason="the extra 'laion' is not installed"
)


@pytest.fixture(scope="module", params=["HTSAT-tiny", "HTSAT-base"])
def full(request: pytest.FixtureRequest, words: Path, tmp_path_factory: Any) -> Path:
    """A checkpoint that laion_clap itself made, of full size, with random weights."""
    torch.manual_seed(0)
    model = scatter(construct(request.param, words, CPU).model)
    return save_laion(tmp_path_factory.mktemp("full") / "full.pt", model.state_dict())


@needs_laion
def test_laion_clap_and_the_converted_towers_agree(full: Path, words: Path) -> None:
    made = convert(full, full.with_name("converted"), tokenizer=words)
    kept = convert(full, full.with_name("kept"), tokenizer=words, backend="laion_clap")
    theirs = load_audio_tower(kept, CPU)
    assert isinstance(theirs, LaionClap)
    ours = load_audio_tower(made / "audio", CPU)
    said = theirs.texts(TEXTS)
    assert (said * embed_texts(*text_tower(made), TEXTS, CPU)).sum(1).min() > 0.999
    heard = {}
    for name, wave in sounds().items():
        heard[name] = theirs(wave, 48_000)[0]
        assert float(heard[name] @ ours(wave, 48_000)[0]) > 0.999, name
    for table in (said, np.stack([*heard.values()])):  # else the agreement would show nothing
        assert np.median(table @ table.T) < 0.95


@needs_laion
def test_a_pack_that_laion_clap_runs(full: Path, words: Path, tmp_path: Path) -> None:
    base = write_pack(tmp_path / "base", full, words)
    made = packs.load(convert(full, tmp_path / "made", pack=str(base), backend="laion_clap"))
    own = Clap(packs.load(base), CPU)
    clap = Clap(made, CPU)
    assert isinstance(clap.audio, LaionClap)
    assert agreement(own.fingerprint(), clap.fingerprint()) > 0.999
    assert clap.sounds([sounds()["noise"]] * 2, 48_000).shape == (2, 512)

    # numba, which the package brings, keeps its own compiled code as pickles.
    assert watched(full, base, tmp_path / "watched", "laion_clap") <= {"pickle.find_class"}

    state = load_file(made.folder / "clap" / "model.safetensors")
    state["text_projection.2.weight"] = state["text_projection.2.weight"].flip(0)
    save_file(state, made.folder / "clap" / "model.safetensors")
    with pytest.raises(ModelError, match="audio tower is of another CLAP than the text tower"):
        Clap(replace(made, files={}), CPU)


def test_what_laion_clap_cannot_run(pack: packs.Pack, laion: Path, tmp_path: Path) -> None:
    folder = convert(laion, tmp_path / "kept", pack=str(pack.folder), backend="laion_clap")
    missing = find_spec("laion_clap") is None  # else: it has too few layers for the package
    message = "install 'v2a-foley[laion]' there" if missing else "laion_clap cannot load this CLAP"
    with pytest.raises(ModelError, match=re.escape(message)):
        Clap(packs.load(folder), CPU)
    fused = save_laion(tmp_path / "f.pt", to_laion(clap_model(fused=True).state_dict()))
    with pytest.raises(InputError, match="with fusion is not run by laion_clap here"):
        convert(fused, tmp_path / "made", pack=str(pack.folder), backend="laion_clap")
