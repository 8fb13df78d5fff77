from __future__ import annotations

from collections import Counter

import pytest

from v2a_foley.errors import InputError
from v2a_foley.pairs.splits import Shares, Splits


def drawn(groups: list[str], shares: Shares, known: dict[str, str] | None = None) -> list[str]:
    splits = Splits([(group, "") for group in groups], shares, known or {})
    return [splits.of(group, "") for group in groups]


def test_shares_are_kept_to_over_many_groups():
    counts = Counter(drawn([f"{n}.mp4" for n in range(5000)], Shares(0.1, 0.05)))
    assert 400 < counts["valid"] < 600
    assert 180 < counts["test"] < 320


def test_three_groups_have_all_splits():
    assert Counter(drawn(["a", "b", "c"], Shares(0.01, 0.01)))["train"] == 1
    assert set(drawn(["a", "b", "c"], Shares(0.0, 0.0))) == {"train"}


def test_a_group_stays_together_and_where_it_was():
    groups = [f"{n // 2}.mp4" for n in range(100)]
    first = drawn(groups, Shares(0.3, 0.3))
    assert first[::2] == first[1::2]
    known = dict(zip(groups[:20], first[:20], strict=True))
    assert drawn(groups[20:], Shares(0.3, 0.3), known) != first[:80]
    again = Splits([(group, "") for group in groups], Shares(0.3, 0.3), known)
    assert [again.of(group, "") for group in groups] == first


def test_a_stated_split_stays():
    splits = Splits([("a", "train"), ("b", "valid"), ("c", "test")], Shares(0.5, 0.4), {})
    assert [splits.of("a", "train"), splits.of("b", "valid"), splits.of("c", "test")] == [
        "train",
        "valid",
        "test",
    ]


def test_validation_is_taken_from_training_where_none_is_stated():
    stated = [(f"{n}", "test" if n < 20 else "train") for n in range(400)]
    stated.append(("5", "train"))  # also in the test: not to be validated on
    splits = Splits(stated, Shares(0.2, 0.2), {})
    counts = Counter((split, splits.of(group, split)) for group, split in stated)
    assert counts["test", "test"] == 20
    assert counts["train", "test"] == 0
    assert 40 < counts["train", "valid"] < 120
    assert splits.of("5", "train") == "train"


@pytest.mark.parametrize("shares", [(-0.1, 0), (0, 1), (0.6, 0.4), (float("nan"), 0)])
def test_shares_that_make_no_sense(shares: tuple[float, float]):
    with pytest.raises(InputError, match="shares"):
        Shares(*shares)
