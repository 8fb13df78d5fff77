"""Threads around the models: sources are decoded ahead, and inputs embedded in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Full, Queue
from threading import BoundedSemaphore, Event
from typing import Any

import numpy as np

from v2a_foley.pairs.reading import Emit, Enough, Window
from v2a_foley.pairs.sources import Source

WAITING = 4  # windows of one source, and batches of one model, that may wait
_POLL = 0.1  # seconds between two looks at whether the work is still wanted

Read = Callable[[Source, Emit, Callable[[], None]], None]


def digest(*arrays: np.ndarray) -> bytes:
    """A hash of the arrays' shapes and values."""
    made = hashlib.sha256()
    for array in arrays:
        made.update(repr((array.dtype.str, array.shape)).encode())
        made.update(np.ascontiguousarray(array).data)
    return made.digest()


class Stream:
    """The windows of one source, decoded in a thread. Iterating raises what decoding raised."""

    def __init__(self) -> None:
        self._queue: Queue[Window | Exception | None] = Queue(WAITING)
        self._stopped = Event()

    def __iter__(self) -> Iterator[Window]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def run(self, source: Source, read: Read) -> None:
        """Decode ``source``; runs in the thread."""
        last: Exception | None = None
        try:
            read(source, self._put, self._alive)
        except Enough:
            pass
        except Exception as error:  # whoever takes the windows judges it
            last = error
        with suppress(Enough):
            self._put(last)

    def stop(self) -> None:
        """End the thread's work at its next frame or window."""
        self._stopped.set()

    def _alive(self) -> None:
        if self._stopped.is_set():
            raise Enough

    def _put(self, item: Window | Exception | None) -> None:
        while True:
            self._alive()
            try:
                return self._queue.put(item, timeout=_POLL)
            except Full:
                continue


class Decoders:
    """Threads that decode sources ahead of those who take their windows; a context manager."""

    def __init__(self, read: Read, workers: int) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(workers)
        self._streams: list[Stream] = []

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.stop()
        self._pool.shutdown(cancel_futures=True)

    def start(self, source: Source) -> Stream:
        """Begin to decode ``source``."""
        stream = Stream()
        self._streams = [*self._streams[-64:], stream]
        self._pool.submit(stream.run, source, self._read)
        return stream


class Model:
    """A model in a thread of its own, which takes batches; a context manager.

    ``embed`` turns a list of inputs into ``(n, d)``. ``size`` is how many make a batch.
    """

    def __init__(self, embed: Callable[[list[Any]], np.ndarray], size: int) -> None:
        self.size = size
        self._embed = embed
        self._pool = ThreadPoolExecutor(1)
        self._room = BoundedSemaphore(WAITING)

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, inputs: list[Any]) -> Future[np.ndarray]:
        """Queue a batch; waits while too many do."""
        self._room.acquire()
        return self._pool.submit(self._run, inputs)

    def _run(self, inputs: list[Any]) -> np.ndarray:
        try:
            return self._embed(inputs)
        finally:
            self._room.release()


class Inputs:
    """Inputs of a model for one shard, each embedded once whatever the number of its uses.

    Batches never go beyond a shard: their make-up, and with it the last bit of each embedding,
    is then the same in a run that was interrupted between shards.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._index: dict[bytes, int] = {}
        self._waiting: list[np.ndarray] = []
        self._batches: list[Future[np.ndarray]] = []

    def add(self, mark: bytes, value: np.ndarray) -> int:
        """Take an input, ``mark`` its digest; returns the row of its embedding."""
        if mark not in self._index:
            self._index[mark] = len(self._index)
            self._waiting.append(value)
            if len(self._waiting) >= self._model.size:
                self._flush()
        return self._index[mark]

    def embedded(self) -> np.ndarray:
        """All embeddings: ``(n, d)``."""
        self._flush()
        return np.concatenate([batch.result() for batch in self._batches])

    def _flush(self) -> None:
        if self._waiting:
            self._batches.append(self._model.submit(self._waiting))
            self._waiting = []
