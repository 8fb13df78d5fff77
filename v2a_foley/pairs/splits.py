"""Which pairs are trained on, and which are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from v2a_foley.errors import InputError


@dataclass(frozen=True, slots=True)
class Shares:
    """Which share of the groups is held out, 0 to 1: for validation, and for the final test."""

    valid: float = 0.05
    test: float = 0.05

    def __post_init__(self) -> None:
        if not (0 <= self.valid < 1 and 0 <= self.test < 1 and self.valid + self.test < 1):
            raise InputError(
                f"shares {self.valid:g} for validation and {self.test:g} for the test: each must "
                "be from 0 to 1, and something must be left to train on"
            )


DEFAULT_SHARES = Shares()


class Splits:
    """The split of each pair: the one that is stated, else that of its group.

    ``stated`` are (group, split) of all items, the split empty where none is stated. If some are
    stated and none is ``valid``, the share for validation is taken from the groups that are only
    in ``train``: VGGSound has no such split. ``known`` groups, those of an interrupted run, stay
    where they were.
    """

    def __init__(
        self, stated: Iterable[tuple[str, str]], shares: Shares, known: Mapping[str, str]
    ) -> None:
        items = set(stated)
        named = {split for _, split in items} - {""}
        self._free = _Lots(shares, known, {group for group, split in items if not split})
        trained = {group for group, _ in items} - {group for group, s in items if s != "train"}
        self._train = _Lots(
            Shares(shares.valid, 0.0),
            known,
            trained if named and "valid" not in named else set(),
        )

    def of(self, group: str, split: str) -> str:
        """``train``, ``valid`` or ``test``; groups must come in the same order in every run."""
        if not split:
            return self._free.draw(group)
        return self._train.draw(group) if group in self._train.groups else split


class _Lots:
    """Draws a split for each of ``groups``.

    The second to come is held out for validation and the third for the test, so that a handful
    has both, whatever else cannot be read; from then on a group's hash decides, so that it falls
    likewise in other company.
    """

    def __init__(self, shares: Shares, known: Mapping[str, str], groups: set[str]) -> None:
        self.groups = groups
        self._shares = shares
        self._drawn = {group: split for group, split in known.items() if group in groups}

    def draw(self, group: str) -> str:
        if group not in self._drawn:
            self._drawn[group] = self._choose(group, len(self._drawn) + 1)
        return self._drawn[group]

    def _choose(self, group: str, number: int) -> str:
        valid, test = self._shares.valid, self._shares.test
        if number == 2 and valid:
            return "valid"
        if number == 3 and test:
            return "test"
        name = group.encode("utf-8", "surrogateescape")  # names on disk need not be UTF-8
        place = int.from_bytes(hashlib.sha256(name).digest()[:8], "big") / 2**64
        return "test" if place < test else "valid" if place < test + valid else "train"
