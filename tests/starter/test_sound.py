"""The recipe's autoencoder decoder, vocoder, textures and recordings, for seconds each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from v2a_foley.models.runtime import prepare

prepare()

from diffusers import AutoencoderKL  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from v2a_foley.models import recordings as library  # noqa: E402
from v2a_foley.models.sfx import SoundEncoder  # noqa: E402
from v2a_foley.models.vocos import Vocos  # noqa: E402
from v2a_foley.starter.recipe import (  # noqa: E402
    audit,
    data,
    latent,
    pack,
    recordings,
    refine,
    textures,
    training,
    vocoder,
)


@pytest.fixture(scope="module")
def made() -> list[data.Recording]:
    """Two textures a class."""
    table = tuple((label, text, make, 2) for label, text, make, _ in textures.TEXTURES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, "TEXTURES", table)
        return textures.synthesise()


def test_textures_differ_are_level_and_say_what_they_are(made: list[data.Recording]) -> None:
    assert len({item.label for item in made}) == len(textures.TEXTURES)
    for item in made:
        wave = item.audio.astype(np.float32)
        assert item.synthesised
        assert not item.held_out
        assert np.isfinite(wave).all()
        assert 0.005 < np.sqrt((wave**2).mean()) < 0.3
    pairs = zip(made[::2], made[1::2], strict=True)
    assert all((a.audio != b.audio).any() for a, b in pairs)


def test_the_decoder_sharpens_and_the_encoder_stays(
    made: list[data.Recording], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = AutoencoderKL.from_config(latent.CONFIG)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    latent.sharpen(model, made, tmp_path, 3.0, batch=2)
    after = model.state_dict()
    changed = {key.split(".")[0] for key in before if (before[key] != after[key]).any()}
    assert changed == {"decoder", "post_quant_conv"}
    kept = training.load_checkpoint(tmp_path / "decoder.pt")
    assert kept is not None
    assert kept["step"] > 0


def test_the_vocoder_learns_and_resumes(
    made: list[data.Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae = AutoencoderKL.from_config(latent.CONFIG).eval()
    vocoder.train(made, tmp_path, 2.0, vae, batch=2)
    first = training.load_checkpoint(tmp_path / "vocoder.pt")
    monkeypatch.setattr(vocoder, "ALONE", 0.0)  # the discriminators at once
    model = vocoder.train(made, tmp_path, 5.0, vae, batch=2)
    second = training.load_checkpoint(tmp_path / "vocoder.pt")
    rival = training.load_checkpoint(tmp_path / "vocoder_judges.pt")
    assert first is not None
    assert second is not None
    assert rival is not None
    assert second["step"] > first["step"] > 0
    assert rival["step"] > 0
    wave = model(torch.zeros(1, 40, 64))
    assert wave.shape == (1, 6400)


def test_decoder_and_vocoder_are_refined_together(
    made: list[data.Recording], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    vae, sharp = AutoencoderKL.from_config(latent.CONFIG), Vocos()
    before = {key: value.clone() for key, value in vae.state_dict().items()}
    start = sharp.head.weight.clone()
    refine.refine(vae, sharp, SoundEncoder(), made, tmp_path, 4.0, batch=4)
    after = vae.state_dict()
    changed = {key.split(".")[0] for key in before if (before[key] != after[key]).any()}
    assert changed == {"decoder", "post_quant_conv"}
    assert (sharp.head.weight != start).any()
    kept = training.load_checkpoint(tmp_path / "refine.pt")
    assert kept is not None
    assert kept["step"] > 0


def test_what_is_heard_is_what_the_audio_tower_hears() -> None:
    torch.manual_seed(0)
    encoder = SoundEncoder().eval()
    time = torch.arange(36_750 * 4) / 44_100
    tone = (0.3 * torch.sin(2 * torch.pi * 700 * time) * (time % 0.5 < 0.2))[None]
    low = tone[:, :].reshape(1, 1, -1)
    slow = torch.nn.functional.interpolate(low, scale_factor=16 / 44.1, mode="linear")[0]
    heard = refine.Heard(encoder)
    near = torch.cosine_similarity(heard(slow[:, :36_800])[-1], encoder(tone[:, :101_430]))
    assert near > 0.95
    assert heard.loss(slow, slow) < 1e-4 < heard.loss(torch.zeros_like(slow), slow)


def test_a_text_tower_in_eight_bits_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {"weight": torch.randn(64, 64) * 0.04, "bias": torch.randn(64), "ids": torch.arange(90)}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    pack.compact_text(tmp_path / "model.safetensors")
    kept = load_file(tmp_path / "model.safetensors")
    assert kept["weight"].element_size() == 1
    x = torch.randn(8, 64)
    close = torch.cosine_similarity(x @ kept["weight"].float(), x @ state["weight"])
    assert close.min() > 0.998
    assert (kept["bias"] == state["bias"]).all()
    assert (kept["ids"] == state["ids"]).all()


def test_spectral_losses_know_a_wave_from_another() -> None:
    wave = torch.randn(2, vocoder.CROP, generator=torch.Generator().manual_seed(0))
    assert vocoder.spectral_loss(wave, wave) < 1e-4
    assert vocoder.spectral_loss(wave * 0.1, wave) > 0.5


def test_recordings_are_chosen_by_licence_and_nearness_and_read_back(
    made: list[data.Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(made), 512)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    closed = [index for index, item in enumerate(made) if item.label == "rain"]
    items = [
        data.Recording(
            item.file, item.label, item.caption,
            "GPL-2" if index in closed else item.licence,
            item.package, item.path, False, item.audio, item.synthesised,
        )
        for index, item in enumerate(made)
    ]  # fmt: skip
    chosen = recordings.choose(items, embeddings)
    assert not set(chosen) & set(closed)
    assert {items[i].label for i in chosen} == {item.label for item in items} - {"rain"}
    folder = tmp_path / "recordings"
    recordings.write(folder, [items[i] for i in chosen], embeddings[chosen])

    class Pack:
        name, files = "made", {}
        recordings = folder

    Pack.folder = tmp_path  # type: ignore[attr-defined]
    again = library.Recordings(Pack())  # type: ignore[arg-type]
    assert [item.label for item in again.items] == [items[i].label for i in chosen]
    assert all(item.made == "synthesised" for item in again.items)
    wave = again.sound(again.items[0], 16_000)
    assert abs(len(wave) - recordings.LONGEST * 16_000) < 400
    best = again.choose(embeddings[chosen[1]], seed=1)
    assert best[0].label == items[chosen[1]].label


def test_a_copy_is_found_wherever_it_begins(made: list[data.Recording]) -> None:
    waves = [item.audio.astype(np.float32) for item in made]
    near = audit.nearest([np.roll(waves[3], 12_800)], waves)
    assert near[0] > audit.COPY
    others = audit.nearest([waves[0]], waves[2:])
    assert others[0] < near[0]


def test_a_half_of_the_real_sounds_is_as_near_as_the_other(made: list[data.Recording]) -> None:
    from v2a_foley.starter.recipe.judge import Judge, examples

    rng = np.random.default_rng(0)
    judge = Judge([item.label for item in made], examples(made, copies=1))
    noise = [rng.normal(0, 0.1, 32_000).astype(np.float32) * rng.uniform(0.3, 1) for _ in range(80)]
    tones = [np.sin(np.arange(32_000) * rng.uniform(0.1, 1)).astype(np.float32) for _ in range(40)]
    alike = audit.frechet_ratio(judge, noise[:40], noise[40:])
    apart = audit.frechet_ratio(judge, tones, noise[40:])
    assert alike < 3 < apart
