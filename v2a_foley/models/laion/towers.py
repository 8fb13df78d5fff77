"""The two towers of a LAION CLAP as transformers' ClapModel has them.

The names follow transformers' ``convert_clap_original_pytorch_to_hf.py`` (Apache-2.0, in
``src/transformers/models/clap`` until 5.x); the code is this project's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from v2a_foley.errors import ModelError
from v2a_foley.media.files import named
from v2a_foley.models.laion.checkpoint import VOCABULARY, Checkpoint, Shape
from v2a_foley.models.runtime import prepare

if TYPE_CHECKING:
    import torch

NAMES = (
    (r"^audio_branch\.", "audio_model.audio_encoder."),
    (r"^text_branch\.", "text_model."),
    (r"^(audio|text)_projection\.0\.", r"\1_projection.linear1."),
    (r"^(audio|text)_projection\.2\.", r"\1_projection.linear2."),
    (r"\.bn0\.", ".batch_norm."),
    (r"(\.blocks\.\d+)\.attn\.proj\.", r"\1.attention.output.dense."),
    (r"(\.blocks\.\d+)\.attn\.", r"\1.attention.self."),
    (r"(\.blocks\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"(\.blocks\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
    (r"(\.blocks\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"(\.blocks\.\d+)\.norm2\.", r"\1.layernorm_after."),
)
UNUSED = (
    # the audio tower's front end and its AudioSet classifier, recomputed masks, training's heads
    r"^audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\.|\.attn_mask$"
    r"|^(audio|text)_transform\.|^logit_scale_|^text_branch\.embeddings\.(position|token_type)_ids$"
)
FILTERS = "audio_branch.logmel_extractor.melW"
FRONT = {"frequency_min": 50, "frequency_max": 14_000}
"""The bounds of LAION's mel filters in Hz; transformers' default lower bound is 0."""


def rename(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """laion_clap's tensors by ClapModel's names; attention's joint ``qkv`` becomes three."""
    made: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if re.search(UNUSED, key):
            continue
        for pattern, new in NAMES:
            key = re.sub(pattern, new, key)
        if ".self.qkv." in key:
            for part, own in zip(("query", "key", "value"), value.chunk(3), strict=True):
                made[key.replace("qkv", part)] = own
        else:
            made[key] = value
    return made


def convert(checkpoint: Checkpoint) -> tuple[Any, Any, Any]:
    """The text tower, the audio tower and its feature extractor, for ``save_pretrained``.

    Raises ModelError when the checkpoint's tensors are not those of a CLAP of its size, or its
    mel filters are not LAION's.
    """
    prepare()
    import torch
    from transformers import (
        ClapAudioConfig,
        ClapAudioModelWithProjection,
        ClapFeatureExtractor,
        ClapTextConfig,
        ClapTextModelWithProjection,
    )

    shape = checkpoint.shape
    extractor = ClapFeatureExtractor(
        truncation="fusion" if shape.fused else "rand_trunc", padding="repeatpad", **FRONT
    )
    _check_filters(checkpoint, extractor)
    with torch.device("meta"):  # no weights of their own
        text = ClapTextModelWithProjection(ClapTextConfig(**_text_settings(shape)))
        audio = ClapAudioModelWithProjection(ClapAudioConfig(**_audio_settings(shape)))
    tensors = rename(checkpoint.state)
    positions = torch.arange(shape.positions)[None]  # constants that newer RoBERTas do not keep
    tensors["text_model.embeddings.position_ids"] = positions
    tensors["text_model.embeddings.token_type_ids"] = torch.zeros_like(positions)
    _fill(checkpoint, text, tensors, "text_")
    _fill(checkpoint, audio, tensors, "audio_")
    return text, audio, extractor


def _fill(
    checkpoint: Checkpoint, model: Any, tensors: dict[str, torch.Tensor], prefix: str
) -> None:
    own = {
        key: (value.float() if value.is_floating_point() else value).clone().contiguous()
        for key, value in tensors.items()
        if key.startswith(prefix)
    }
    try:
        model.load_state_dict(own, assign=True)
    except RuntimeError as error:
        words = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{named(checkpoint.path)}: its tensors are not those of a CLAP ({words}); get the "
            "file again or name another checkpoint"
        ) from None
    model.eval()


def _text_settings(shape: Shape) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": shape.text_width,
        "num_hidden_layers": shape.text_layers,
        "num_attention_heads": shape.text_width // 64,  # as every RoBERTa has
        "intermediate_size": shape.text_inner,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,  # RoBERTa's; the default of transformers' CLAP is BERT's 1e-12
        "projection_dim": shape.dim,
    }


def _audio_settings(shape: Shape) -> dict[str, Any]:
    fusion = {"enable_fusion": True, "fusion_type": "aff_2d"} if shape.fused else {}
    return {
        "patch_embeds_hidden_size": shape.width,
        "depths": list(shape.depths),
        "num_attention_heads": list(shape.heads),
        "hidden_size": shape.width * 2 ** (len(shape.depths) - 1),
        "projection_dim": shape.dim,
        **fusion,
    }


def _check_filters(checkpoint: Checkpoint, extractor: Any) -> None:
    """The checkpoint carries its mel filters: the extractor's must be the same ones."""
    import torch

    kept = checkpoint.state.get(FILTERS)
    ours = torch.from_numpy(extractor.mel_filters_slaney).float()
    if kept is not None and (kept.shape != ours.shape or not torch.allclose(kept, ours, atol=1e-5)):
        raise ModelError(
            f"{named(checkpoint.path)}: its mel filters are not those of LAION's CLAPs (64 bands "
            "from 50 Hz to 14 kHz at 48 kHz); it cannot be converted"
        )
