"""A worker process: a line of a batch, told what to do on stdin, telling of it on stdout.

One JSON object a line: first the job, then tasks (``make``) and ``drop``. It ends with its stdin,
so that no worker outlives the batch that it works for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from v2a_foley.batch.job import Job, Task
from v2a_foley.batch.line import Line, Message
from v2a_foley.errors import FoleyError


def main() -> None:
    """Work until stdin ends."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is not for the batch
    lock = threading.Lock()

    def tell(message: Message) -> None:
        with lock:
            lines.write(json.dumps(message) + "\n")
            lines.flush()

    try:
        job = Job(**json.loads(sys.stdin.readline()))
        line = Line(job.models(), job, tell)
        line.start()
        for text in sys.stdin:
            obey(line, json.loads(text))
    except FoleyError as error:
        tell({"event": "unfit", "error": str(error), "code": error.exit_code})
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    end()


def obey(line: Line, message: Message) -> None:
    """Do what a message asks for."""
    if message["do"] == "make":
        line.make(Task(**message["task"]))
    else:
        line.drop()


def end() -> None:
    """End at once, with any ffmpeg that is at work."""
    if os.name == "posix" and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
