"""The starter's CLIP: an analytic start from the ImageNet classifier, then real pictures.

The image head begins as ConSE (Norouzi et al., ICLR 2014): hidden units are the ImageNet
classifier's logits, softly thresholded, and the output is the sum of the classes' text
embeddings that they weigh. It is then tuned on labelled pictures and on synthetic features.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu, normalize

DIM = 512
HIDDEN = 1024  # open_clip's TimmModel head of kind "mlp" is 1280 -> 2 * dim -> dim


class Space(nn.Module):
    """Teacher's text embeddings to the joint space: remove the mean, keep the geometry."""

    mean: torch.Tensor

    def __init__(self, names: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", names.mean(0))

    def forward(self, teacher: torch.Tensor) -> torch.Tensor:
        """``(n, 384)`` to ``(n, 512)``, unit length; the last 128 dimensions stay empty."""
        centred = normalize(teacher - self.mean, dim=-1)
        return nn.functional.pad(centred, (0, DIM - centred.shape[-1]))


class Head(nn.Module):
    """The image head: two linear layers with a GELU between (timm's Mlp)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(1280, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, DIM, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``(n, 1280)`` to ``(n, 512)``, not normalised (as open_clip's towers)."""
        return self.fc2(gelu(self.fc1(features)))


def conse(weight: torch.Tensor, bias: torch.Tensor, classes: torch.Tensor, shift: float) -> Head:
    """The analytic head of an ImageNet classifier ``(1000, 1280)`` and its classes' texts."""
    head = Head()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.fc1.weight[:1000] = weight
        head.fc1.bias[:1000] = bias - shift
        head.fc1.weight[1000:] = torch.randn(HIDDEN - 1000, 1280) * 0.02
        head.fc2.weight[:, :1000] = classes.T
    return head


def tune(
    head: Head,
    pictures: torch.Tensor,
    targets: torch.Tensor,
    bank: torch.Tensor,
    classifier: tuple[torch.Tensor, torch.Tensor],
    classes: torch.Tensor,
    steps: int = 400,
) -> Head:
    """Tune the head on real pictures without forgetting the ImageNet classes.

    ``pictures`` ``(n, views, 1280)`` with ``targets`` ``(n,)``, rows of the phrase bank's
    texts ``bank`` ``(k, 2, 512)`` (as seen, and by name); ``classes`` ``(1000, 512)``.
    Synthetic class features are mean + covariance x classifier row (linear discriminants read
    backwards), with the pictures' own scatter as noise.
    """
    torch.manual_seed(0)
    flat = pictures.flatten(0, 1)
    mean = flat.mean(0)
    centred = flat - mean
    scatter = (pictures - pictures.mean(1, keepdim=True)).flatten(0, 1)
    means = mean + _pull(centred, classifier[0])
    start = [p.detach().clone() for p in head.parameters()]
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-4)
    counts = torch.bincount(targets).float()
    weights = counts[targets] ** -0.5
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-4 * (1 - step / steps)
        index = torch.multinomial(weights, 96, replacement=True)
        x = pictures[index, torch.randint(0, pictures.shape[1], (96,))]
        x = x + 0.5 * scatter[torch.randint(0, len(scatter), (96,))]
        loss = _classify(head(x), bank[:, int(torch.randint(0, 2, ()))], targets[index])
        known = torch.randint(0, 1000, (96,))
        noise = scatter[torch.randint(0, len(scatter), (96,))]
        loss = loss + _classify(head((means[known] + noise).clamp_min(0)), classes, known)
        near = sum((p - s).square().sum() for p, s in zip(head.parameters(), start, strict=True))
        loss = loss + 2e-3 * near
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head


def class_features(pictures: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Synthetic features ``(1000, 1280)`` of classifier rows, as :func:`tune` makes them.

    ``pictures`` ``(n, 1280)`` are features of real pictures: their mean and spread are used.
    """
    mean = pictures.mean(0)
    return (mean + _pull(pictures - mean, rows)).clamp_min(0)


def _pull(centred: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Class means' offsets ``(1000, 1280)``, scaled to the pictures' own spread."""
    offsets = (rows @ centred.T) @ centred / len(centred)
    return offsets / offsets.norm(dim=1, keepdim=True) * centred.norm(dim=1).mean() * 0.8


def _classify(made: torch.Tensor, texts: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(normalize(made, dim=-1) @ texts.T / 0.05, target)
