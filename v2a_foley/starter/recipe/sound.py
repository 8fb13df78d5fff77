"""Trains the sound space: projections of the audio network and of the text teacher."""

from __future__ import annotations

import random

import torch
from torch import nn
from torch.nn.functional import normalize

from v2a_foley.models.sfx import SoundEncoder
from v2a_foley.starter.recipe.words import TEACHER_DIM

DIM = 512


class TextHead(nn.Module):
    """The teacher's sentence embeddings to the sound space: ``(n, 384)`` to ``(n, 512)``, unit."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(TEACHER_DIM, DIM)

    def forward(self, teacher: torch.Tensor) -> torch.Tensor:
        """Project and normalise."""
        return normalize(self.linear(teacher), dim=-1)


def contrast(audio: torch.Tensor, text: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Symmetric cross-entropy with several positives a row (``same``: ``(n, n)`` bool)."""
    logits = audio @ text.T / 0.1
    target = same.float() / same.sum(1, keepdim=True)
    rows = -(target * logits.log_softmax(1)).sum(1).mean()
    columns = -(target.T * logits.T.log_softmax(1)).sum(1).mean()
    return (rows + columns) / 2


def train(
    features: torch.Tensor,
    labels: list[str],
    texts: dict[str, list[torch.Tensor]],
    captions: torch.Tensor,
    words: torch.Tensor,
    steps: int = 200,
) -> tuple[SoundEncoder, TextHead]:
    """Train both heads on ``features`` ``(n, variants, 512)``.

    ``texts`` holds the teacher's embeddings of each label's phrasings, ``captions`` ``(n, 384)``
    those of the recordings' own; ``words`` ``(m, 384)`` are other words, whose neighbourhoods
    the text head must keep, so that it works for words that have no recording.
    """
    torch.manual_seed(0)
    rng = random.Random(0)
    audio, text = SoundEncoder(dim=DIM), TextHead()
    flat = features.flatten(0, 1)
    audio.mean.copy_(flat.mean(0))
    audio.std.copy_(flat.std(0) + 0.1)
    parameters = [*audio.head.parameters(), *text.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)
    names = sorted(set(labels))
    ids = torch.tensor([names.index(label) for label in labels])
    counts = torch.bincount(ids).float()
    weights = counts[ids] ** -0.7
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        index = torch.multinomial(weights, 192, replacement=True)
        variant = torch.randint(0, features.shape[1], (192,))
        x = features[index, variant]
        x = x + 0.3 * torch.randn_like(x) * audio.std
        embedded = audio.project(nn.functional.dropout(x, 0.1))
        phrasing = torch.stack(
            [
                captions[i] if rng.random() < 0.3 else rng.choice(texts[labels[i]])
                for i in index.tolist()
            ]
        )
        same = ids[index][:, None] == ids[index][None]
        loss = contrast(embedded, text(phrasing), same) + 0.5 * contrast(embedded, embedded, same)
        some = words[torch.randint(0, len(words), (256,))]
        projected = text(some)
        loss = loss + 2.0 * (projected @ projected.T - some @ some.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return audio.eval(), text.eval()
