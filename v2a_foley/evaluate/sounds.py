"""Generated sounds against real ones, against what they were made from and against texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.errors import InputError
from v2a_foley.evaluate.distances import Estimate, diversity, frechet, kernel
from v2a_foley.evaluate.extra import require
from v2a_foley.evaluate.given import read_captions, read_conditions
from v2a_foley.evaluate.listening import SoundFolder, files, listen
from v2a_foley.mapper.bridge import phrases
from v2a_foley.media.files import named
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

FEWEST = 4  # sounds on each side, for distances between them


@dataclass(frozen=True, slots=True)
class Fit:
    """CLAP score: mean cosine of ``count`` sounds to what is given for each.

    ``others`` is the mean cosine to what is given for the others. Only what a score is above it
    says anything: CLAP's sounds and texts lie in cones of their own. None for a single sound.
    """

    score: float
    others: float | None
    count: int


@dataclass(frozen=True, slots=True)
class FolderScore:
    """What one folder's sounds are like. ``loudness``: the 10th, 50th and 90th percentile.

    ``seconds``: shortest, mean, longest. ``loudness`` is in LUFS, of the sounds that have one.
    ``silent``: how many have none. ``silence``: mean share under -60 dBFS. ``condition`` and
    ``text`` are None where nothing was given.
    """

    folder: Path
    count: int
    seconds: tuple[float, float, float]
    loudness: tuple[float, float, float] | None
    silent: int
    silence: float
    diversity: float | None
    condition: Fit | None
    text: Fit | None


@dataclass(frozen=True, slots=True)
class Against:
    """Generated sounds against the reference.

    ``frechet`` and ``kernel`` compare all with all, None where there are too few. The rest is of
    the ``matched`` sounds of one name: ``cosine`` to the other, and how often both are taken for
    the same: concept (``concept_top1``), the reference's concept being among the five nearest
    (``concept_top5``), or group of concepts (``group``). CLAP itself judges that, the space that
    sounds are made from: it is no independent judge.
    """

    frechet: float | None
    kernel: Estimate | None
    matched: int
    cosine: float | None
    concept_top1: float | None
    concept_top5: float | None
    group: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of folders of sounds; ``reference`` and ``against`` None without one."""

    pack: str
    seed: int
    generated: FolderScore
    reference: FolderScore | None
    against: Against | None
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]
    heard: tuple[SoundFolder, ...]


