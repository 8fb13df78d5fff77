"""The Ray engine: workers are actors on a Ray cluster, or on one that is started here.

All machines must see the inputs, the output folder and the model pack under the same paths. The
dispatcher gives the files out and tries those of a lost worker again, so that Ray's own retries
are not wanted; a task is never lost, as its outcome is a record and not a row of Ray's.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from v2a_foley.batch.dispatch import Worker
from v2a_foley.batch.job import Job
from v2a_foley.batch.line import Line, Message
from v2a_foley.batch.worker import obey
from v2a_foley.errors import FoleyError, InputError

SETTINGS = ("V2A_FOLEY_CACHE_DIR", "V2A_FOLEY_CONFIG_DIR", "V2A_FOLEY_DATA_DIR", "V2A_FOLEY_FFMPEG")
LISTEN = 1.0  # seconds that a call for messages waits in the actor


def require() -> None:
    """Refuse to go on without Ray.

    Raises:
        InputError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "--engine ray needs Ray: pip install 'v2a-foley[ray]', or leave out --engine"
        )


class Cluster:
    """Starts actors. ``address`` is a cluster's (``auto`` for the one of this machine), None
    starts one here; ``workers`` None is one a GPU of the cluster, or one without any.
    """

    def __init__(self, job: Job, workers: int | None, address: str | None) -> None:
        require()
        import ray
        import torch

        self._job = job
        try:
            _connect(address, workers)
        except (ConnectionError, ValueError) as error:
            raise InputError(f"--address {address}: no Ray cluster there ({error})") from None
        cards = int(ray.cluster_resources().get("GPU", 0)) if job.device != "cpu" else 0
        self.workers = workers or max(1, cards)
        self._options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": min(1, cards),
            "max_concurrency": 2,
        }
        settings = {name: os.environ[name] for name in SETTINGS if name in os.environ}
        # Ray would give an actor one thread, and another number rounds differently.
        threads = str(torch.get_num_threads())
        settings |= {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive"}
        self._options["runtime_env"] = {"env_vars": settings}

    def start(self, number: int, events: queue.Queue[tuple[Worker, Message]]) -> Worker:
        """Start worker ``number``; what it tells goes to ``events``."""
        return _Actor(self._job, self._options, events)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        import ray

        ray.shutdown()


class Member:
    """What runs in an actor: a line, and what it tells until that is asked for."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._told: queue.Queue[Message] = queue.Queue()
        given = Job(**job)
        self._line = Line(given.models(), given, self._told.put)
        try:
            self._line.start()
        except FoleyError as error:
            self._told.put({"event": "unfit", "error": str(error), "code": error.exit_code})

    def send(self, message: Message) -> None:
        """Do what a message asks for."""
        obey(self._line, message)

    def told(self) -> list[Message]:
        """What was told since the last call; waits a moment for something."""
        messages = []
        with suppress(queue.Empty):
            messages.append(self._told.get(timeout=LISTEN))
            while True:
                messages.append(self._told.get_nowait())
        return messages


class _Actor:
    """One actor, as the dispatcher sees it."""

    def __init__(
        self, job: Job, options: dict[str, Any], events: queue.Queue[tuple[Worker, Message]]
    ) -> None:
        import ray

        self._events = events
        self._member = ray.remote(Member).options(**options).remote(asdict(job))
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Message) -> None:
        """Tell the worker what to do; one that has ended tells so by itself."""
        self._member.send.remote(message)

    def kill(self) -> None:
        """End the worker at once."""
        import ray

        ray.kill(self._member)

    def _listen(self) -> None:
        import ray

        why = "the cluster was left"
        try:
            while ray.is_initialized():
                for message in ray.get(self._member.told.remote()):
                    self._events.put((self, message))
        except ray.exceptions.RayError as error:
            why = str(error).strip().partition("\n")[0]
        self._events.put((self, {"event": "died", "why": why}))


def _connect(address: str | None, workers: int | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        ray.init(address=address, **quiet)
    else:
        cores = max(os.cpu_count() or 1, workers or 1)
        ray.init(num_cpus=cores, include_dashboard=False, **quiet)
