"""The library as a source of sound: the recordings nearest to a condition, made to length."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.errors import FoleyError, InputError
from v2a_foley.library.index import Index, exists
from v2a_foley.library.records import Piece
from v2a_foley.library.space import index_folder
from v2a_foley.models.packs import sha256
from v2a_foley.models.recordings import MOST, equally_near
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

FAR = 0.97  # of all phrases, so many suit a recording less than a condition does that is near it
_ALIKE = 0.15  # cosine by which a stretch's other windows may be further away than the chosen one
_ROOM = 10.0  # seconds beyond what is needed, for a choice of where to cut
_EVENTS = 3  # different recordings that one scene's events come from
NO_LICENCE = "not stated"


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of a recording, and its cosine to what was looked for."""

    piece: Piece
    cosine: float


class _LostError(Exception):
    """A piece that cannot be had after all."""


def open_library(models: Models, progress: Progress = SILENT) -> Library:
    """The recordings that were added for the CLAP of ``models``' pack.

    ``progress`` is told what is worth knowing of single takes.

    Raises InputError when there are none or the index is damaged; ModelError when the pack has no
    audio tower.
    """
    place = index_folder(models.pack)
    if not exists(place):
        raise InputError(
            f"there is no sound library for the CLAP of model pack '{models.pack.name}': add a "
            "folder of recordings with 'v2a-foley library add FOLDER'"
        )
    return Library(place, models, progress)


