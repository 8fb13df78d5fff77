"""The mappers that are compared: files, the pack's own, the bridge and a linear baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from v2a_foley.cuesheet import derive_seed
from v2a_foley.errors import InputError, ModelError
from v2a_foley.evaluate.heldout import HeldOut
from v2a_foley.mapper import checkpoint
from v2a_foley.mapper.bridge import Bridge
from v2a_foley.mapper.protocol import Generators, Mapper
from v2a_foley.pairs.dataset import Pairs
from v2a_foley.progress import Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

BATCH = 64
RIDGE_PAIRS = 10_000  # pairs the baseline learns from: more change little and cost memory
RIDGE_FEWEST = 10
PENALTIES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
FOLDS = 3
RESERVED = ("true sounds", "bridge", "ridge", "chance")  # names of a table's other rows


@dataclass(frozen=True, slots=True)
class Contender:
    """A mapper under the name it is reported by."""

    name: str
    mapper: Mapper


class Ridge:
    """Ridge regression from the frames' mean: what any trained mapper has to beat."""

    kind = "ridge"
    per_window = True

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def fit(cls, pairs: Pairs, seed: int = 0) -> Ridge:
        """Learn from training pairs; the penalty is chosen by cross-validation between groups.

        Raises:
            InputError: fewer than ten pairs.
        """
        from sklearn.linear_model import Ridge as Linear
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import GroupKFold

        if len(pairs) < RIDGE_FEWEST:
            raise InputError(f"{len(pairs)} training pairs, {RIDGE_FEWEST} are needed")
        chosen = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:RIDGE_PAIRS])
        seen = _means([torch.from_numpy(pairs.frames(i)) for i in chosen]).numpy()
        heard = pairs.audio(chosen)
        groups = [pairs.records[i].group for i in chosen]
        folds = min(FOLDS, len(set(groups)))
        if folds < 2:
            return cls(Linear(alpha=1.0).fit(seen, heard))
        splits = list(GroupKFold(folds).split(seen, groups=groups))
        return cls(RidgeCV(PENALTIES, cv=splits).fit(seen, heard))

    def map(self, scenes: Sequence[torch.Tensor], *, generator: Generators = None) -> torch.Tensor:
        """See :class:`v2a_foley.mapper.protocol.Mapper`."""
        made = self._model.predict(_means(scenes).numpy())
        return normalize(torch.from_numpy(np.asarray(made, np.float32)), dim=-1)


def _means(scenes: Sequence[torch.Tensor]) -> torch.Tensor:
    return normalize(torch.stack([frames.mean(0) for frames in scenes]), dim=-1)


def contenders(files: Sequence[Path], models: Models) -> list[Contender]:
    """The mappers in ``files`` under their files' names, those of the pack, and the bridge.

    Raises:
        ModelError: a file is no mapper, or was made for another CLIP or CLAP.
    """
    paths = {path.resolve(): path.stem for path in files}
    for name, own in models.pack.mappers.items():
        paths.setdefault(own.resolve(), f"{name} (the pack's)")
    names = [*paths.values(), *RESERVED]
    found = []
    for path, name in paths.items():
        mapper = checkpoint.load(
            path,
            clip_id=models.pack.clip_id,
            fingerprint=models.bank.fingerprint,
            device=models.device,
        )[1]
        found.append(Contender(name if names.count(name) == 1 else str(path), mapper))
    keys = torch.from_numpy(models.bank.seen + models.bank.named)
    return [*found, Contender("bridge", Bridge(keys, torch.from_numpy(models.bank.heard)))]


def baseline(folder: Path, seed: int) -> tuple[Contender | None, str]:
    """The ridge baseline of a pairs folder, or None and a sentence that says why not."""
    try:
        ridge = Ridge.fit(Pairs.open(folder, split="train"), seed)
    except InputError as problem:
        return None, f"no ridge baseline: {problem}"
    return Contender("ridge", ridge), ""


def run(
    contender: Contender,
    held: HeldOut,
    seed: int,
    *,
    draw: int = 0,
    most: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Map the held-out scenes, or the first ``most``: ``(n, d_clap)``, unit length.

    Each scene has a seed of its own, made of ``seed``, ``draw`` and the pair's id, so that it is
    mapped alike in any batch and any order.

    Raises:
        ModelError: the mapper gives NaN, or expects other dimensions.
    """
    scenes = held.scenes[:most]
    out = []
    for at in range(0, len(scenes), BATCH):
        some = scenes[at : at + BATCH]
        frames = [torch.from_numpy(held.pairs.frames(i)) for i in some]
        seeds = [derive_seed(seed, f"{draw}/{held.pairs.records[i].id}") for i in some]
        generators = [torch.Generator().manual_seed(own) for own in seeds]
        try:
            with torch.inference_mode():
                made = contender.mapper.map(frames, generator=generators)
        except RuntimeError as problem:
            reason = str(problem).partition("\n")[0]
            raise ModelError(
                f"{contender.name}: this mapper cannot map these pairs ({reason}): train it on "
                "pairs that the pack in use has made"
            ) from None
        out.append(made.float().cpu().numpy())
        if progress:
            progress.stage(f"map {contender.name}", (at + len(some)) / len(scenes))
    mapped = np.concatenate(out)
    if not np.isfinite(mapped).all():
        raise ModelError(f"{contender.name}: this mapper gives NaN or infinity: train it again")
    return mapped
