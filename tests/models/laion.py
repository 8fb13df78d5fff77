"""CLAP checkpoints in LAION's and AudioLDM's layouts, with random weights."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import torch

from tests.models.foundation import SMALL, write_audioldm, write_clip, write_tokenizer
from v2a_foley.models import pull
from v2a_foley.models.laion.convert import convert
from v2a_foley.models.runtime import prepare

NAMES = {  # transformers' part of a name: LAION's
    "audio_model.audio_encoder.": "audio_branch.",
    "text_model.": "text_branch.",
    "_projection.linear1.": "_projection.0.",
    "_projection.linear2.": "_projection.2.",
    "batch_norm.": "bn0.",
    "attention.output.dense.": "attn.proj.",
    "attention.self.": "attn.",
    "intermediate.dense.": "mlp.fc1.",
    "output.dense.": "mlp.fc2.",
    "layernorm_before.": "norm1.",
    "layernorm_after.": "norm2.",
}


def clap_model(*, fused: bool = False, seed: int = 0) -> Any:
    """A ClapModel of LAION's kind with a small text tower and few layers in both."""
    prepare()
    from transformers import ClapConfig, ClapModel

    text = {
        "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 256, "layer_norm_eps": 1e-5,
    }  # fmt: skip
    audio = {
        "patch_embeds_hidden_size": 96, "depths": [1, 1, 2, 1], "enable_fusion": fused,
        "fusion_type": "aff_2d" if fused else None,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=512))
    return scatter(model).eval()


def scatter(model: Any) -> Any:
    """Random weights under which embeddings of different inputs differ, as trained ones do."""
    generator = torch.Generator().manual_seed(7)
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.fill_(-20)  # decibels
        elif name.endswith("running_var"):
            value.fill_(400)
        elif value.is_floating_point() and not re.search(r"extractor|attn_mask|logit", name):
            spread = 0.1 if value.ndim < 2 else 1.5 * value[0].numel() ** -0.5
            around = 1.0 if re.search(r"(?i)norm\d?\.weight|bn\d.weight", name) else 0.0
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(around + spread * noise)
    return model


def to_laion(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A ClapModel's tensors by LAION's names, with what only LAION's files hold beside them."""
    from transformers.audio_utils import mel_filter_bank

    made: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        heard = key.startswith("audio_model")
        for new, old in NAMES.items():
            if heard or "text_model." in new or "_projection" in new:
                key = key.replace(new, old)
        joint = re.sub(r"attn\.(query|key|value)\.", "attn.qkv.", key)
        made[joint] = torch.cat([made[joint], value]) if joint in made and heard else value
    filters = mel_filter_bank(513, 64, 50, 14_000, 48_000, norm="slaney", mel_scale="slaney")
    made["audio_branch.logmel_extractor.melW"] = torch.from_numpy(filters).float()
    made["audio_branch.tscam_conv.weight"] = torch.zeros(527, 8, 2, 3)
    made["audio_branch.layers.0.blocks.0.attn_mask"] = torch.zeros(64, 64, 64)
    made["text_transform.sequential.0.weight"] = torch.zeros(512, 512)
    return made


def save_laion(path: Path, state: dict[str, torch.Tensor]) -> Path:
    """A LAION ``.pt``: prefixed names, and what training left beside the weights."""
    import numpy as np

    prefixed = {f"module.{k}": v for k, v in state.items()}
    left = {"optimizer": {"lr": np.float64(1e-4), "step": np.int64(3)}, "scaler": None}
    torch.save({"epoch": 45, "name": "630k", "state_dict": prefixed} | left, path)
    return path


def save_audioldm(path: Path, state: dict[str, torch.Tensor]) -> Path:
    """An original AudioLDM ``.ckpt``: the CLAP among the denoiser's and the decoder's weights."""
    inside = {f"cond_stage_model.model.{k}": v for k, v in state.items()}
    rest = {"model.diffusion_model.out.0.weight": torch.zeros(4), "scale_factor": torch.ones(())}
    lightning = {"epoch": 1, "pytorch-lightning_version": "1.8.6", "callbacks": {}, "loops": None}
    torch.save({"state_dict": rest | inside} | lightning, path)
    return path


def write_pack(folder: Path, checkpoint: Path, tokenizer: Path) -> Path:
    """A small foundation pack whose generator has the text tower of ``checkpoint``."""
    write_audioldm(folder / "generator", SMALL)
    write_clip(folder / "clip")
    parts = convert(checkpoint, folder / "parts", tokenizer=tokenizer)
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(folder / "generator" / part)
        shutil.move(parts / part, folder / "generator" / part)
    shutil.rmtree(parts)
    pull.finish(folder, {pull.AUDIOLDM: "0" * 40})
    return folder


def write_words(folder: Path) -> Path:
    """RoBERTa's two files, with a vocabulary of its size."""
    write_tokenizer(folder, 50265)
    for extra in ("tokenizer.json", "tokenizer_config.json"):
        (folder / extra).unlink()
    return folder
