"""A LAION CLAP checkpoint, or the CLAP inside an AudioLDM ``.ckpt``: weights only, no code."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley.errors import ModelError
from v2a_foley.media.files import named

if TYPE_CHECKING:
    import torch

VOCABULARY = 50265  # RoBERTa's, the only text tower that LAION released CLAPs with
MARK = "text_branch.embeddings.word_embeddings.weight"
PARTS = (
    "audio_branch.", "text_branch.", "audio_projection.", "text_projection.", "audio_transform.",
    "text_transform.", "logit_scale_",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a CLAP, read off its tensors.

    ``width``, ``depths``, ``heads``: of the HTSAT's stages. ``text_width``, ``text_layers``,
    ``text_inner``, ``positions``: of RoBERTa. ``dim``: of the joint space. ``fused``: whether
    the audio tower has the branch for sounds over ten seconds.
    """

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    text_width: int
    text_layers: int
    text_inner: int
    positions: int
    dim: int
    fused: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a CLAP by laion_clap's names (``audio_branch.…``, ``text_branch.…``)."""

    path: Path
    state: dict[str, torch.Tensor]
    shape: Shape


def read(path: Path) -> Checkpoint:
    """Read the CLAP in ``path``; tensors stay in the file until they are used.

    Knows LAION's ``.pt`` (``state_dict`` with ``module.audio_branch.…``) and AudioLDM's original
    ``.ckpt`` (``cond_stage_model.model.audio_branch.…``); any other prefix is found as well.
    Raises ModelError when the file is missing, damaged, holds code, or is no such CLAP.
    """
    loaded = _load(path)
    tensors = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(tensors, dict):
        raise ModelError(f"{named(path)}: holds no 'state_dict'; name a CLAP checkpoint")
    state = _clap(path, tensors)
    try:
        shape = _shape(state)
    except (KeyError, IndexError) as error:
        raise ModelError(
            f"{named(path)}: not the CLAP that LAION released, with HTSAT and RoBERTa: it lacks "
            f"{error}; name another checkpoint"
        ) from None
    vocabulary = len(state[MARK])
    if vocabulary != VOCABULARY:
        raise ModelError(
            f"{named(path)}: its text tower has {vocabulary} tokens, RoBERTa's has {VOCABULARY}; "
            "only CLAPs with RoBERTa can be converted"
        )
    broken = [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ModelError(
            f"{named(path)}: damaged: {broken[0]} holds numbers that are not finite; "
            "get the file again"
        )
    return Checkpoint(path, state, shape)


def _load(path: Path) -> Any:
    import torch

    try:
        whole = zipfile.is_zipfile(path)  # an older torch wrote files that cannot be mapped
        with warnings.catch_warnings(), torch.serialization.safe_globals(_plain_numbers()):
            warnings.simplefilter("ignore")  # of other pickle protocols: they are read, or refused
            return torch.load(path, map_location="cpu", weights_only=True, mmap=whole)
    except FileNotFoundError:
        raise ModelError(f"{named(path)}: no such checkpoint; check its name") from None
    except OSError as error:
        raise ModelError(f"{named(path)}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # torch and pickle raise many kinds
        raise ModelError(f"{named(path)}: {_reason(str(error))}") from None


def _reason(text: str) -> str:
    code = re.search(r"GLOBAL (\S+)|unrecognized function (.+)", text)
    if code:
        return (
            f"refused: it holds '{code[1] or code[2]}' beside weights, and reading that would run "
            "code; get the checkpoint from its publisher, or one that holds weights alone"
        )
    words = " ".join(text.split())[:200] or "it ends early"
    return f"not a checkpoint that torch can read, or cut off ({words}); get the file again"


def _plain_numbers() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What makes a NumPy number, and nothing else: LAION's files keep some beside the weights."""
    import numpy as np

    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(name)) for name in ("f8", "f4", "i8", "i4", "?")]
    paths = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]  # 1 and 2
    return [*paths, np.dtype, *kinds]


def _clap(path: Path, tensors: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The CLAP's tensors, without the prefix that they have in the file."""
    import torch

    ends = [key for key in tensors if isinstance(key, str) and key.endswith(MARK)]
    if len(ends) != 1:
        count = "no" if not ends else "more than one"
        raise ModelError(
            f"{named(path)}: holds {count} CLAP with a RoBERTa text tower (a tensor named "
            f"…{MARK}); name a LAION CLAP or an original AudioLDM checkpoint"
        )
    prefix = ends[0].removesuffix(MARK)
    found = {k.removeprefix(prefix): v for k, v in tensors.items() if str(k).startswith(prefix)}
    return {
        key: value.detach()
        for key, value in found.items()
        if isinstance(value, torch.Tensor) and key.startswith(PARTS)
    }


def _shape(state: dict[str, torch.Tensor]) -> Shape:
    tables: dict[str, list[str]] = {}  # of each stage, one a block
    for key in sorted(k for k in state if k.endswith(".relative_position_bias_table")):
        tables.setdefault(key.split(".")[2], []).append(key)
    layers = {k.split(".")[3] for k in state if k.startswith("text_branch.encoder.layer.")}
    return Shape(
        width=len(state["audio_branch.patch_embed.proj.weight"]),
        depths=tuple(len(own) for own in tables.values()),
        heads=tuple(state[own[0]].shape[1] for own in tables.values()),
        text_width=state[MARK].shape[1],
        text_layers=len(layers),
        text_inner=len(state["text_branch.encoder.layer.0.intermediate.dense.weight"]),
        positions=len(state["text_branch.embeddings.position_embeddings.weight"]),
        dim=len(state["text_projection.2.weight"]),
        fused=any(".fusion_model." in key for key in state),
    )
