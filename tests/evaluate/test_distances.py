from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from v2a_foley.errors import FoleyError
from v2a_foley.evaluate.distances import diversity, frechet, kernel, mmd


def unit(points: np.ndarray) -> np.ndarray:
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def directions(count: int, dim: int, seed: int, towards: float = 0.0) -> np.ndarray:
    """Unit vectors around the first axis; ``towards`` 0 is all round."""
    points = np.random.default_rng(seed).normal(size=(count, dim))
    points[:, 0] += towards
    return unit(points)


def shaped(mean: np.ndarray, covariance: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Points whose sample mean and covariance are exactly these."""
    points = np.random.default_rng(seed).normal(size=(count, len(mean)))
    points -= points.mean(0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T))).T
    return points @ np.linalg.cholesky(covariance).T + mean


# Fréchet distance --------------------------------------------------------------------------------


def test_frechet_of_known_gaussians():
    """Diagonal covariances: the squares of the differences of means and of deviations add up."""
    first = shaped(np.zeros(3), np.diag([1.0, 4.0, 9.0]), 50, 1)
    second = shaped(np.array([1.0, 0.0, -2.0]), np.diag([4.0, 4.0, 1.0]), 70, 2)
    assert frechet(first, second) == pytest.approx(1 + 4 + 1 + 0 + 4)


def test_frechet_of_full_covariances_is_that_of_sqrtm():
    rng = np.random.default_rng(3)
    roots = rng.normal(size=(2, 5, 5))
    covariances = [root @ root.T + np.eye(5) for root in roots]
    first, second = (shaped(np.full(5, i), c, 40, i) for i, c in enumerate(covariances))
    middle = sqrtm(covariances[0] @ covariances[1]).real
    expected = 5 + np.trace(covariances[0] + covariances[1] - 2 * middle)
    assert frechet(first, second) == pytest.approx(expected)
    assert frechet(second, first) == pytest.approx(expected)


@pytest.mark.parametrize("count", [10, 200])
def test_frechet_of_a_set_to_itself_is_0(count: int):
    points = directions(count, 64, 0)
    assert frechet(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet(points, points[::-1]) == pytest.approx(0, abs=1e-9)


def test_frechet_with_fewer_samples_than_dimensions():
    """Two lines at right angles, in 30 dimensions: nothing of one covariance is in the other."""
    first, second = np.zeros((3, 30)), np.zeros((4, 30))
    first[:, 0] = [-1, 0, 1]
    second[:, 1] = [-3, -1, 1, 3]
    assert frechet(first, second) == pytest.approx(1 + 20 / 3)


def test_frechet_is_biased_upwards_with_few_samples():
    few, many = (frechet(directions(n, 32, 1), directions(n, 32, 2)) for n in (20, 2000))
    assert few > 10 * many > 0


# Kernel distance ---------------------------------------------------------------------------------


def test_mmd_of_a_case_worked_by_hand():
    """Two points on each axis: within a set the kernel is 8, between the sets 1."""
    first, second = np.eye(2)[[0, 0]], np.eye(2)[[1, 1]]
    assert mmd(first, second) == pytest.approx(8 + 8 - 2)
    assert mmd(first, first) == pytest.approx(0)


def test_kernel_distance_is_unbiased():
    """On average over many draws of one distribution it is 0, however small the sets are."""
    draws = [mmd(directions(8, 16, 2 * i), directions(8, 16, 2 * i + 1)) for i in range(400)]
    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws)) < 3 * error
    assert min(draws) < 0 < max(draws)


def test_kernel_distance_tells_distributions_apart_and_repeats():
    round_about, other = directions(300, 16, 0), directions(300, 16, 1)
    aside = directions(300, 16, 2, towards=1.0)
    far, near = kernel(round_about, aside), kernel(round_about, other)
    assert far.mean > 10 * abs(near.mean)
    assert far.deviation > 0
    assert kernel(round_about, aside) == far
    assert kernel(round_about, aside, seed=1) != far


def test_partners_do_not_take_the_kernel_distance_below_0():
    """Copies of one set in another order of rows: alike, but no more than two samples of it."""
    found = {"apart": [], "together": []}
    for seed in range(20):
        points = directions(40, 16, seed)
        order = np.random.default_rng(seed).permutation(40)
        partners = np.argsort(order).tolist()
        found["apart"].append(kernel(points, points[order], partners=partners, subsets=20).mean)
        found["together"].append(kernel(points, points[order], subsets=20).mean)
    errors = {name: np.std(means) / np.sqrt(20) for name, means in found.items()}
    assert abs(np.mean(found["apart"])) < 3 * errors["apart"] + 1e-3
    assert np.mean(found["together"]) < -10 * errors["together"]


# Diversity ---------------------------------------------------------------------------------------


def test_diversity_of_known_sets():
    assert diversity(np.eye(4, dtype=np.float32)) == pytest.approx(1)
    assert diversity(np.eye(4, dtype=np.float32)[[2, 2, 2]]) == pytest.approx(0)
    assert diversity(np.array([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(2)
    assert diversity(np.array([[1.0, 0], [1.0, 0], [0, 1.0]])) == pytest.approx(2 / 3)


def test_diversity_is_the_mean_over_all_pairs():
    points = directions(30, 8, 5, towards=1.0)
    pairs = np.triu_indices(30, 1)
    assert diversity(points) == pytest.approx(1 - (points @ points.T)[pairs].mean(), abs=1e-6)


# Bad input ---------------------------------------------------------------------------------------


def test_too_few_samples():
    one, two = np.eye(3)[:1], np.eye(3)[:2]
    for measure in (frechet, kernel):
        with pytest.raises(FoleyError, match=r"1 sample\(s\) have no distribution"):
            measure(two, one)
    with pytest.raises(FoleyError, match="needs 4 samples"):
        kernel(np.eye(3), np.eye(3))
    with pytest.raises(FoleyError, match="have no distribution"):
        diversity(one)


def test_what_cannot_be_compared():
    broken = np.eye(3)
    broken[1, 1] = np.nan
    with pytest.raises(FoleyError, match="NaN or infinity"):
        frechet(np.eye(3), broken)
    with pytest.raises(FoleyError, match="of 3 and of 4 dimensions"):
        frechet(np.eye(3), np.eye(4))
