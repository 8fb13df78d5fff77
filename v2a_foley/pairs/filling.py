"""Fills a pairs folder from sources: reads, leaves out what is known, embeds, writes shards."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley.errors import FoleyError, MediaError
from v2a_foley.media.audio import RATE
from v2a_foley.media.files import atomic
from v2a_foley.pairs.batches import Decoders, Inputs, Model, Stream, digest
from v2a_foley.pairs.layout import Record
from v2a_foley.pairs.reading import Emit, Window, read
from v2a_foley.pairs.shards import Pair, PairsFolder
from v2a_foley.pairs.sources import Source
from v2a_foley.pairs.splits import Shares, Splits
from v2a_foley.progress import Progress
from v2a_foley.takes.guards import Guard, is_silent

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models

FAILED = "failed.jsonl"
IMAGES, SOUNDS = 16, 4  # a batch; more only makes the models wait for the decoder
_MOST_WORKERS = 8
_MARK = 16  # hexadecimal digits of a hash: one chance in a billion among 200,000


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that could not be embedded, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a folder of pairs holds after a run.

    ``added``: pairs made by this run. ``duplicates``: sources and windows that were left out
    because their content was there already.
    """

    folder: Path
    records: list[Record]
    added: int
    duplicates: int = 0
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A pair to be: a record without scores, and the rows that its embeddings will be in."""

    record: Record
    images: list[int]
    sound: int


@dataclass(slots=True)
class _Draft:
    """A shard in the making."""

    images: Inputs
    sounds: Inputs
    entries: list[_Entry] = field(default_factory=list)

    def entry(self, record: Record, window: Window, marks: Sequence[bytes]) -> _Entry:
        """Queue a window for the models; ``marks`` are the digests of its images and sound."""
        images = [self.images.add(*each) for each in zip(marks, window.images, strict=False)]
        return _Entry(record, images, self.sounds.add(marks[-1], window.sound))


class Filling:
    """One run over sources, and what was seen so far, by content."""

    def __init__(
        self, target: PairsFolder, models: Models, *, fps: float, window: float, shard: int
    ) -> None:
        self._target, self._models = target, models
        self._fps, self._window, self._shard = fps, window, shard
        self._guard = Guard.of(models)
        marks = [record.content.partition("-") for record in target.records]
        self._media = {mark[0] for mark in marks} - {""}
        self._windows = {mark[2] for mark in marks}
        self._failed: list[Failure] = []
        self._duplicates = 0

    def run(self, sources: Sequence[Source], shares: Shares, progress: Progress) -> Embedded:
        """Embed the sources that are not there yet, in their order.

        ``shares`` are held out where no split is stated.

        Raises MediaError when the folder cannot be written.
        """
        before = len(self._target.records)
        stated = [(each.group, each.split) for source in sources for each in source.stretches]
        known = {record.group: record.split for record in self._target.records}
        self._splits = Splits(stated, shares, known)
        recorded = {record.source for record in self._target.records}
        last = max((i for i, each in enumerate(sources) if each.name in recorded), default=-1)
        # What has no pairs before the last source that has failed, was a duplicate or is new. It
        # is tried after the rest, so that the rest goes as it would have gone without a break.
        late = [each for each in sources[: last + 1] if each.name not in recorded]
        parts = (sources[last + 1 :], late)
        clip, clap = self._models.clip, self._models.clap
        self._told = _Told(progress, sum(map(len, parts)))
        with ExitStack() as stack:
            decoders = stack.enter_context(Decoders(self._read, _workers()))
            images = stack.enter_context(Model(clip.images, IMAGES))
            sounds = stack.enter_context(Model(lambda waves: clap.sounds(waves, RATE), SOUNDS))
            for part in parts:
                self._part(part, decoders, images, sounds)
        self._write_failed(sources)
        progress.stage("embed", 1.0)
        records = self._target.records
        return Embedded(
            self._target.folder, records, len(records) - before, self._duplicates, self._failed
        )

    def _read(self, source: Source, emit: Emit, alive: Callable[[], None]) -> None:
        read(source, fps=self._fps, window=self._window, emit=emit, alive=alive)

    def _part(
        self, sources: Sequence[Source], decoders: Decoders, images: Model, sounds: Model
    ) -> None:
        draft = _Draft(Inputs(images), Inputs(sounds))
        for source, mark, stream in self._ahead(sources, decoders):
            if mark in self._media:
                self._duplicates += 1
            else:
                # Without a stream its twin was to be embedded, but failed.
                self._take(source, mark, stream or decoders.start(source), draft)
            self._told.one_more()
            if len(draft.entries) >= self._shard:
                self._commit(draft)
                draft = _Draft(Inputs(images), Inputs(sounds))
        self._commit(draft)

    def _ahead(
        self, sources: Sequence[Source], decoders: Decoders
    ) -> Iterator[tuple[Source, str, Stream | None]]:
        """Each source, its mark and its stream; some streams ahead are being decoded already.

        A source with the bytes of one before it has no stream.
        """
        waiting: deque[tuple[Source, str, Stream | None]] = deque()
        marks = set(self._media)
        for source in sources:
            mark = _mark(source)
            waiting.append((source, mark, None if mark in marks else decoders.start(source)))
            marks |= {mark} - {""}
            if len(waiting) > _workers():
                yield waiting.popleft()
        yield from waiting

    def _take(self, source: Source, mark: str, stream: Stream, draft: _Draft) -> None:
        """Queue all windows of a source for the models; none, if it fails anywhere."""
        entries: list[_Entry] = []
        seen: set[str] = set()
        duplicates = 0
        try:
            for window in stream:
                self._told.share(window.share)
                marks = [*map(digest, window.images), digest(window.sound)]
                content = hashlib.sha256(b"".join(marks)).hexdigest()[:_MARK]
                if content in self._windows or content in seen:
                    duplicates += 1
                else:
                    seen.add(content)
                    record = _record(source, window, f"{mark}-{content}")
                    entries.append(draft.entry(record, window, marks))
            if not entries and not duplicates:
                raise MediaError(f"{source.name}: gives no frame with sound")
        except Exception as error:  # one odd file among 200,000 must not end a night's work
            self._fail(source, error)
            return
        for entry in entries:  # only now: groups that fail must not be held out
            split = self._splits.of(entry.record.group, entry.record.split)
            draft.entries.append(replace(entry, record=replace(entry.record, split=split)))
        self._windows |= seen
        self._media |= {mark} - {""}
        self._duplicates += duplicates

    def _fail(self, source: Source, error: Exception) -> None:
        known = isinstance(error, FoleyError)
        reason = str(error) if known else f"unexpected {type(error).__name__}: {error}"
        origin = f"{source.origin}: " if source.origin else ""
        failure = Failure(source.name, origin + reason)
        self._failed.append(failure)
        self._told.note(f"left out: {failure.reason}")

    def _commit(self, draft: _Draft) -> None:
        if not draft.entries:
            return
        images, sounds = draft.images.embedded(), draft.sounds.embedded()
        scores = self._guard.scores(sounds)
        pairs = []
        for entry in draft.entries:
            speech, music = (round(float(score), 4) for score in scores[entry.sound])
            record = replace(entry.record, speech=speech, music=music)
            pairs.append(Pair(record, images[entry.images], sounds[entry.sound]))
        self._target.write(pairs)

    def _write_failed(self, sources: Sequence[Source]) -> None:
        path = self._target.folder / FAILED
        order = {source.name: number for number, source in enumerate(sources)}
        self._failed.sort(key=lambda failure: order[failure.source])
        if not self._failed:
            path.unlink(missing_ok=True)
            return
        with atomic(path, overwrite=True) as part:
            lines = [json.dumps(asdict(failure)) + "\n" for failure in self._failed]
            part.write_text("".join(lines), encoding="utf-8", newline="\n")


class _Told:
    """Tells how many of the sources are done."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self.note = progress.note
        progress.stage("embed", 0.0)

    def one_more(self) -> None:
        """Report that another source is done."""
        self._done += 1
        self.share(0.0)

    def share(self, of_next: float) -> None:
        """Report that a share of the next source is done."""
        self._progress.stage("embed", min((self._done + of_next) / self._total, 0.999))


def _mark(source: Source) -> str:
    """A hash of the source's bytes and of which stretches are wanted; empty if it has none."""
    made = hashlib.sha256(repr([(each.start, each.end) for each in source.stretches]).encode())
    try:
        for path in source.files:
            with path.open("rb") as file:
                made.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return ""  # reading it will tell what is wrong
    return made.hexdigest()[:_MARK]


def _record(source: Source, window: Window, content: str) -> Record:
    stretch = window.stretch
    return Record(
        id=f"{source.name}@{window.start:.3f}-{window.end:.3f}",
        source=source.name,
        start=round(window.start, 6),
        end=round(window.end, 6),
        caption=stretch.caption,
        label=stretch.label,
        split=stretch.split,
        group=stretch.group,
        content=content,
        silent=is_silent(window.sound, RATE),
    )


def _workers() -> int:
    return min(_MOST_WORKERS, max(1, (os.cpu_count() or 2) // 2))
