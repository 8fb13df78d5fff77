"""Fetches the foundation pack: the released weights, through the libraries' own download code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from v2a_foley.errors import FoleyError, InputError, ModelError
from v2a_foley.models import packs
from v2a_foley.models.runtime import prepare
from v2a_foley.progress import SILENT, Progress

CLIP_MODEL, CLIP_WEIGHTS = "ViT-B-32-quickgelu", "openai"  # quickgelu: what OpenAI trained with
AUDIOLDM = "cvssp/audioldm-s-full-v2"
PARTS = ("unet", "vae", "vocoder", "text_encoder", "tokenizer", "scheduler")
LICENCES = (
    ("CLIP ViT-B/32 (OpenAI)", "MIT", "https://github.com/openai/CLIP"),
    (
        "AudioLDM-s-full-v2 with its CLAP text tower (cvssp)",
        "CC BY-NC-SA 4.0: no commercial use",
        f"https://huggingface.co/{AUDIOLDM}",
    ),
)
# Files of each part: half of them have two names, by the library that wrote them.
WEIGHTS = {
    "diffusion_pytorch_model.bin": "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin": "model.safetensors",
}


def licences(name: str) -> list[tuple[str, str, str]]:
    """What ``pull(name)`` fetches: (what, licence, address)."""
    _check(name)
    return list(LICENCES)


def pull(name: str, *, progress: Progress = SILENT) -> Path:
    """Fetch the pack ``name`` (``foundation``) into the user's data folder; returns its folder.

    Needs the network. The revision that is current at this moment is recorded in the pack and
    used from then on. Raises FoleyError when something cannot be fetched; nothing stays then.
    """
    _check(name)
    prepare()
    target = packs.foundation_dir()
    if (target / packs.MANIFEST).is_file():
        raise InputError(f"{target}: the pack is here already; remove the folder to fetch it again")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        progress.note(f"fetching CLIP {CLIP_MODEL} ({CLIP_WEIGHTS})")
        _fetch_clip(part / "clip")
        progress.note(f"fetching {AUDIOLDM}")
        revision = _fetch_audioldm(part / "generator")
        finish(part, {AUDIOLDM: revision})
        part.replace(target)
    except FoleyError:
        raise
    except Exception as error:  # the libraries raise many kinds for 'no network'
        raise FoleyError(
            f"the foundation pack could not be fetched ({type(error).__name__}: {error}). On an "
            f"offline machine, copy the folder {target} from one where "
            "'v2a-foley models pull foundation' worked"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def finish(folder: Path, revisions: dict[str, str]) -> None:
    """Turn fetched parts into a pack: safetensors only, AudioLDM's timing, checksums.

    ``folder`` holds ``clip`` (an open_clip local-dir) and ``generator`` (a diffusers AudioLDM
    folder); ``pack.toml`` is written last.
    """
    for part in PARTS:
        if not (folder / "generator" / part).is_dir():
            raise ModelError(f"{folder / 'generator' / part}: missing; not an AudioLDM folder")
        convert(folder / "generator" / part)
    _write_manifest(folder, revisions)


def convert(folder: Path) -> None:
    """Turn a part's ``.bin`` weights into safetensors, once, where it has no safetensors."""
    import torch
    from safetensors.torch import save_file

    for old, new in WEIGHTS.items():
        source, target = folder / old, folder / new
        if source.is_file() and not target.is_file():
            try:
                state = torch.load(source, map_location="cpu", weights_only=True)
            except Exception as error:  # a pickle that holds more than tensors, or damage
                raise ModelError(
                    f"{source}: not plain weights, or damaged ({error}); fetch it again"
                ) from None
            tensors = {k: v.contiguous().clone() for k, v in state.items()}
            save_file(tensors, target, metadata={"format": "pt"})
        source.unlink(missing_ok=True)


def write_clip(folder: Path, model: Any, preprocess: dict[str, Any]) -> None:
    """Write an open_clip model as a ``local-dir`` with safetensors."""
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    table = {"model_cfg": open_clip.get_model_config(CLIP_MODEL), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(table, indent=2) + "\n")
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})


def _check(name: str) -> None:
    if name != "foundation":
        raise InputError(f"'{name}' is not a pack that can be fetched: only foundation is")


def _fetch_clip(folder: Path) -> None:
    import open_clip

    model = open_clip.create_model(CLIP_MODEL, pretrained=CLIP_WEIGHTS)
    config = open_clip.get_model_preprocess_cfg(model)
    write_clip(folder, model, config)


def _fetch_audioldm(folder: Path) -> str:
    from huggingface_hub import HfApi, snapshot_download

    revision = str(HfApi().model_info(AUDIOLDM).sha)
    snapshot_download(
        AUDIOLDM,
        revision=revision,
        local_dir=folder,
        allow_patterns=["model_index.json", *(f"{part}/*" for part in PARTS)],
    )
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return revision


def _write_manifest(folder: Path, revisions: dict[str, str]) -> None:
    lines = [
        "# Fetched by: v2a-foley models pull foundation", "[pack]", 'name = "foundation"',
        f'version = "{next(iter(revisions.values()))[:12]}"',
        'description = "OpenAI CLIP ViT-B/32 and AudioLDM-s-full-v2, the released weights"',
        "commercial = false", "", "[licences]",
        *(f"{json.dumps(what)} = {json.dumps(licence)}" for what, licence, _ in LICENCES),
        "", "[clip]", f'id = "{CLIP_MODEL}/{CLIP_WEIGHTS}"', 'path = "clip"',
        'prompts = ["a photo of {}", "a video frame of {}", "{}"]',
        "", "[generator]", 'path = "generator"', "window = 10.24", "bucket = 2.56",
        "", "[mapper]", 'default = "bridge"', "", "[revisions]",
        *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in revisions.items()), "", "[files]",
    ]  # fmt: skip
    lines += [
        f"{json.dumps(path.relative_to(folder).as_posix())} = {json.dumps(packs.sha256(path))}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != packs.MANIFEST
    ]
    (folder / packs.MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
