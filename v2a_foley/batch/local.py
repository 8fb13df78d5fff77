"""The local engine: workers are processes of this machine, one a GPU.

On a CPU every worker has as many threads as a run has, however many workers there are: another
number would round differently, and one worker uses all cores already.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import v2a_foley
from v2a_foley.batch.dispatch import Worker
from v2a_foley.batch.job import Job
from v2a_foley.batch.line import Message

LOG_TAIL = 2000  # bytes of a worker's last words, for an error


class Local:
    """Starts worker processes; ``folder`` is where they leave what they print."""

    def __init__(self, job: Job, workers: int | None, folder: Path) -> None:
        from v2a_foley.models.runtime import choose_device

        device = choose_device(job.device)
        cards = 1
        if device.type == "cuda" and device.index is None:
            import torch

            cards = torch.cuda.device_count()
        self.workers = workers or cards
        self._cards = cards if device.type == "cuda" and device.index is None else 0
        self._job = replace(job, device=str(device))
        self._folder = folder

    def start(self, number: int, events: queue.Queue[tuple[Worker, Message]]) -> Worker:
        """Start worker ``number``; what it tells goes to ``events``."""
        job = self._job
        if self._cards:
            job = replace(job, device=f"cuda:{number % self._cards}")
        return _Process(job, self._folder / f"worker-{number + 1}.log", events)

    def close(self) -> None:
        """Hold nothing: workers end with the dispatcher."""


class _Process:
    """One worker process."""

    def __init__(
        self,
        job: Job,
        log: Path,
        events: queue.Queue[tuple[Worker, Message]],
    ) -> None:
        self._events, self._log = events, log
        package = str(Path(v2a_foley.__file__).parents[1])
        paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "v2a_foley.batch.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=os.environ | {"PYTHONPATH": paths},
                start_new_session=True,  # Ctrl-C is the batch's; a kill takes its ffmpegs along
                text=True,
                encoding="utf-8",
            )
        self.pid = self._process.pid
        self._write(asdict(job))
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Message) -> None:
        """Tell the worker what to do; one that has ended tells so by itself."""
        self._write(message)

    def kill(self) -> None:
        """End the worker at once, and any ffmpeg that it runs."""
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def _write(self, message: object) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, suppress(ValueError):  # half a line: it was killed
            for line in lines:
                self._events.put((self, json.loads(line)))
        code = self._process.wait()
        self._events.put((self, {"event": "died", "why": self._why(code)}))

    def _why(self, code: int) -> str:
        what = f"exit code {code}"
        if code < 0:
            with suppress(ValueError):
                what = signal.Signals(-code).name
        with suppress(OSError):
            tail = self._log.read_bytes()[-LOG_TAIL:].decode("utf-8", "replace").strip()
            what += f"; {tail.splitlines()[-1]}" if tail else ""
        return what
