"""Guards: how much speech and music they catch, and how many good sounds they reject."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests import tunes
from tests.material import material
from v2a_foley.models.bundle import Models
from v2a_foley.takes.guards import LIMIT, Guard, fault

SUFFIXES = {".wav", ".ogg", ".flac", ".mp3"}
SAID = (
    "The committee will meet again on Thursday to discuss the new budget.",
    "Hello, how are you today? I am very well, thank you.",
    "Please mind the gap between the train and the platform.",
    "Where did you put the keys? I left them on the kitchen table.",
)
SPEAKERS = ("en-gb", "en-us+f3", "en-gb+m7", "de+f2", "fr+m3", "es+m1")


def main(pack: str = "starter", *folders: str) -> None:
    """Print rates for a pack: by its texts alone, and as the guard scores.

    Each of ``folders`` (``NAME=FOLDER``) is measured too, up to 400 of its sounds. Speech of
    espeak-ng is measured where that program is installed.
    """
    models = Models(pack, "cpu")
    guards = {"texts alone": Guard(models.clap.texts), "guard": Guard.of(models)}
    sets: dict[str, Sequence[tuple[np.ndarray, int]]] = {
        "foley, test material": [read(path) for path in material("sounds")],
        "foley, generated": generated(models),
        "speech, test material": [read(path) for path in material("voices")],
        "music, made": [
            (tunes.tune(name, seed, drums=drums), tunes.RATE)
            for name in tunes.INSTRUMENTS
            for drums in (False, True)
            for seed in range(6)
        ],
    }
    if shutil.which("espeak-ng"):
        sets["speech, espeak-ng"] = synthesised()
    for folder in folders:
        name, _, path = folder.partition("=")
        found = [p for p in sorted(Path(path).rglob("*")) if p.suffix.lower() in SUFFIXES]
        sets[name] = [read(p) for p in found[:: max(1, len(found) // 400)]]
    for name, sounds in sets.items():
        rows = np.concatenate([models.clap.sounds([wave], rate) for wave, rate in sounds])
        for way, guard in guards.items():
            over = guard.scores(rows) > LIMIT
            speech, music, either = *over.mean(0), over.any(1).mean()
            print(
                f"{name:24s} n {len(rows):4d} {way:12s} "
                f"speech {speech:.3f} music {music:.3f} either {either:.3f}"
            )
        faults = [fault(wave, rate) for wave, rate in sounds]
        print(f"{name:24s} faults { ({kind: faults.count(kind) for kind in set(faults) - {''}}) }")
    damaged([wave for wave, _ in sets["foley, test material"]])


def damaged(waves: Sequence[np.ndarray]) -> None:
    """Print how many damaged versions of good sounds are caught."""
    rng = np.random.default_rng(0)
    ways = {
        "clipped 6 dB over": lambda wave: np.clip(2 * wave, -1, 1),
        "clipped 12 dB over": lambda wave: np.clip(4 * wave, -1, 1),
        "beside zero": lambda wave: wave / 4 + 0.5,
        "at -80 dBFS": lambda wave: wave * 1e-4 / wave.std(),
        "at -30 dBFS": lambda wave: wave * 10**-1.5 / wave.std() + rng.normal(0, 1e-5, len(wave)),
    }
    for name, way in ways.items():
        found = [fault(way(wave / np.abs(wave).max()).astype(np.float32), 48_000) for wave in waves]
        print(
            f"{name:24s} { ({kind or 'none': found.count(kind) for kind in sorted(set(found))}) }"
        )


def read(path: Path) -> tuple[np.ndarray, int]:
    """At most 10 s of a sound, mono."""
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return wave[: 10 * rate].mean(1), rate


def generated(models: Models) -> list[tuple[np.ndarray, int]]:
    """Sounds that the pack makes of every 16th phrase of the bank, 3 s each."""
    from v2a_foley.mapper.bridge import phrases
    from v2a_foley.models.generator import Request

    rate, requests = models.generator.sample_rate, []
    for seed, condition in enumerate(models.clap.texts([row.sound for row in phrases()[::16]])):
        chosen = models.recordings.choose(condition, seed) if models.recordings else ()
        start = None
        if chosen and models.recordings:
            start = models.recordings.start(chosen, 3.0, rate, seed)
        requests.append(Request(condition[None], 3.0, seed, None, start, 0.4))
    made = models.generator.generate(requests, unconditional=models.clap.texts([""])[0])
    return [(wave, rate) for wave in made]


def synthesised() -> list[tuple[np.ndarray, int]]:
    """Sentences spoken by espeak-ng."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        for speaker in SPEAKERS:
            for text in SAID:
                subprocess.run(["espeak-ng", "-v", speaker, "-w", str(path), text], check=True)
                made.append(read(path))
    return made
