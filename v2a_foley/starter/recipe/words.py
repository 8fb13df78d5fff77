"""The texts that teach the starter's two text towers, and their teacher's embeddings."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch

TEACHER_DIM = 384


def imagenet_names() -> list[str]:
    """First two lemmas of the 1,000 ImageNet classes, in class order."""
    info = resources.files("timm.data") / "_info"
    lemmas = dict(
        line.split("\t")[:2]
        for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    )
    order = (info / "imagenet_synsets.txt").read_text().split()
    return [", ".join(lemmas[synset].split(", ")[:2]) for synset in order]


def nouns() -> list[str]:
    """The first lemma of some 22,000 noun synsets: words nobody listed."""
    info = resources.files("timm.data") / "_info"
    lines = (info / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    return sorted({line.split("\t")[1].split(", ")[0].lower() for line in lines})


def teacher(texts: list[str], folder: Path) -> torch.Tensor:
    """Sentence embeddings of the teacher (all-MiniLM-L6-v2) in ``folder``: ``(n, 384)``, unit."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = torch.empty(len(texts), TEACHER_DIM)
    with torch.inference_mode():
        for at in range(0, len(order), 64):
            index = order[at : at + 64]
            batch = tokenizer(
                [texts[i] for i in index],
                padding=True,
                truncation=True,
                max_length=48,
                return_tensors="pt",
            )
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            out[index] = (hidden * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(out, dim=-1)
