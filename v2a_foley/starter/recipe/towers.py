"""Distils the teacher's sentence embeddings into the two small text towers."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy, normalize

from v2a_foley.starter.recipe.training import steps, warm_cosine

DIM = 512
SEEN_TEMPLATES = ("{}", "a photo of {}", "a video frame of {}")
HEARD_TEMPLATES = ("{}", "the sound of {}", "{} sound")
VOCABULARY = 4000
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
CLIP_CONFIG = {
    "embed_dim": DIM,
    "vision_cfg": {
        "image_size": 224, "timm_model_name": "tf_efficientnet_lite0",
        "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": "mlp",
    },
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 96, "heads": 4, "layers": 2},
    "custom_text": True,
}  # fmt: skip
# Films are wide: a squeezed frame keeps what a cut to the middle would lose.
PREPROCESS = {
    "mean": [127 / 255] * 3, "std": [128 / 255] * 3, "interpolation": "bicubic",
    "resize_mode": "squash", "size": [224, 224],
}  # fmt: skip


def clap_tokenizer(texts: list[str], folder: Path) -> Any:
    """A byte-level BPE tokenizer in RoBERTa's format, trained on ``texts``."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    trained = ByteLevelBPETokenizer(lowercase=False)
    trained.train_from_iterator(texts, VOCABULARY, min_frequency=2, special_tokens=SPECIAL)
    folder.mkdir(parents=True, exist_ok=True)
    trained.save_model(str(folder))
    tokenizer = RobertaTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=78
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def clap_text(tokenizer: Any) -> torch.nn.Module:
    """A small ClapTextModelWithProjection."""
    from transformers import ClapTextConfig, ClapTextModelWithProjection

    torch.manual_seed(3)
    return ClapTextModelWithProjection(
        ClapTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=576,
            max_position_embeddings=80,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            projection_dim=DIM,
            pad_token_id=1,
            hidden_dropout_prob=0.05,
            attention_probs_dropout_prob=0.05,
        )
    )


def distil(
    name: str,
    encode: Callable[[list[str]], torch.Tensor],
    model: torch.nn.Module,
    texts: list[str],
    targets: torch.Tensor,
    weights: torch.Tensor,
    templates: tuple[str, ...],
    budget: float,
    batch: int = 128,
) -> None:
    """Train ``encode(texts)`` to give ``targets`` ``(n, 512)``, also inside a template.

    Loss: cosine distance, and telling the batch's texts apart.
    """
    rng = random.Random(4)
    torch.manual_seed(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
    model.train()
    for count, share in enumerate(steps(budget, 0.0, lambda spent: None), 1):
        index = torch.multinomial(weights, batch, replacement=False)
        chosen = [rng.choice(templates).format(texts[i]) for i in index.tolist()]
        made = normalize(encode(chosen), dim=-1)
        wanted = targets[index]
        apart = cross_entropy(made @ wanted.T / 0.05, torch.arange(batch))
        loss = (1 - (made * wanted).sum(-1)).mean() + 0.2 * apart
        optimizer.param_groups[0]["lr"] = 1e-3 * warm_cosine(share)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if count % 100 == 0:
            cosine = float((made * wanted).sum(-1).mean())
            print(f"{name} {share:.3f} step {count} cosine {cosine:.3f}", flush=True)
    model.eval()
