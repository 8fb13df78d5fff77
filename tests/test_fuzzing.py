"""A short round of fuzzing; ``python -m tests.benchmarks fuzz`` does long ones."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzzing import TARGETS, attempt, mutated

ROUNDS = {"media": 36, "big buck bunny": 6, "mapper": 12, "ledger": 30, "otio": 12}


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    folder = tmp_path / "seeds"
    folder.mkdir()
    seeds = target.seeds(folder)
    for whole in seeds:
        attempt(target, whole, tmp_path)
    rng = random.Random(name)
    outcomes = []
    for number in range(ROUNDS.get(name, 150)):
        data = mutated(seeds[number % len(seeds)], rng)
        outcomes.append(attempt(target, data, tmp_path))
    assert "refused" in outcomes
    assert set(outcomes) <= {"read", "refused"}
