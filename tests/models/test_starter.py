"""The starter pack's towers, on what they were made for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.material import material
from v2a_foley.errors import ModelError
from v2a_foley.mapper.blend import SHARE
from v2a_foley.mapper.bridge import phrases
from v2a_foley.models import packs
from v2a_foley.models.bundle import Models
from v2a_foley.models.clap import FINGERPRINT_PROMPTS, agreement


def unit(table: np.ndarray) -> bool:
    return bool(np.allclose(np.linalg.norm(table, axis=1), 1, atol=1e-4))


def test_clip_embeds_images_and_texts_alike(starter: Models) -> None:
    image = np.zeros((90, 160, 3), np.uint8)
    seen = starter.clip.images([image] * 3)
    said = starter.clip.texts(["a dog", "a street at night"])
    assert seen.shape == (3, 512)
    assert said.shape == (2, 512)
    assert seen.dtype == said.dtype == np.float32
    assert unit(seen)
    assert unit(said)


def test_clip_tells_real_pictures(starter: Models) -> None:
    keys = starter.bank.seen + starter.bank.named
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    names = [phrase.concept for phrase in phrases()]
    found = 0
    pictures = material("pictures")
    for path in pictures:
        image = np.asarray(Image.open(path).convert("RGB"))
        best = np.argsort(-(starter.clip.images([image]) @ keys.T)[0])[:20]
        found += any(path.stem.split("_")[0] in names[i] for i in best)
    assert found >= 0.6 * len(pictures)


def test_clap_puts_sounds_beside_their_words(starter: Models) -> None:
    paths = material("sounds")
    labels = [path.stem.split("_")[0] for path in paths]
    words = sorted(set(labels))
    texts = starter.clap.texts([f"the sound of a {word}" for word in words])
    right = 0
    for path, label in zip(paths, labels, strict=True):
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        heard = starter.clap.sounds([wave.mean(1)], rate)
        assert unit(heard)
        right += words[int((heard @ texts.T)[0].argmax())] == label
    assert right >= 0.6 * len(paths)


def test_the_fingerprint_agrees_with_itself_only(starter: Models) -> None:
    own = starter.clap.fingerprint()
    assert own.shape == (len(FINGERPRINT_PROMPTS), 512)
    assert agreement(own, starter.bank.fingerprint) > 0.9999
    assert agreement(own, np.roll(own, 1, axis=0)) < 0.99
    assert agreement(own, own[:, :100]) == 0


@pytest.mark.parametrize("count", [1, 130])
def test_texts_do_not_depend_on_their_batch(starter: Models, count: int) -> None:
    alone = starter.clap.texts(["rain on a roof"])
    among = starter.clap.texts([*(["a very long text about a train"] * count), "rain on a roof"])
    assert np.abs(alone[0] - among[-1]).max() < 1e-4


def test_its_mappers_run_by_name(starter: Models) -> None:
    scenes = [starter.bank.seen[index : index + 1] for index in (3, 300)]
    options = {"temperature": 0.01, "top_k": 8, "seed": 4}
    made = {}
    for name in starter.pack.mapper_names:
        models = Models("starter", "cpu", Path(name))
        assert models.mapper_path is None
        assert models.mapper_id.endswith(f"/{name}")
        made[name] = models.map(scenes, **options)
        assert unit(made[name])
    assert made.keys() == {"bridge", "blend", "regression", "diffusion"}
    assert starter.mapper == "blend"
    assert (made["blend"] == starter.map(scenes, **options)).all()
    joined = (1 - SHARE) * made["bridge"] + SHARE * made["regression"]
    joined /= np.linalg.norm(joined, axis=1, keepdims=True)
    assert np.allclose(made["blend"], joined, atol=1e-5)
    assert np.abs(made["regression"] - made["diffusion"]).max() > 0.01


def test_no_blend_without_what_it_blends(starter: Models, tmp_path: Path) -> None:
    folder = shutil.copytree(starter.pack.folder, tmp_path / "pack")
    manifest = folder / packs.MANIFEST
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if not line.startswith("regression =")))
    with pytest.raises(ModelError, match="'blend'"):
        packs.load(folder)


def test_the_bridge_allows_for_how_wide_cosines_spread(starter: Models, tmp_path: Path) -> None:
    folder = shutil.copytree(starter.pack.folder, tmp_path / "pack")
    manifest = folder / packs.MANIFEST
    manifest.write_text(manifest.read_text().replace("spread = 4.0\n", ""))
    scenes, fixed = [starter.bank.seen[3:4]], {"top_k": 8, "seed": 0}
    narrow = Models(str(folder), "cpu", Path("bridge")).map(scenes, temperature=0.04, **fixed)
    wide = Models("starter", "cpu", Path("bridge")).map(scenes, temperature=0.01, **fixed)
    assert np.allclose(narrow, wide, atol=1e-6)


def test_a_default_mapper_that_is_not_listed_is_refused(starter: Models, tmp_path: Path) -> None:
    folder = shutil.copytree(starter.pack.folder, tmp_path / "pack")
    manifest = folder / packs.MANIFEST
    manifest.write_text(manifest.read_text().replace('default = "blend"', 'default = "other"'))
    with pytest.raises(ModelError, match="'other'"):
        packs.load(folder)
