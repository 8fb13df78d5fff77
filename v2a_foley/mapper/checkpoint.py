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
from v2a_foley.media.files import atomic
from v2a_foley.models.clap import AGREEMENT, agreement

HEADER = "v2a_foley_mapper"
FINGERPRINT = "clap_fingerprint"
KINDS = ("bridge", "regression", "diffusion")


@dataclass(frozen=True, slots=True)
class Header:
    """What a mapper file says of itself.

    ``config`` are the kind's own settings, ``training`` what it was trained on and how,
    ``metrics`` how good it was on held-out pairs.
    """

    kind: str
    config: dict[str, Any]
    clip_id: str
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def save(
    path: Path, header: Header, tensors: dict[str, torch.Tensor], fingerprint: np.ndarray
) -> None:
    """Write a mapper file; ``fingerprint`` ``(8, d_clap)`` is the CLAP's that it maps into."""
    from safetensors.torch import save as serialized

    contents = {k: v.contiguous() for k, v in tensors.items()}
    contents[FINGERPRINT] = torch.from_numpy(np.ascontiguousarray(fingerprint, np.float32))
    with atomic(path, overwrite=True) as part:
        # By way of bytes: the library's own files can be read by nobody but their owner.
        part.write_bytes(serialized(contents, {HEADER: json.dumps(asdict(header))}))


def load(
    path: Path, *, clip_id: str, fingerprint: np.ndarray, device: torch.device | None = None
) -> tuple[Header, Mapper]:
    """Read a mapper file and see that it fits the CLIP and CLAP in use.

    ``device`` (the CPU if not given) is where a trained mapper's network runs.

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
    del tensors[FINGERPRINT]
    try:
        mapper = _bridge(header, tensors) if header.kind == "bridge" else _network(header, tensors)
    except (KeyError, TypeError, RuntimeError, ModelError) as error:
        reason = str(error).strip().replace("\n\t", " ")
        raise ModelError(
            f"{path}: damaged {header.kind} mapper ({reason}): copy it again or train it again"
        ) from None
    if isinstance(mapper, torch.nn.Module):
        mapper.to(device or "cpu")
    return header, mapper


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
    sound = header.kind in KINDS and isinstance(header.config, dict)
    if FINGERPRINT not in tensors or bad or not sound:
        raise ModelError(
            f"{path}: damaged or unknown mapper (kind '{header.kind}'): train it again"
        )
    return header, tensors


def _bridge(header: Header, tensors: dict[str, torch.Tensor]) -> Mapper:
    return Bridge(tensors["keys"], tensors["values"], **header.config)


def _network(header: Header, tensors: dict[str, torch.Tensor]) -> Mapper:
    """A trained mapper: made without memory of its own, so a header cannot ask for any."""
    from accelerate import init_empty_weights

    from v2a_foley.mapper import config, kinds

    with init_empty_weights():
        network = kinds.build(*config.network(header.kind, header.config, ModelError))
    network.load_state_dict({k: v.float() for k, v in tensors.items()}, assign=True)
    return network.eval().requires_grad_(False)
