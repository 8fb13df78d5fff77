"""Puts the trained parts together as a model pack, with sources, licences and checksums."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from v2a_foley.models.packs import BLENDED, MANIFEST, sha256
from v2a_foley.models.vocos import Vocos
from v2a_foley.starter.recipe.data import HELD_OUT_SOUNDS, Recording

VERSION = "0.3"
HEADER = """\
# The starter model pack. Made by: python -m v2a_foley.starter.recipe
[pack]
name = "starter"
version = "{version}"
description = "Small models trained on freely licensed recordings; works with no download"
commercial = true

[licences]
"CLIP image tower (EfficientNet-Lite0, ImageNet)" = "Apache-2.0"
"CLAP audio tower (aiSFX)" = "CC BY 4.0, Alison B. Ma and Alexander Lerch"
"text towers, projections, autoencoder, denoiser, vocoder" = "CC BY-SA 4.0; trained on sources.tsv"
"recordings" = "each its own (CC0 to CC BY-SA, MIT, BSD, ...): recordings/recordings.tsv"

[clip]
id = "{clip_id}"
path = "clip"
prompts = ["{{}}", "a photo of {{}}"]
spread = 4.0

[clap]
audio = "sound"

[generator]
path = "generator"
window = 5.12
bucket = 2.56
channels_last = true

[recordings]
path = "recordings"

[mapper]
default = "{mapper}"
"""


def compact(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices and kernels in half precision; vectors (norms, statistics) as they are."""
    return {
        k: (v.half() if v.is_floating_point() and v.ndim > 1 else v).contiguous()
        for k, v in state.items()
    }


def compact_text(path: Path) -> None:
    """Rewrite a text tower's file with its matrices in 8 bits: cosines stay above 0.998."""
    state = load_file(path)
    for key, value in state.items():
        if value.is_floating_point() and value.ndim > 1:
            state[key] = value.to(torch.float8_e4m3fn)
    save_file(state, path, {"format": "pt"})


def compact_file(path: Path) -> None:
    """Rewrite a mapper file by :func:`compact`, its header and CLAP fingerprint as they are."""
    from v2a_foley.mapper.checkpoint import FINGERPRINT

    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(compact(state) | {FINGERPRINT: state[FINGERPRINT]}, path, header)


def write_clip(
    folder: Path, config: dict[str, Any], preprocess: dict[str, Any], state: dict[str, torch.Tensor]
) -> None:
    """An open_clip ``local-dir``."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(table, indent=2) + "\n")
    save_file(compact(state), folder / "open_clip_model.safetensors", {"format": "pt"})


def write_sound(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """The CLAP audio tower."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "sound_encoder"}) + "\n")
    save_file(compact(state), folder / "model.safetensors", {"format": "pt"})


def write_generator(
    folder: Path,
    unet: Any,
    vae: Any,
    vocoder: Vocos,
    schedule: dict[str, Any],
    text: Any,
    tokenizer: Any,
) -> None:
    """A diffusers AudioLDM folder, half precision or less; Vocos in the vocoder's place."""
    unet.half().save_pretrained(folder / "unet")
    vae.half().save_pretrained(folder / "vae")
    text.half().save_pretrained(folder / "text_encoder")
    compact_text(folder / "text_encoder" / "model.safetensors")
    tokenizer.save_pretrained(folder / "tokenizer")
    vocoder.save_pretrained(folder / "vocoder")
    path = folder / "scheduler" / "scheduler_config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schedule, indent=2) + "\n")


def write_sources(path: Path, items: list[Recording], pictures: list[dict[str, str]]) -> None:
    """One row for each recording and picture that trained the pack, with its licence."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter="\t", lineterminator="\n")
        out.writerow(["kind", "class", "licence", "package", "path"])
        for item in items:
            if item.package not in HELD_OUT_SOUNDS and not item.synthesised:
                out.writerow(["sound", item.label, item.licence, item.package, item.path])
        for row in pictures:
            out.writerow(["picture", row["cls"], row["licence"], row["package"], row["path"]])


def write_manifest(folder: Path, clip_id: str, mappers: Sequence[str]) -> None:
    """``pack.toml`` with the SHA-256 of every file; ``mappers`` are those in ``mappers/``."""
    mapper = "blend" if BLENDED in mappers else "bridge"
    text = HEADER.format(version=VERSION, clip_id=clip_id, mapper=mapper)
    text += "".join(f'{name} = "mappers/{name}.safetensors"\n' for name in mappers)
    text += "\n[files]\n"
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in (MANIFEST, "README.md"):
            text += f'"{path.relative_to(folder).as_posix()}" = "{sha256(path)}"\n'
    (folder / MANIFEST).write_text(text, encoding="utf-8")
