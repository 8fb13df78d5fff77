"""The parts of an AudioLDM in diffusers' folder layout, and its schedulers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley.errors import ModelError

if TYPE_CHECKING:
    import torch


def load(
    folder: Path, dtype: torch.dtype, device: torch.device
) -> tuple[Any, Any, Any, dict[str, Any]]:
    """UNet, autoencoder, vocoder and scheduler configuration of a diffusers AudioLDM folder."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import SpeechT5HifiGan

    from v2a_foley.models import vocos

    try:
        options = {"torch_dtype": dtype, "local_files_only": True, "use_safetensors": True}
        unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **options)
        vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", **options)
        kind = json.loads((folder / "vocoder" / "config.json").read_text(encoding="utf-8"))
        if kind.get("model_type") == vocos.CONFIG_NAME:
            vocoder: Any = vocos.Vocos.from_pretrained(folder / "vocoder")
        else:
            vocoder = SpeechT5HifiGan.from_pretrained(
                folder / "vocoder", dtype=dtype, local_files_only=True, use_safetensors=True
            )
        path = folder / "scheduler" / "scheduler_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: diffusers cannot load this AudioLDM ({error})") from error
    parts = [part.to(device).eval().requires_grad_(False) for part in (unet, vae, vocoder)]
    return parts[0], parts[1], parts[2], config


def make_scheduler(name: str, config: dict[str, Any]) -> Any:
    """The scheduler ``name`` (``dpm++`` or ``ddim``) on the noise schedule in ``config``."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    shared = {k: v for k, v in config.items() if not k.startswith("_")}
    if name == "ddim":
        return DDIMScheduler.from_config(shared | {"clip_sample": False})
    return DPMSolverMultistepScheduler.from_config(
        shared
        | {
            "algorithm_type": "dpmsolver++",
            "solver_order": 2,
            "thresholding": False,
            "use_karras_sigmas": False,
            "timestep_spacing": "linspace",
        }
    )
