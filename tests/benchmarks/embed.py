"""Embedding a folder of videos against its slowest model alone on the same frames and sounds.

With ``OMP_NUM_THREADS=1`` each model has a core, as each would have a GPU; without it every model
wants all of them, and decoding too, so that what the others need is missing to the slowest.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.media.clips import SHOTS
from tests.media.made import H264, lavfi, make

SECONDS = 10


def main(clips: str = "12", rounds: str = "3") -> None:
    """Print the time of each part alone and the fraction (best of ``rounds``)."""
    from v2a_foley.media.audio import RATE
    from v2a_foley.models.bundle import Models
    from v2a_foley.pairs.embedding import embed
    from v2a_foley.pairs.reading import Window, read
    from v2a_foley.pairs.sources import find_sources

    models = Models("starter", "cpu")
    with tempfile.TemporaryDirectory() as name:
        media = Path(name) / "media"
        media.mkdir()
        for number in range(int(clips)):
            _clip(media / f"{number:03d}.mp4", number)
        sources = find_sources(media)
        windows: list[Window] = []

        def decode() -> None:
            windows.clear()
            for source in sources:
                read(source, fps=2.0, window=models.pack.window, emit=windows.append, alive=_alive)

        embed(media, Path(name) / "warm", models=models)
        decode()
        images = [image for window in windows for image in window.images]
        sounds = [window.sound for window in windows]
        parts: dict[str, Callable[[], object]] = {
            "decoding": decode,
            "CLIP": lambda: models.clip.images(images),
            "CLAP": lambda: models.clap.sounds(sounds, RATE),
        }
        times: dict[str, list[tuple[float, float]]] = {}
        for number in range(int(rounds)):
            target = Path(name) / f"pairs-{number}"
            whole = {"embed": lambda target=target: embed(media, target, models=models)}
            for part, run in (parts | whole).items():
                times.setdefault(part, []).append(_spent(run))
    print(f"{clips} clips of {SECONDS} s: {len(images)} frames, {len(sounds)} windows")
    wall = {part: min(each[0] for each in spent) for part, spent in times.items()}
    cpu = {part: min(each[1] for each in spent) for part, spent in times.items()}
    for part in wall:
        print(f"{part}: wall {wall[part]:.2f} s, CPU {cpu[part]:.2f} s")
    slowest = max(parts, key=lambda part: wall[part])
    print(f"{slowest} alone over embed: wall {wall[slowest] / wall['embed']:.2f}")
    together = sum(cpu[part] for part in parts)
    print(f"embed over all parts alone: CPU {cpu['embed'] / together:.2f}")


def _clip(path: Path, number: int) -> Path:
    """Ten seconds at VGGSound's usual size, with a sound of its own."""
    shot = SHOTS[number % len(SHOTS)].format(rate=25, length=SECONDS)
    seen = f"{shot},scale=480:360,noise=alls=8:allf=t:all_seed={number}"
    heard = f"anoisesrc=d={SECONDS}:a=0.2:seed={number},lowpass=f={400 * (1 + number)}"
    return make(path, *lavfi(seen, heard), "-c:a", "aac", *H264)


def _spent(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds; of children, such as ffmpeg, too."""
    begun, used = time.perf_counter(), os.times()
    run()
    now = os.times()
    cpu = sum(now[:4]) - sum(used[:4])
    return time.perf_counter() - begun, cpu


def _alive() -> None:
    """The work is always wanted here."""