class Library:
    """Recordings and their embeddings, as they were when it was opened.

    ``pieces``: the recordings' windows.
    """

    def __init__(self, place: Path, models: Models, progress: Progress = SILENT) -> None:
        self._models, self._progress = models, progress
        with Index(place) as index:
            self.pieces = index.pieces()
            self._embeddings = index.embeddings
        self._rows = np.array([each.row for each in self.pieces], np.int64)
        self._lost: set[Path] = set()
        self._check(place)

    def _check(self, place: Path) -> None:
        fits = not len(self._rows) or int(self._rows.max()) < len(self._embeddings)
        if fits:
            norms = np.linalg.norm(self._embeddings[self._rows], axis=1)
            fits = bool((np.abs(norms - 1) < 1e-3).all())
        if not fits:
            raise InputError(
                f"{place}: the sound library is damaged (its embeddings do not fit its files): "
                "delete this folder and add your sound folders again"
            )

    def cosines(self, condition: np.ndarray) -> np.ndarray:
        """Cosine of each piece to a condition ``(d_clap,)``."""
        if condition.shape != self._embeddings.shape[1:]:
            raise InputError(
                f"the sound library has {self._embeddings.shape[1]} dimensions, the condition "
                f"{condition.shape}: use the model pack that the library was made with"
            )
        unit = condition / max(float(np.linalg.norm(condition)), 1e-9)
        return (self._embeddings @ unit.astype(np.float32))[self._rows]

    def search(self, condition: np.ndarray, count: int) -> list[Found]:
        """The ``count`` recordings nearest to a condition ``(d_clap,)``, the nearest first.

        A recording stands once, by its nearest piece.
        """
        cosines = self.cosines(condition)
        found: dict[str, Found] = {}
        for i in np.argsort(-cosines, kind="stable"):
            if len(found) >= count:
                break
            piece = self.pieces[i]
            found.setdefault(piece.file.hash, Found(piece, float(cosines[i])))
        return list(found.values())

    def choose(self, condition: np.ndarray, seed: int) -> tuple[Piece, ...]:
        """Pieces nearest to a condition ``(d_clap,)``, the one to begin with first.

        Which of about equally near ones come, and their order, is the seed's choice. A take
        depends on these, its length and its seed, and on nothing else. Files that are gone or
        were changed since they were indexed are passed over, and told of.

        Raises InputError when none is left.
        """
        return tuple(self.pieces[i] for i in self._choose(self.cosines(condition), seed))

    def _choose(self, cosines: np.ndarray, seed: int) -> list[int]:
        order: list[int] = []
        rows: set[int] = set()  # the same content has the same row, wherever its files are
        for i in np.argsort(-cosines, kind="stable"):
            if len(order) == MOST:
                break
            piece = self.pieces[i]
            if piece.row not in rows and self._is_there(piece):
                rows.add(piece.row)
                order.append(int(i))
        if not order:
            what = "none of its files is as it was indexed" if self.pieces else "it is empty"
            raise InputError(
                f"the sound library has nothing to use: {what}; 'v2a-foley library refresh' brings "
                "it up to date, 'v2a-foley library add FOLDER' adds to it"
            )
        return equally_near(order, cosines, seed)

    def take(
        self, condition: np.ndarray, seconds: float, rate: int, seed: int
    ) -> tuple[np.ndarray, tuple[dict[str, str], ...]]:
        """Exactly ``seconds`` of the recordings nearest to a condition ``(d_clap,)``.

        Returns float32 ``(samples,)`` mono at ``rate`` Hz, and a credit for each recording that is
        heard in it. There is no bound to how far the nearest may be: one that is further away
        than chance is used all the same, and told of.

        Raises InputError when there is nothing to use.
        """
        cosines = self.cosines(condition)
        while True:
            chosen = self._choose(cosines, seed)
            try:
                wave, used = self._made(chosen, cosines, round(seconds * rate), rate, seed)
            except _LostError:
                continue
            self._tell_if_far(condition, used[0], float(cosines[chosen[0]]))
            credits = {each.path: credit(each) for each in used}
            return wave, tuple(credits.values())

    def _made(
        self, chosen: Sequence[int], cosines: np.ndarray, length: int, rate: int, seed: int
    ) -> tuple[np.ndarray, list[Piece]]:
        from v2a_foley.library.shaping import fill, goes_on

        waves = [self._wave(chosen[0], cosines, length / rate, rate)]
        used = [chosen[0]]
        if len(waves[0]) < length and not goes_on(waves[0], rate):
            for i in chosen[1:]:
                wave = self._wave(i, cosines, length / rate, rate)
                if len(used) < _EVENTS and len(wave) < length and not goes_on(wave, rate):
                    waves.append(wave)
                    used.append(i)
        rng = random.Random(seed)  # noqa: S311
        return fill(waves, length, rate, rng), [self.pieces[i] for i in used]

    def _wave(self, number: int, cosines: np.ndarray, seconds: float, rate: int) -> np.ndarray:
        """A piece of a recording, or more of it where that is needed: its sounding part."""
        from v2a_foley.library.shaping import sounding
        from v2a_foley.media.audio import RATE, resample
        from v2a_foley.media.sounds import read_part

        piece = self.pieces[number]
        try:
            wave = read_part(piece.path, *self._stretch(number, cosines, seconds))
            if not len(wave):
                raise InputError("ends before that")
        except FoleyError as error:
            self._lose(piece, f"cannot be read ({error})")
            raise _LostError from None
        wave = resample(wave - wave.mean(dtype=np.float64).astype(np.float32), RATE, to=rate)
        return wave[sounding(wave, rate)]

    def _stretch(self, number: int, cosines: np.ndarray, seconds: float) -> tuple[float, float]:
        """From where to where to read: on into the same file while that is of the same kind."""
        first = last = number
        least = cosines[number] - _ALIKE

        def follows(one: int, other: int) -> bool:
            if not 0 <= min(one, other) <= max(one, other) < len(self.pieces):
                return False
            a, b = self.pieces[one], self.pieces[other]
            whole = a.path == b.path and abs(b.start - a.end) < 1e-3
            return whole and min(cosines[one], cosines[other]) >= least

        def length() -> float:
            return self.pieces[last].end - self.pieces[first].start

        while length() < seconds + _ROOM and follows(last, last + 1):
            last += 1
        while length() < seconds + _ROOM and follows(first - 1, first):
            first -= 1
        return self.pieces[first].start, self.pieces[last].end

    def _is_there(self, piece: Piece) -> bool:
        if piece.path in self._lost:
            return False
        try:
            status = piece.path.stat()
        except OSError as error:
            return self._lose(piece, f"is not there ({error.strerror})")
        file = piece.file
        same = status.st_size == file.size
        if same and status.st_mtime_ns != file.mtime:  # copied, or on a disk with another clock
            same = sha256(piece.path) == file.hash
        return same or self._lose(piece, "was changed since it was indexed")

    def _lose(self, piece: Piece, reason: str) -> bool:
        self._lost.add(piece.path)
        self._progress.note(
            f"sound library: {piece.path}: {reason}; the next nearest is used"
            " ('v2a-foley library refresh' brings it up to date)"
        )
        return False

    def _tell_if_far(self, condition: np.ndarray, piece: Piece, cosine: float) -> None:
        """Tell of a recording that suits a condition no better than it suits most phrases."""
        phrases = self._models.bank.heard @ self._embeddings[piece.row]
        if cosine < np.quantile(phrases, FAR):
            self._progress.note(
                f"sound library: nothing in it is near: {piece.file.path} (cosine {cosine:.2f}) "
                "is the nearest"
            )


def credit(piece: Piece) -> dict[str, str]:
    """What must be said of a recording beside a sound that is made of it."""
    return {
        "label": Path(piece.file.path).stem,
        "caption": piece.file.path,
        "made": "recorded",
        "licence": piece.file.licence or NO_LICENCE,
        "package": piece.folder.name,
        "path": str(piece.path),
    }
