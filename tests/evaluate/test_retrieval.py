from __future__ import annotations

import numpy as np
import pytest

from v2a_foley.evaluate.retrieval import chance_rank, chance_recall, distinct, ranks, recall

SIX = np.eye(6, dtype=np.float32)


def test_everything_finds_its_own():
    found = ranks(SIX, SIX, [[i] for i in range(6)])
    assert found.tolist() == [1] * 6
    assert [recall(found, k, 6) for k in (1, 5, 10)] == [1.0, 1.0, None]


def test_ranks_of_a_constructed_case():
    """A query that leans to rows 0, 1, 2... in this order; its own row is the third."""
    query = np.array([[6, 5, 4, 3, 2, 1]], np.float32) / np.sqrt(91)
    for own in range(6):
        assert ranks(query, SIX, [[own]]).tolist() == [own + 1]
    found = ranks(query.repeat(4, 0), SIX, [[0], [2], [4], [5]])
    assert [recall(found, k, 6) for k in (1, 2, 3, 5)] == [0.25, 0.25, 0.5, 0.75]
    assert np.median(found) == 4


def test_the_best_of_several_own_rows_counts():
    query = np.array([[6, 5, 4, 3, 2, 1]], np.float32)
    assert ranks(query, SIX, [[5, 3]]).tolist() == [4]
    assert ranks(query, SIX, [[0, 1, 2]]).tolist() == [1]


def test_ties_are_decided_against_the_query():
    pool = SIX[[0, 0, 0, 1]]
    assert ranks(SIX[:1], pool, [[1]]).tolist() == [3]
    assert ranks(SIX[:1], pool, [[0, 1, 2]]).tolist() == [1]
    nothing = np.zeros((1, 6), np.float32)
    assert ranks(nothing, SIX, [[2]]).tolist() == [6]


def test_more_queries_than_are_compared_at_once():
    order = np.random.default_rng(0).permutation(1200)
    pool = np.random.default_rng(1).normal(size=(1200, 32)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    assert set(ranks(pool[order], pool, [[i] for i in order])) == {1}


def test_chance_is_what_random_orders_give():
    owned = [[0], [1, 2, 3]] * 2000
    rng = np.random.default_rng(0)
    queries, pool = rng.normal(size=(4000, 40)), np.eye(40)
    found = ranks(queries, pool, owned)
    for k in (1, 5, 10):
        assert recall(found, k, 40) == pytest.approx(chance_recall(owned, k, 40), abs=0.02)
    assert chance_rank([[0]] * 3, 40) == 20.5
    assert np.median(found[::2]) == pytest.approx(20.5, abs=1.5)
    assert chance_recall(owned, 40, 40) is None


def test_equal_arrays_are_one():
    first, which = distinct([SIX[0], SIX[1], SIX[0], SIX[2], SIX[1]])
    assert (first, which) == ([0, 1, 3], [0, 1, 0, 2, 1])
