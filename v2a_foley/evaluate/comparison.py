"""Mappers side by side, by the measures of the field, on pairs that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.evaluate.distances import Estimate, diversity, frechet, kernel
from v2a_foley.evaluate.extra import require
from v2a_foley.evaluate.heldout import HeldOut, check_pack, spoken
from v2a_foley.evaluate.mappers import Contender, baseline, contenders, run
from v2a_foley.evaluate.retrieval import AT, chance_rank, chance_recall, ranks, recall
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

DRAWS = 4  # samples of one scene, for the variety of mappers that sample
DRAWN = 32  # scenes that are sampled so


@dataclass(frozen=True, slots=True)
class Score:
    """What one mapper gets. None stands for what has no meaning for it, or for so few pairs.

    ``cosine``: mean cosine to the true sound. ``recall``: by ``k``, the share of scenes whose
    true sound is among the ``k`` nearest held-out ones; ``median_rank`` of it, from 1.
    ``class_top1``, ``class_top5``: share of embeddings whose nearest class texts name the
    scene's class (zero-shot, in CLAP's own eyes). ``frechet``, ``kernel``: distances between all
    mapped and all true embeddings. ``diversity``: mean cosine distance among the mapped;
    ``variety``: among samples of one scene, 0 where the mapper does not sample.
    """

    name: str
    kind: str
    cosine: float | None = None
    recall: dict[int, float | None] = field(default_factory=dict)
    median_rank: float | None = None
    class_top1: float | None = None
    class_top5: float | None = None
    frechet: float | None = None
    kernel: Estimate | None = None
    diversity: float | None = None
    variety: float | None = None


@dataclass(frozen=True, slots=True)
class Spaces:
    """What is drawn: unit-length embeddings of scenes, of sounds, and mapped ones by name.

    ``owned``: the sounds of each scene. ``ranks``: of each scene, by mapper.
    """

    seen: np.ndarray
    heard: np.ndarray
    owned: list[list[int]]
    mapped: dict[str, np.ndarray]
    ranks: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mappers side by side on one split of a pairs folder.

    ``scores``: a row a mapper, before them the true sounds, after them chance.
    """

    pairs: Path
    split: str
    pack: str
    seed: int
    scenes: int
    sounds: int
    classes: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    spaces: Spaces


@dataclass(frozen=True, slots=True)
class _Classes:
    """The classes' texts ``(c, d_clap)``, and which row is whose."""

    texts: np.ndarray
    rows: dict[str, int]


def compare(
    pairs: Path,
    mappers: Sequence[Path],
    *,
    models: Models,
    split: str = "test",
    seed: int = 0,
    progress: Progress = SILENT,
) -> Comparison:
    """Judge mapper files, the pack's own mapper, the bridge and a ridge regression.

    Args:
        pairs: a folder of pairs; the ridge regression learns from its training split.
        mappers: mapper files.
        models: the pack whose CLIP and CLAP made the pairs.
        split: the pairs to judge on.
        seed: of sampling, of subsets and of the ridge regression's choice of pairs.
        progress: told of each mapper.

    Raises:
        InputError: the pairs are missing, damaged or too few, or a library is missing.
        ModelError: pairs or a mapper belong to another CLIP or CLAP.
    """
    require("sklearn")
    held = HeldOut.open(pairs, split)
    check_pack(held.pairs, models)
    entrants = contenders(mappers, models)
    ridge, problem = baseline(pairs, seed)
    if ridge:
        entrants.append(ridge)
    classes = _classes(held, models)
    mapped = {each.name: run(each, held, seed, progress=progress) for each in entrants}
    found = {name: ranks(rows, held.sounds, held.owned) for name, rows in mapped.items()}
    scores = [
        _score(each, mapped[each.name], found[each.name], held, classes, seed) for each in entrants
    ]
    return Comparison(
        pairs=pairs,
        split=split,
        pack=models.pack.id,
        seed=seed,
        scenes=len(held.scenes),
        sounds=len(held.sounds),
        classes=len(classes.texts) if classes else 0,
        scores=(_true(held, classes), *scores, _chance(held, classes)),
        notes=tuple(_notes(held, split, problem, classes)),
        spaces=Spaces(held.seen(), held.sounds, held.owned, mapped, found),
    )


