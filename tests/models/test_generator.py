from __future__ import annotations

import numpy as np
import pytest

from tests.models.foundation import SMALL, write_audioldm, write_clip
from v2a_foley.errors import FoleyError, ModelError
from v2a_foley.models import pull
from v2a_foley.models.bundle import Models
from v2a_foley.models.generator import Request
from v2a_foley.models.windows import joined, window_starts

STEPS = 6


@pytest.fixture(scope="session")
def foundation(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A foundation pack in the released formats, small, with random weights."""
    folder = tmp_path_factory.mktemp("foundation")
    write_audioldm(folder / "generator", SMALL, bins=True)
    write_clip(folder / "clip")
    pull.finish(folder, {pull.AUDIOLDM: "0" * 40})
    return Models(str(folder), "cpu")


def make(models: Models, requests: list[Request], **options: object) -> list[np.ndarray]:
    settings = {"unconditional": models.bank.empty, "steps": STEPS} | options
    return models.generator.generate(requests, **settings)


def test_windows_cover_the_length() -> None:
    assert window_starts(3.0, 10.24) == [0.0]
    assert window_starts(10.24, 10.24) == [0.0]
    assert window_starts(20.0, 10.24) == pytest.approx([0.0, 7.68, 15.36])
    for seconds in (10.25, 17.92, 17.93, 79.5, 3600.0):
        starts = window_starts(seconds, 10.24)
        assert starts[-1] + 10.24 >= seconds
        assert starts[-2] + 10.24 < seconds


@pytest.mark.parametrize("pack", ["starter", "foundation"])
def test_waves_are_long_enough(pack: str, request: pytest.FixtureRequest) -> None:
    models = request.getfixturevalue(pack)
    condition = models.bank.heard[:1]
    for seconds in (0.3, 2.0, 6.0, 14.0):
        wave = make(models, [Request(condition, seconds, 1)], steps=2)[0]
        assert wave.dtype == np.float32
        assert len(wave) >= seconds * models.generator.sample_rate
        assert len(wave) <= (seconds + models.pack.window) * models.generator.sample_rate


def test_a_scene_alone_sounds_as_in_a_batch_of_eight(starter: Models) -> None:
    requests = [Request(starter.bank.heard[i : i + 1], 2.0 + i % 3, 70 + i) for i in range(8)]
    together = make(starter, requests, steps=20, guidance=2.5)
    for index in (0, 3, 7):
        alone = make(starter, [requests[index]], steps=20, guidance=2.5)[0]
        assert np.abs(alone - together[index]).max() < 1e-4


def test_seeds_and_conditions_matter(starter: Models) -> None:
    heard = starter.bank.heard
    first, other_seed, other_sound, again = make(starter, [
        Request(heard[:1], 2.0, 1), Request(heard[:1], 2.0, 2), Request(heard[400:401], 2.0, 1),
        Request(heard[:1], 2.0, 1),
    ])  # fmt: skip
    assert np.abs(first - again).max() < 1e-4
    assert np.abs(first - other_seed).max() > 0.01
    assert np.abs(first - other_sound).max() > 0.01


def test_negative_guidance_and_scheduler_matter(starter: Models) -> None:
    heard = starter.bank.heard
    plain = make(starter, [Request(heard[:1], 2.0, 1)])[0]
    against = make(starter, [Request(heard[:1], 2.0, 1, negative=heard[300])])[0]
    unguided = make(starter, [Request(heard[:1], 2.0, 1)], guidance=1.0)[0]
    ddim = make(starter, [Request(heard[:1], 2.0, 1)], scheduler="ddim")[0]
    for other in (against, unguided, ddim):
        assert np.abs(plain - other).max() > 0.01


def test_every_window_has_its_own_condition(starter: Models) -> None:
    heard = starter.bank.heard
    seconds = 12.0
    count = len(window_starts(seconds, starter.pack.window))
    same = np.repeat(heard[:1], count, axis=0)
    changed = same.copy()
    changed[-1] = heard[500]
    one, two = make(starter, [Request(same, seconds, 1), Request(changed, seconds, 1)])
    third = len(one) // 3
    early = np.abs(one - two)[:third].mean()
    late = np.abs(one - two)[-third:].mean()
    assert late > 4 * early


@pytest.mark.parametrize("scheduler", ["dpm++", "ddim"])
def test_a_start_is_kept_the_more_the_more_faithful(starter: Models, scheduler: str) -> None:
    rate, condition = starter.generator.sample_rate, starter.bank.heard[:1]
    time = np.arange(round(2.56 * rate)) / rate
    start = (0.3 * np.sin(2 * np.pi * 500 * time) * (time % 0.5 < 0.1)).astype(np.float32)
    requests = [
        Request(condition, 2.56, 1, start=start, faithful=share) for share in (0.0, 0.3, 0.7, 1.0)
    ]
    options = {"steps": 10, "scheduler": scheduler}
    free, little, much, whole = make(starter, requests, **options)
    assert (free == make(starter, [Request(condition, 2.56, 1)], **options)[0]).all()
    change = [np.abs(wave - whole).mean() for wave in (free, little, much)]
    assert change[2] < change[1]
    assert change[2] < change[0]
    other = make(starter, [Request(condition, 2.56, 2, start=start, faithful=1.0)], **options)[0]
    assert np.abs(other - whole).max() < 1e-5


def test_the_released_formats_start_from_a_sound(foundation: Models) -> None:
    start = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    condition = foundation.bank.heard[:1]
    request = Request(condition, 2.5, 1, start=start, faithful=0.5)
    made, free = make(foundation, [request, Request(condition, 2.5, 1)])
    assert made.shape == free.shape
    assert (made != free).any()


def test_a_wholly_faithful_start_comes_back_as_it_was(starter: Models) -> None:
    given = starter.recordings
    assert given is not None
    item = next(item for item in given.items if item.label == "dog")
    start = given.start([item], 5.0, starter.generator.sample_rate, 1)
    request = Request(starter.bank.empty[None], 5.0, 1, start=start, faithful=1.0)
    made = make(starter, [request])[0][: len(start)]
    envelopes = [np.sqrt((w[:79_200].reshape(-1, 800) ** 2).mean(1)) for w in (made, start)]
    assert np.corrcoef(*envelopes)[0, 1] > 0.9


def test_progress_rises_to_one(starter: Models) -> None:
    seen: list[float] = []
    requests = [Request(starter.bank.heard[:1], s, 1) for s in (1.0, 4.0, 9.0)]
    make(starter, requests, steps=3, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_a_condition_of_another_space_is_refused(starter: Models) -> None:
    with pytest.raises(ModelError, match="does not fit this generator"):
        make(starter, [Request(np.ones((1, 64), np.float32), 1.0, 1)])
    with pytest.raises(ModelError, match="does not fit this generator"):
        make(starter, [Request(np.ones((3, 512), np.float32), 1.0, 1)])


def test_parts_join_without_a_seam() -> None:
    wave = np.sin(np.arange(3000) * 0.1).astype(np.float32)
    whole = joined([wave[:1100], wave[900:2100], wave[1900:]], 200)
    assert len(whole) == len(wave)
    assert np.abs(np.diff(whole)).max() < 0.15


def test_the_released_formats_load_and_generate(foundation: Models) -> None:
    pack = foundation.pack
    assert pack.name == "foundation"
    assert not pack.commercial
    assert pack.revisions == {pull.AUDIOLDM: "0" * 40}
    assert foundation.clip.images([np.zeros((50, 60, 3), np.uint8)]).shape == (1, 64)
    assert foundation.generator.dim == 512
    assert foundation.generator.frames(10.24) == 256
    assert not foundation.clap.has_audio


def test_the_released_pipeline_agrees(foundation: Models) -> None:
    """Our sampling is diffusers' AudioLDMPipeline with the same noise, scheduler and embeddings."""
    import torch
    from diffusers import AudioLDMPipeline, DDIMScheduler

    generator = foundation.generator
    condition = foundation.bank.heard[:1]
    ours = make(foundation, [Request(condition, 2.56, 5)], scheduler="ddim", guidance=2.5)[0]
    pipeline = AudioLDMPipeline(
        vae=generator._vae, text_encoder=foundation.clap._text,
        tokenizer=foundation.clap._tokenizer, unet=generator._unet,
        scheduler=DDIMScheduler.from_config(generator._config), vocoder=generator._vocoder,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt_embeds=torch.from_numpy(condition),
        negative_prompt_embeds=torch.from_numpy(foundation.bank.empty[None]),
        audio_length_in_s=2.56, num_inference_steps=STEPS, guidance_scale=2.5,
        latents=generator._noise(5, 64)[None],
    ).audios[0]  # fmt: skip
    scale = np.abs(theirs).max()
    assert np.abs(ours[: len(theirs)] - theirs).max() < 1e-3 * scale


def test_a_batch_that_exhausts_the_memory_is_halved(
    foundation: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's memory is played by a limit on what the UNet may be given at once."""
    import torch

    generator = foundation.generator
    conditions = foundation.bank.heard
    requests = [Request(conditions[i : i + 1], 2.0, i) for i in range(6)]
    whole = make(foundation, requests)
    real, sizes = generator._unet.forward, []

    def limited(sample: torch.Tensor, *rest: object, **options: object) -> object:
        if len(sample) > 4:  # two of a guided request
            raise torch.OutOfMemoryError("out of memory")
        sizes.append(len(sample))
        return real(sample, *rest, **options)

    monkeypatch.setattr(generator._unet, "forward", limited)
    monkeypatch.setattr(generator, "_batch", 16)
    for made, due in zip(make(foundation, requests), whole, strict=True):
        assert np.abs(made - due).max() < 1e-3
    assert max(sizes) <= 4  # six requests, then three, then less
    monkeypatch.setattr(generator._unet, "forward", lambda *a, **k: _exhausted())
    with pytest.raises(FoleyError, match="memory is too small for one window"):
        make(foundation, requests[:1])


def _exhausted() -> None:
    import torch

    raise torch.OutOfMemoryError("out of memory")
