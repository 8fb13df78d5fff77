"""How far apart two sets of embeddings are, and how varied one set is.

Every embedding has unit length, as it leaves CLAP and the mappers, so that the distances are
small numbers, far from those that papers print for other features: compare them only within one
report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v2a_foley.errors import FoleyError

LARGEST_SUBSET = 1000  # as in the KID paper; a subset is at most half of the smaller set
SUBSETS = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over subsets and the standard deviation between them."""

    mean: float
    deviation: float


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance (squared 2-Wasserstein) of Gaussians fitted to ``(n, d)`` and ``(m, d)``.

    ``|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))`` (Heusel et al. 2017, arXiv 1706.08500). The
    last trace is the nuclear norm of the product of the centred sets, which needs no matrix
    square root and is exact where there are fewer samples than dimensions and ``scipy``'s
    ``sqrtm`` fails.

    The estimate is biased upwards, the more the fewer the samples: two sets of one distribution
    are at 0 only in the limit. Below ``d + 1`` samples a covariance is not of full rank. So
    compare distances of sets of one size only, and read them beside that of two sets of real
    sounds.

    Raises:
        FoleyError: fewer than two samples, NaN or infinity, or other dimensions.
    """
    _check(first, second)
    roots = [_root(each) for each in (first, second)]
    cross = np.linalg.norm(roots[0] @ roots[1].T, "nuc")
    spread = sum(float(np.square(root).sum()) for root in roots) - 2 * float(cross)
    moved = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
    return max(float(moved @ moved) + spread, 0.0)


def _root(points: np.ndarray) -> np.ndarray:
    """A matrix ``R`` with ``R.T @ R`` the covariance ``(d, d)``, of as few rows as there can be."""
    centred = points.astype(np.float64) - points.mean(0, dtype=np.float64)
    centred /= np.sqrt(len(points) - 1)
    if len(points) <= points.shape[1]:
        return centred
    values, vectors = np.linalg.eigh(centred.T @ centred)
    return (vectors * np.sqrt(np.maximum(values, 0))).T


def kernel(
    first: np.ndarray,
    second: np.ndarray,
    *,
    partners: Sequence[int] | None = None,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> Estimate:
    """Kernel distance: the squared MMD of ``(n, d)`` and ``(m, d)`` under ``(x.y + 1)^3``.

    KID's polynomial kernel (Binkowski et al. 2018, arXiv 1801.01401) for embeddings of unit
    length: its factor ``1 / d``, meant for features of unit variance, would leave nothing but
    the means. The estimate is unbiased at any number of samples: around 0, also below it, for
    two sets of one distribution. ``deviation`` is that between random subsets.

    ``partners[i]`` is the row of ``second`` that was made from the same thing as row ``i`` of
    ``first``, -1 where there is none. Partners never meet in a subset: they are more alike than
    chance has it, which would take the distance below 0.

    Raises:
        FoleyError: as :func:`frechet`, or fewer than four samples.
    """
    _check(first, second)
    size = min(len(first), len(second), 2 * LARGEST_SUBSET) // 2
    if size < 2:
        raise FoleyError("the kernel distance needs 4 samples at least: give it more")
    partner = np.full(len(first), -1) if partners is None else np.asarray(partners)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        some = rng.permutation(len(first))[:size]
        others = rng.permutation(np.setdiff1d(np.arange(len(second)), partner[some]))[:size]
        found.append(mmd(first[some], second[others]))
    return Estimate(float(np.mean(found)), float(np.std(found)))


def mmd(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased squared MMD of all of two sets (Gretton et al. 2012, lemma 6)."""
    from sklearn.metrics.pairwise import polynomial_kernel

    def values(some: np.ndarray, others: np.ndarray) -> np.ndarray:
        return polynomial_kernel(some, others, degree=3, gamma=1.0, coef0=1.0)

    def within(points: np.ndarray) -> float:
        table = values(points, points)
        total = table.sum(dtype=np.float64) - np.trace(table, dtype=np.float64)
        return float(total / (len(points) * (len(points) - 1)))

    between = float(values(first, second).mean(dtype=np.float64))
    return within(first) + within(second) - 2 * between


def diversity(points: np.ndarray) -> float:
    """Mean cosine distance (0 to 2) of all pairs among unit-length embeddings ``(n, d)``.

    Raises:
        FoleyError: as :func:`frechet`.
    """
    _check(points, points)
    total = points.sum(0, dtype=np.float64)
    squares = float(np.square(points, dtype=np.float64).sum())
    count = len(points)
    return max(1 - (float(total @ total) - squares) / (count * (count - 1)), 0.0)


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if min(len(first), len(second)) < 2:
        raise FoleyError(
            f"{min(len(first), len(second))} sample(s) have no distribution: give it 2 at least"
        )
    if first.shape[1] != second.shape[1]:
        raise FoleyError(
            f"embeddings of {first.shape[1]} and of {second.shape[1]} dimensions cannot be compared"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise FoleyError("embeddings that hold NaN or infinity cannot be compared")