def _score(
    of: Contender,
    mapped: np.ndarray,
    found: np.ndarray,
    held: HeldOut,
    classes: _Classes | None,
    seed: int,
) -> Score:
    pool = len(held.sounds)
    cosines = [
        float((held.sounds[own] @ row).mean()) for row, own in zip(mapped, held.owned, strict=True)
    ]
    top1, top5 = _agreement(mapped, held.labels, classes)
    return Score(
        name=of.name,
        kind=of.mapper.kind,
        cosine=float(np.mean(cosines)),
        recall={k: recall(found, k, pool) for k in AT},
        median_rank=float(np.median(found)),
        class_top1=top1,
        class_top5=top5,
        frechet=frechet(mapped, held.sounds),
        kernel=kernel(mapped, held.sounds, partners=held.partners(), seed=seed),
        diversity=diversity(mapped),
        variety=_variety(of, mapped, held, seed),
    )


def _variety(of: Contender, mapped: np.ndarray, held: HeldOut, seed: int) -> float:
    draws = [mapped[:DRAWN]]
    for draw in range(1, DRAWS):
        draws.append(run(of, held, seed, draw=draw, most=DRAWN))
        if np.array_equal(draws[0], draws[1]):
            return 0.0
    return float(np.mean([diversity(own) for own in np.stack(draws, axis=1)]))


def _classes(held: HeldOut, models: Models) -> _Classes | None:
    """None where the pairs have no labels, or all have one."""
    names = sorted({label for label in held.labels if label})
    if len(names) < 2:
        return None
    texts = models.clap.texts([spoken(name) for name in names])
    return _Classes(texts, {name: row for row, name in enumerate(names)})


def _agreement(
    points: np.ndarray, labels: Sequence[str], classes: _Classes | None
) -> tuple[float | None, float | None]:
    """Zero-shot accuracy at 1 and at 5 of embeddings whose class is known."""
    if classes is None:
        return None, None
    known = [row for row, label in enumerate(labels) if label in classes.rows]
    own = [[classes.rows[labels[row]]] for row in known]
    found = ranks(points[known], classes.texts, own)
    return recall(found, 1, len(classes.texts)), recall(found, 5, len(classes.texts))


def _true(held: HeldOut, classes: _Classes | None) -> Score:
    top1, top5 = _agreement(held.sounds, held.sound_labels, classes)
    return Score(
        "true sounds", "", class_top1=top1, class_top5=top5, diversity=diversity(held.sounds)
    )


def _chance(held: HeldOut, classes: _Classes | None) -> Score:
    pool, count = len(held.sounds), len(classes.texts) if classes else 0
    return Score(
        "chance",
        "",
        recall={k: chance_recall(held.owned, k, pool) for k in AT},
        median_rank=chance_rank(held.owned, pool),
        class_top1=1 / count if count else None,
        class_top5=5 / count if count > 5 else None,
    )


def _notes(held: HeldOut, split: str, problem: str, classes: _Classes | None) -> list[str]:
    count, dim = min(len(held.scenes), len(held.sounds)), held.sounds.shape[1]
    notes = [problem] if problem else []
    if held.pairs.manifest.kind == "text":
        notes.append("pairs of texts: what counts as a scene or a sound here is a phrase of one")
    if split != "test":
        notes.append(f"judged on the split '{split}', which training may have seen")
    if count <= dim:
        notes.append(
            f"{count} embeddings of {dim} dimensions: Fréchet distances are biased upwards; "
            "compare them only within this table"
        )
    # What a split may not cut through is one thing, however many scenes were made of it.
    groups = len({held.pairs.records[i].group for i in held.scenes})
    notes.append(
        f"with {groups} independent groups of scenes a share is uncertain by up to "
        f"{0.98 / sqrt(groups):.3f} (95 %)"
    )
    if classes is None:
        notes.append("no class accuracy: the pairs have fewer than two labels")
    else:
        notes.append("the class accuracy is CLAP's own judgement, the space that is mapped into")
    return notes
