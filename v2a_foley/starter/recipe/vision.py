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
