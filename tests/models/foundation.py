"""Checkpoints in the released formats of the foundation pack, with random weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from v2a_foley.models.runtime import prepare

WORDS = ["a dog barking", "heavy rain", "music, speech", "footsteps on gravel", "engine", "wind"]


@dataclass(frozen=True)
class Size:
    """Widths of one AudioLDM; ``FULL`` is cvssp/audioldm-s-full-v2 (public conversion script)."""

    unet: tuple[int, ...]
    vae: tuple[int, ...]
    vocoder: int
    text_width: int
    text_layers: int
    heads: int


SMALL = Size((32, 32, 64, 64), (16, 16, 32), 32, 32, 2, 4)
FULL = Size((128, 256, 384, 640), (128, 256, 512), 1024, 768, 12, 12)


def write_audioldm(folder: Path, size: Size = SMALL, *, bins: bool = False) -> Path:
    """A diffusers AudioLDM repository; ``bins`` writes torch .bin files instead of safetensors."""
    prepare()
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import ClapTextModelWithProjection, SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=128, in_channels=8, out_channels=8, block_out_channels=size.unet,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
        up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
        layers_per_block=2, norm_num_groups=32, attention_head_dim=8,
        cross_attention_dim=list(size.unet), class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=512, class_embeddings_concat=True,
    )  # fmt: skip
    vae = AutoencoderKL(
        in_channels=1, out_channels=1, down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, block_out_channels=size.vae,
        layers_per_block=2, latent_channels=8, norm_num_groups=16, sample_size=512,
        scaling_factor=0.9227914214134216,
    )  # fmt: skip
    vocoder = SpeechT5HifiGan(SpeechT5HifiGanConfig(
        model_in_dim=64, sampling_rate=16000, upsample_initial_channel=size.vocoder,
        upsample_rates=[5, 4, 2, 2, 2], upsample_kernel_sizes=[16, 16, 8, 4, 4],
        resblock_kernel_sizes=[3, 7, 11], resblock_dilation_sizes=[[1, 3, 5]] * 3,
        normalize_before=False,
    ))  # fmt: skip
    tokenizer = write_tokenizer(folder / "tokenizer", 50265 if size is FULL else 0)
    text = ClapTextModelWithProjection(clap_text_config(size, len(tokenizer)))
    for name, part in (("unet", unet), ("vae", vae), ("vocoder", vocoder), ("text_encoder", text)):
        part.save_pretrained(folder / name)
        if bins:
            to_bin(folder / name)
    schedule = {
        "_class_name": "DDIMScheduler", "beta_start": 0.0015, "beta_end": 0.0195,
        "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "clip_sample": False,
        "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": "epsilon",
    }  # fmt: skip
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(schedule))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "AudioLDMPipeline"}))
    return folder


def clap_text_config(size: Size, vocabulary: int) -> Any:
    """Configuration of the RoBERTa text tower of CLAP."""
    from transformers import ClapTextConfig

    return ClapTextConfig(
        vocab_size=vocabulary,
        hidden_size=size.text_width,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.text_width,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        projection_dim=512,
    )


def write_tokenizer(folder: Path, least: int = 0) -> Any:
    """A byte-level BPE tokenizer in RoBERTa's two files; fillers make ``least`` tokens."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    folder.mkdir(parents=True)
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(WORDS, 300, special_tokens=special)
    trained.save_model(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text())
    vocabulary |= {f"filler{n}": n for n in range(len(vocabulary), least)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = RobertaTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=512
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def to_bin(folder: Path) -> None:
    """Rewrite a part's safetensors as the older torch file."""
    from safetensors.torch import load_file

    names = {"diffusion_pytorch_model": "diffusion_pytorch_model", "model": "pytorch_model"}
    for new, old in names.items():
        path = folder / f"{new}.safetensors"
        if path.exists():
            torch.save(load_file(path), folder / f"{old}.bin")
            path.unlink()


def write_clip(folder: Path, *, full: bool = False) -> Path:
    """An open_clip ``local-dir`` of ViT-B-32-quickgelu, or of a small one of its kind."""
    prepare()
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(1)
    config = open_clip.get_model_config("ViT-B-32-quickgelu")
    if not full:
        config["embed_dim"] = 64
        config["vision_cfg"] |= {"layers": 2, "width": 64, "head_width": 16}
        config["text_cfg"] |= {"layers": 2, "width": 64, "heads": 4}
    model = open_clip.CLIP(**config)
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    return folder