def judge(
    generated: Path,
    reference: Path | None = None,
    *,
    models: Models,
    conditions: Path | None = None,
    captions: Path | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Judgement:
    """Judge a folder of generated sounds.

    Args:
        generated: a folder of sounds, or of videos whose sound is meant.
        reference: a folder of real ones; where names are the same, sounds are matched.
        models: the pack whose CLAP listens.
        conditions: the CLAP embeddings that the sounds were made from; see
            :func:`v2a_foley.evaluate.given.read_conditions`.
        captions: see :func:`v2a_foley.evaluate.given.read_captions`.
        seed: of the kernel distance's subsets.
        progress: told of each folder.

    Raises:
        InputError: a folder holds nothing that can be read, or a table is wrong.
        ModelError: the pack has no CLAP audio tower.
    """
    names = sorted(files(generated))
    if reference:
        require("sklearn")
        files(reference)
    wanted: dict[str, np.ndarray] = {}
    if conditions:
        wanted = read_conditions(conditions, names, models.bank.fingerprint.shape[1])
        _require_known(conditions, wanted, generated, names)
    spoken: dict[str, np.ndarray] = {}
    if captions:
        texts = read_captions(captions)
        _require_known(captions, texts, generated, names)
        spoken = dict(zip(texts, models.clap.texts(list(texts.values())), strict=True))
    made = listen(generated, models, progress)
    real = listen(reference, models, progress) if reference else None
    heard = (made, real) if real else (made,)
    against = _against(made, real, models, seed) if real else None
    return Judgement(
        pack=models.pack.id,
        seed=seed,
        generated=_score(made, wanted, spoken),
        reference=_score(real, wanted, spoken) if real else None,
        against=against,
        unreadable=tuple(line for folder in heard for line in folder.unreadable),
        notes=tuple(_notes(made, real, against, [each for each in (wanted, spoken) if each])),
        heard=heard,
    )


def fit(rows: np.ndarray, given: np.ndarray) -> Fit | None:
    """The score of sounds ``(n, d)`` for what is given for each ``(n, d)``, unit length both."""
    if not len(rows):
        return None
    table = rows @ given.T
    count = len(rows)
    own = float(np.trace(table))
    others = (float(table.sum()) - own) / (count * (count - 1)) if count > 1 else None
    return Fit(own / count, others, count)


def _require_known(
    path: Path, given: Mapping[str, object], folder: Path, names: Sequence[str]
) -> None:
    if not set(given) & set(names):
        raise InputError(
            f"{named(path)}: names none of the files in {named(folder)} (it has "
            f"'{next(iter(given), '')}', the folder '{names[0]}'): use the files' own names"
        )


def _score(
    of: SoundFolder, wanted: Mapping[str, np.ndarray], spoken: Mapping[str, np.ndarray]
) -> FolderScore:
    seconds = [sound.seconds for sound in of.sounds]
    levels = [sound.loudness for sound in of.sounds if np.isfinite(sound.loudness)]
    low, middle, high = np.percentile(levels, [10, 50, 90]) if levels else (0.0, 0.0, 0.0)
    fits = []
    for given in (wanted, spoken):
        names = [sound.name for sound in of.sounds if sound.name in given]
        fits.append(fit(of.rows(names), np.stack([given[n] for n in names])) if names else None)
    return FolderScore(
        folder=of.folder,
        count=len(of.sounds),
        seconds=(min(seconds), float(np.mean(seconds)), max(seconds)),
        loudness=(float(low), float(middle), float(high)) if levels else None,
        silent=len(of.sounds) - len(levels),
        silence=float(np.mean([sound.silence for sound in of.sounds])),
        diversity=diversity(of.embeddings) if len(of.sounds) > 1 else None,
        condition=fits[0],
        text=fits[1],
    )


def _against(made: SoundFolder, real: SoundFolder, models: Models, seed: int) -> Against:
    row_of = {sound.name: row for row, sound in enumerate(real.sounds)}
    partners = [row_of.get(sound.name, -1) for sound in made.sounds]
    distance = spread = None
    if min(len(made.sounds), len(real.sounds)) >= FEWEST:
        distance = frechet(made.embeddings, real.embeddings)
        spread = kernel(made.embeddings, real.embeddings, partners=partners, seed=seed)
    matched = [row for row, partner in enumerate(partners) if partner >= 0]
    if not matched:
        return Against(distance, spread, 0, None, None, None, None)
    mine = made.embeddings[matched]
    its = real.embeddings[[partners[row] for row in matched]]
    best, true = (np.argsort(-(each @ models.bank.heard.T), axis=1)[:, :5] for each in (mine, its))
    group = np.array([row.group for row in phrases()])
    return Against(
        frechet=distance,
        kernel=spread,
        matched=len(matched),
        cosine=float((mine * its).sum(1).mean()),
        concept_top1=float((best[:, 0] == true[:, 0]).mean()),
        concept_top5=float((best == true[:, :1]).any(1).mean()),
        group=float((group[best[:, 0]] == group[true[:, 0]]).mean()),
    )


def _notes(
    made: SoundFolder,
    real: SoundFolder | None,
    against: Against | None,
    given: Sequence[Mapping[str, object]],
) -> list[str]:
    notes = []
    heard = {sound.name for sound in made.sounds}
    for each in given:
        if heard - set(each):
            notes.append(f"{len(heard - set(each))} of {len(heard)} sounds are not in the table")
    if real and against:
        count, dim = min(len(made.sounds), len(real.sounds)), made.embeddings.shape[1]
        if against.frechet is None:
            notes.append(f"no distances: a folder has fewer than {FEWEST} sounds")
        elif count <= dim:
            notes.append(
                f"{count} embeddings of {dim} dimensions: the Fréchet distance is biased upwards; "
                "compare it only with that of as many sounds"
            )
        if against.matched < max(len(made.sounds), len(real.sounds)):
            notes.append(
                f"{against.matched} of {len(made.sounds)} generated and {len(real.sounds)} "
                "reference sounds have a partner of their name"
            )
        if against.matched:
            notes.append(
                "the agreement is CLAP's, the space that the sounds were made from: no "
                "independent judge"
            )
    return notes
