"""Batches: killed at random and resumed, through Ray, and against ``run`` clip by clip.

``batch kills [CLIPS] [KILLS] [SEED]``  a batch that is killed with -9 ends like one that is not
``batch ray [CLIPS]``                   the same with two Ray workers, one of them killed
``batch speed [CLIPS] [EVERY]``         against ``run``, on every EVERY-th clip; memory, shares
``batch plan [FILES]``                  planning many short files
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psutil

from tests.batch.mixed import Mixed, mixed
from tests.benchmarks.clips import measured
from v2a_foley.batch.ledger import FOLDER, read_all
from v2a_foley.media.probe import probe

QUICK = ("--models", "starter", "--device", "cpu", "--steps", "4", "--candidates", "1")
COMMAND = (sys.executable, "-m", "v2a_foley")


def main(what: str = "kills", *numbers: str) -> None:
    """Measure one of the four and print what came out."""
    runs = {"kills": kills, "ray": ray, "speed": speed, "plan": plan}
    with tempfile.TemporaryDirectory() as name:
        runs[what](Path(name), *map(int, numbers))


def kills(folder: Path, clips: int = 200, count: int = 10, seed: int = 0) -> None:
    """Kill a batch at random times, go on each time, compare with an unbroken one."""
    made = mixed(folder / "in", clips)
    whole, broken = folder / "whole", folder / "broken"
    begun = time.perf_counter()
    _finish(_batch(made, whole, folder / "cache whole"))
    seconds = time.perf_counter() - begun
    chance = random.Random(seed)
    first: dict[str, tuple[int, int]] = {}
    done = 0
    while done < count:
        child = _batch(made, broken, folder / "cache broken")
        time.sleep(chance.uniform(0.05, 2 * seconds / count))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            done += 1
        child.wait()
        _keep(broken, first)
    _finish(_batch(made, broken, folder / "cache broken"))
    _keep(broken, first)
    print(f"unbroken: {seconds:.0f} s; killed {done} times")
    _judge(made, whole, broken)


def ray(folder: Path, clips: int = 40) -> None:
    """Two Ray workers, one killed with -9 on the way, against one local worker."""
    made = mixed(folder / "in", clips)
    _finish(_batch(made, folder / "whole", folder / "cache whole"))
    flags = ("--engine", "ray", "--workers", "2")
    child = _batch(made, folder / "ray", folder / "cache ray", *flags)
    outputs = folder / "ray"
    while child.poll() is None and len(_outputs(outputs)) < clips // 5:
        time.sleep(0.2)
    actors = [
        each for each in psutil.Process(child.pid).children(recursive=True)
        if any(word.startswith("ray::Member") for word in each.cmdline())
    ]  # fmt: skip
    actors[0].kill()
    _finish(child)
    print(f"{len(actors)} actors, one killed after {clips // 5} files")
    _judge(made, folder / "whole", outputs)


def speed(folder: Path, clips: int = 50, every: int = 1) -> None:
    """A batch of mixed clips against `run` on each; memory of the worker, shares of the time."""
    made = mixed(folder / "in", clips)
    cache = folder / "cache run"
    chosen = made.good[::every]
    begun = time.perf_counter()
    for number, clip in enumerate(chosen):
        output = folder / "single" / f"{number}{clip.suffix}"
        _wait([*COMMAND, "run", str(clip), "-o", str(output), *QUICK], cache)
    single = (time.perf_counter() - begun) / len(chosen)
    begun = time.perf_counter()
    child = _batch(made, folder / "out", folder / "cache batch", "--json", out=subprocess.PIPE)
    assert child.stdout is not None
    memory: list[int] = []
    end = {}
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "done" and (held := _memory(child.pid)):
            memory.append(held)  # after the last file there is no worker any more
        end = event
    child.wait()
    batch = (time.perf_counter() - begun) / len(made.good)
    print(f"{len(made.good)} good clips of {clips}; run on {len(chosen)} of them")
    print(f"run: {single:.2f} s a clip; batch: {batch:.2f} s a clip: {single / batch:.2f} times")
    print(f"batch: {3600 / batch:.0f} files an hour")
    stages = ", ".join(
        f"{name} {value / end['seconds']:.0%}" for name, value in end["busy"].items()
    )
    print(f"busy of the wall time: {stages}")
    early, late = min(19, len(memory) // 3), len(memory) - 1
    change = memory[late] / memory[early] - 1
    print(
        f"worker's memory, file {early + 1} to {late + 1}: {memory[early] >> 20} MiB {change:+.1%}"
    )


def plan(folder: Path, files: int = 10_000) -> None:
    """A dry run over many hard links of short clips."""
    made = mixed(folder / "some", 9)
    for number in range(files):
        place = folder / "in" / f"reel {number // 500}"
        place.mkdir(parents=True, exist_ok=True)
        source = made.good[number % len(made.good)]
        os.link(source, place / f"{number}{source.suffix}")
    cost = measured([
        *COMMAND, "batch", str(folder / "in"), "-o", str(folder / "out"), "--dry-run",
        "--models", "starter",
    ])  # fmt: skip
    print(f"{files} files: {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU, {cost.peak >> 20} MiB")


def _batch(
    made: Mixed, output: Path, cache: Path, *flags: str, out: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    command = [*COMMAND, "batch", str(made.folder), "-o", str(output), *QUICK, *flags]
    environment = os.environ | {"V2A_FOLEY_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        command, env=environment, stdout=out, stderr=subprocess.DEVNULL, text=True
    )


def _finish(child: subprocess.Popen[str]) -> None:
    code = child.wait()
    if code != 1:  # some are broken
        raise SystemExit(f"the batch ended with {code}")


def _wait(command: Sequence[str], cache: Path) -> None:
    environment = os.environ | {"V2A_FOLEY_CACHE_DIR": str(cache)}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def _outputs(folder: Path) -> dict[str, Path]:
    """What stands under final names, all readable."""
    found = sorted(path for path in folder.glob("reel*/*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _keep(folder: Path, first: dict[str, tuple[int, int]]) -> None:
    """See that every output is whole, and is still the file that it was when it was done."""
    for key, path in _outputs(folder).items():
        assert probe(path).audio, path
        status = path.stat()
        now = (status.st_ino, status.st_mtime_ns)
        assert first.setdefault(key, now) == now, f"{key} was made twice"


def _judge(made: Mixed, whole: Path, other: Path) -> None:
    """Every good clip is done with the same bytes, every broken one has failed with its reason."""
    records = read_all(other)
    done = {key: record for key, record in records.items() if record.status == "done"}
    failed = {record.input: record.error for record in records.values() if record.status != "done"}
    expected, found = _outputs(whole), _outputs(other)
    equal = sum(
        sha256(found[key].read_bytes()).digest() == sha256(path.read_bytes()).digest()
        for key, path in expected.items()
    )
    explained = sum(reason in failed[str(path)] for path, reason in made.broken.items())
    left = [path for path in (other / FOLDER).iterdir() if path.suffix != ".sqlite"]
    print(f"good clips: {len(made.good)}, done: {len(done)}, equal to the bit: {equal}")
    print(f"broken clips: {len(made.broken)}, failed for their reason: {explained}")
    assert len(done) == len(found) == len(made.good) == equal == len(expected)
    assert len(failed) == len(made.broken) == explained
    assert not left, left


def _memory(pid: int) -> int:
    """Bytes that the worker of a batch holds; its ffmpegs come and go."""
    held = 0
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):
            if "v2a_foley.batch.worker" in child.cmdline():
                held += child.memory_info().rss
    return held
