"""Mapper files: safetensors with a JSON header that says what the mapper fits."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from v2a_foley.errors import ModelError
from v2a_foley.mapper.bridge import Bridge
from v2a_foley.mapper.protocol import Mapper
from v2a_foley.models.clap import AGREEMENT, agreement

HEADER = "v2a_foley_mapper"
FINGERPRINT = "clap_fingerprint"
KINDS = ("bridge", "regression", "diffusion")


@dataclass(frozen=True, slots=True)
class Header:
    """What a mapper file says of itself. ``config`` are the kind's own settings."""

    kind: str
    config: dict[str, Any]
    clip_id: str
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def save(
    path: Path, header: Header, tensors: dict[str, torch.Tensor], fingerprint: np.ndarray
) -> None:
    """Write a mapper file; ``fingerprint`` ``(8, d_clap)`` is the CLAP's that it maps into."""
    from safetensors.torch import save_file

    part = path.with_name(f".{path.stem}.part{path.suffix}")
    contents = {k: v.contiguous() for k, v in tensors.items()}
    contents[FINGERPRINT] = torch.from_numpy(np.ascontiguousarray(fingerprint, np.float32))
    save_file(contents, part, metadata={HEADER: json.dumps(asdict(header))})
    part.replace(path)


def load(path: Path, *, clip_id: str, fingerprint: np.ndarray) -> tuple[Header, Mapper]:
    """Read a mapper file and see that it fits the CLIP and CLAP in use.

    Raises ModelError when it is no mapper file, is damaged, or was made for other models.
    """
    header, tensors = _read(path)
    if header.clip_id != clip_id:
        raise ModelError(
            f"{path}: this mapper was made for the CLIP '{header.clip_id}', the pack in use has "
            f"'{clip_id}': use the pack it was made for (--models) or another mapper"
        )
    cosine = agreement(tensors[FINGERPRINT].numpy(), fingerprint)
    if not cosine > AGREEMENT:
        raise ModelError(
            f"{path}: this mapper maps into another CLAP than the pack's (they agree to "
            f"{cosine:.3f}, {AGREEMENT} is needed): use the pack it was made for or another mapper"
        )
    return header, _build(path, header, tensors)


def _read(path: Path) -> tuple[Header, dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(HEADER)
            if text is None:
                raise ModelError(f"{path}: a safetensors file, but not a mapper of v2a-foley")
            header = Header(**json.loads(text))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelError(f"{path}: no such mapper file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: not a mapper file, or damaged ({error})") from None
    bad = [k for k, v in tensors.items() if not torch.isfinite(v).all()]
    if FINGERPRINT not in tensors or header.kind not in KINDS or bad:
        raise ModelError(
            f"{path}: damaged or unknown mapper (kind '{header.kind}'): train it again"
        )
    return header, tensors


def _build(path: Path, header: Header, tensors: dict[str, torch.Tensor]) -> Mapper:
    if header.kind == "bridge":
        try:
            return Bridge(tensors["keys"], tensors["values"], **header.config)
        except (KeyError, TypeError) as error:
            raise ModelError(f"{path}: damaged bridge mapper ({error}): make it again") from None
    raise ModelError(
        f"{path}: this version does not run '{header.kind}' mappers yet: use a bridge mapper"
    )
