"""Ranks: does an embedding find what belongs to it among everything else?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb

import numpy as np

AT = (1, 5, 10)  # the field's R@1, R@5 and R@10
ROWS = 512  # of queries compared at once, so that 15,000 against 15,000 take no memory

Owned = Sequence[Sequence[int]]
"""For each query the rows of the pool that belong to it, at least one."""


def ranks(queries: np.ndarray, pool: np.ndarray, owned: Owned) -> np.ndarray:
    """Rank of each query's own row among the rows of ``pool`` by cosine, from 1: ``(n,)``.

    Where several rows are its own, the best of them counts, as in retrieval among images with
    several captions. A tie is decided against the query, so that embeddings that tell nothing
    apart find nothing.

    Args:
        queries: unit-length embeddings ``(n, d)``.
        pool: unit-length embeddings ``(m, d)``.
        owned: see :data:`Owned`.
    """
    found = np.empty(len(queries), np.int64)
    for at in range(0, len(queries), ROWS):
        for row, scores in enumerate(queries[at : at + ROWS] @ pool.T, at):
            own = scores[list(owned[row])]
            found[row] = 1 + (scores >= own.max()).sum() - (own >= own.max()).sum()
    return found


def recall(of: np.ndarray, k: int, pool: int) -> float | None:
    """Share of ranks (``(n,)``) among the first ``k``; None where that holds of any rank."""
    return float((of <= k).mean()) if k < pool else None


def chance_recall(owned: Owned, k: int, pool: int) -> float | None:
    """What :func:`recall` gives on average for a random order of the pool."""
    if k >= pool:
        return None
    missed = [comb(pool - len(own), k) / comb(pool, k) for own in owned]
    return 1 - float(np.mean(missed))


def chance_rank(owned: Owned, pool: int) -> float:
    """Median over the queries of the rank that a random order of the pool gives on average."""
    return float(np.median([(pool + 1) / (len(own) + 1) for own in owned]))


def distinct(items: Iterable[np.ndarray]) -> tuple[list[int], list[int]]:
    """Indices of the first of each run of equal arrays, and for every item which of them it is."""
    seen: dict[bytes, int] = {}
    first: list[int] = []
    which = []
    for index, item in enumerate(items):
        key = item.tobytes()
        if key not in seen:
            seen[key] = len(first)
            first.append(index)
        which.append(seen[key])
    return first, which
