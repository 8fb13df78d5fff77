"""The generator against diffusers' own AudioLDMPipeline, called scene by scene.

``speed``: wall time at equal scheduler and steps, and at the product's default against the paper's
200 DDIM steps, which the pipeline has by default. ``quality``: Fréchet distance to real sounds by
number of steps. A pack's weights are loaded once for both sides; rounds alternate.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PAPER = 200  # DDIM steps of AudioLDM and of V2A-Mapper
DEFAULT = 15  # DPM-Solver++ steps of the product


def main(what: str = "speed", pack: str = "starter", scenes: str = "4", rounds: str = "2") -> None:
    """``speed [starter|full] [scenes] [rounds]`` or ``quality starter [sounds]``."""
    if what == "quality":
        _quality(int(scenes) if int(scenes) > 4 else 96)
        return
    with tempfile.TemporaryDirectory() as folder:
        _speed(_models(pack, Path(folder)), int(scenes), int(rounds), full=pack == "full")


def _models(pack: str, folder: Path) -> Any:
    from tests.models.foundation import FULL, write_audioldm, write_clip
    from v2a_foley.models import pull
    from v2a_foley.models.bundle import Models

    if pack == "starter":
        return Models("starter", "cpu")
    write_audioldm(folder / "generator", FULL)
    write_clip(folder / "clip")
    pull.finish(folder, {pull.AUDIOLDM: "0" * 40})
    return Models(str(folder), "cpu")


def _pipeline(models: Any) -> Any:
    """Diffusers' pipeline around the same weights."""
    from diffusers import AudioLDMPipeline
    from transformers import AutoTokenizer, ClapTextModelWithProjection

    from v2a_foley.models.audioldm import make_scheduler

    generator, folder = models.generator, models.pack.generator
    made = AudioLDMPipeline(
        vae=generator._vae,
        text_encoder=ClapTextModelWithProjection.from_pretrained(folder / "text_encoder").float(),
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        unet=generator._unet,
        scheduler=make_scheduler("ddim", generator._config),
        vocoder=generator._vocoder,
    )
    made.set_progress_bar_config(disable=True)
    return made


def _speed(models: Any, scenes: int, rounds: int, *, full: bool) -> None:
    from v2a_foley.models.audioldm import make_scheduler
    from v2a_foley.models.generator import Request

    generator, pipeline = models.generator, _pipeline(models)
    seconds = models.pack.window
    texts = ["a dog barking", "rain", "footsteps on gravel", "an engine"] * scenes
    conditions = models.clap.texts(texts[:scenes])
    empty = models.clap.texts([""])[0]

    def product(steps: int, scheduler: str) -> None:
        requests = [Request(each[None], seconds, seed) for seed, each in enumerate(conditions)]
        generator.generate(requests, unconditional=empty, steps=steps, scheduler=scheduler)

    def diffusers(steps: int, scheduler: str) -> None:
        import torch

        pipeline.scheduler = make_scheduler(scheduler, generator._config)
        for seed, each in enumerate(conditions):
            pipeline(
                prompt_embeds=torch.from_numpy(each[None]),
                negative_prompt_embeds=torch.from_numpy(empty[None]),
                audio_length_in_s=seconds, num_inference_steps=steps, guidance_scale=2.5,
                generator=torch.Generator().manual_seed(seed), output_type="np",
            )  # fmt: skip

    few = (2, 5) if full else (DEFAULT,)  # a full-size step takes seconds: two counts give the line
    product(2, "dpm++")  # warm
    diffusers(2, "ddim")
    ours: dict[int, float] = {}
    theirs: dict[int, float] = {}
    for _ in range(rounds):
        for steps in few:
            ours[steps] = min(ours.get(steps, np.inf), _wall(lambda: product(steps, "dpm++")))  # noqa: B023
            theirs[steps] = min(theirs.get(steps, np.inf), _wall(lambda: diffusers(steps, "ddim")))  # noqa: B023
    print(f"{scenes} scenes of {seconds} s, best of {rounds} rounds")
    if full:
        ours[DEFAULT], theirs[DEFAULT], theirs[PAPER] = (
            _line(ours, DEFAULT), _line(theirs, DEFAULT), _line(theirs, PAPER),
        )  # fmt: skip
        print(f"(from the line through {few[0]} and {few[1]} steps)")
    else:
        theirs[PAPER] = _wall(lambda: diffusers(PAPER, "ddim"))
    print(f"equal steps ({DEFAULT}): {ours[DEFAULT]:.2f} s, diffusers {theirs[DEFAULT]:.2f} s, ")
    print(f"  {theirs[DEFAULT] / ours[DEFAULT]:.2f} times")
    print(f"default against {PAPER} DDIM steps: diffusers {theirs[PAPER]:.2f} s, ")
    print(f"  {theirs[PAPER] / ours[DEFAULT]:.2f} times")


def _line(times: dict[int, float], steps: int) -> float:
    (a, b) = sorted(times)[:2]
    slope = (times[b] - times[a]) / (b - a)
    return times[a] + slope * (steps - a)


def _wall(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _quality(count: int) -> None:
    """Fréchet distance of ``count`` sounds from noise to real recordings, by steps."""
    import soxr

    from v2a_foley.evaluate.distances import frechet
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.generator import Request

    models = Models("starter", "cpu")
    recordings = models.recordings
    assert recordings is not None
    rng = np.random.default_rng(0)
    real = [i for i, item in enumerate(recordings.items) if item.made == "recorded"]
    chosen = rng.permutation(real)
    half = min(count, len(chosen) // 2)
    conditions, truth = (
        recordings.embeddings[chosen[:half]],
        recordings.embeddings[chosen[half : 2 * half]],
    )
    rate = models.generator.sample_rate
    print(f"{half} sounds of 5 s; real to real {frechet(conditions, truth):.4f}")
    ways = [("ddim", PAPER), *(("dpm++", n) for n in (8, 10, DEFAULT, 20, 30)), ("ddim", DEFAULT)]
    for scheduler, steps in ways:
        requests = [Request(each[None], 5.0, seed) for seed, each in enumerate(conditions)]
        begun = time.perf_counter()
        waves = models.generator.generate(
            requests, unconditional=models.bank.empty, steps=steps, scheduler=scheduler
        )
        spent = time.perf_counter() - begun
        heard = models.clap.sounds([soxr.resample(w, rate, 48_000) for w in waves], 48_000)
        print(
            f"{scheduler} {steps}: FD {frechet(heard, truth):.4f}, to its condition "
            f"{float((heard * conditions).sum(1).mean()):.3f}, {spent:.0f} s", flush=True,
        )  # fmt: skip
