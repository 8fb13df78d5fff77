"""A folder of sounds: what is in it, how loud, how silent, and where it lies in CLAP's space."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.errors import FoleyError, InputError
from v2a_foley.media.audio import RATE, Sound, to_stereo
from v2a_foley.media.ffmpeg import pipe, source
from v2a_foley.media.files import named
from v2a_foley.media.meter import integrated_loudness
from v2a_foley.media.probe import open_media
from v2a_foley.pairs.sources import VIDEOS
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from av.container import InputContainer

    from v2a_foley.models.bundle import Models

SOUNDS = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".w64",
    ".rf64", ".mka",
)  # fmt: skip
SUFFIXES = frozenset((*SOUNDS, *VIDEOS))
LONGEST = 600  # seconds; what is longer is no clip, and would fill the memory
BLOCK = 0.05  # seconds
FLOOR = -60.0  # dBFS of a block's RMS, below which it is silent, as in ffmpeg's silencedetect


@dataclass(frozen=True, slots=True)
class Heard:
    """One sound. ``name``: its path in the folder without the suffix.

    ``loudness``: integrated, in LUFS, -inf where there is none. ``silence``: the share of it
    that is under -60 dBFS.
    """

    name: str
    path: Path
    seconds: float
    loudness: float
    silence: float


@dataclass(frozen=True, slots=True)
class SoundFolder:
    """The sounds of a folder in the order of their names, and their embeddings ``(n, d_clap)``.

    ``names`` are those of all its files, ``unreadable`` says which could not be read, and why.
    """

    folder: Path
    sounds: tuple[Heard, ...]
    embeddings: np.ndarray
    names: tuple[str, ...]
    unreadable: tuple[str, ...]

    def rows(self, names: list[str]) -> np.ndarray:
        """Embeddings of the sounds of these names: ``(k, d_clap)``."""
        at = {sound.name: row for row, sound in enumerate(self.sounds)}
        return self.embeddings[[at[name] for name in names]]


def files(folder: Path) -> dict[str, Path]:
    """Sound and video files in a folder and the folders in it, by name.

    Raises:
        InputError: it is no folder, holds none, or two of one name.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - a name may be too long to be asked for
        what = "is a file" if os.path.lexists(folder) else "no such folder"
        raise InputError(f"{named(folder)}: {what}; name a folder of sounds")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.name[0] != "."
    )
    if not found:
        raise InputError(f"{named(folder)}: holds no sound or video files; name another folder")
    keys = [name_of(path.relative_to(folder).as_posix()) for path in found]
    name, times = Counter(keys).most_common(1)[0]
    if times > 1:
        twice = ", ".join(path.name for key, path in zip(keys, found, strict=True) if key == name)
        raise InputError(
            f"{named(folder)}: {twice} have one name, and sounds are matched by it; keep one"
        )
    return dict(sorted(zip(keys, found, strict=True)))


def name_of(file: str) -> str:
    """A file's path in its folder without the suffix, if that is of sound or video."""
    path = PurePosixPath(file)
    return str(path.with_suffix("") if path.suffix.lower() in SUFFIXES else path)


def listen(folder: Path, models: Models, progress: Progress = SILENT) -> SoundFolder:
    """Read, measure and embed every sound in a folder; what cannot be read is listed.

    Raises:
        InputError: as :func:`files`, or none of them can be read.
        ModelError: the pack has no CLAP audio tower.
    """
    found = files(folder)
    sounds, rows, unreadable = [], [], []
    for done, (name, path) in enumerate(found.items(), 1):
        try:
            audio = read(path)
        except FoleyError as problem:
            unreadable.append(str(problem))
        else:
            sounds.append(_measured(name, path, audio))
            rows.append(embed(audio, models))
        progress.stage(f"listen {folder.name}", done / len(found))
    if not rows:
        raise InputError(
            f"{named(folder)}: none of its {len(found)} files can be read; the first: "
            f"{unreadable[0]}"
        )
    return SoundFolder(folder, tuple(sounds), np.stack(rows), tuple(found), tuple(unreadable))


def read(path: Path) -> Sound:
    """The first sound track of a file: float32 ``(samples, 1 or 2)`` at 48 kHz.

    Raises:
        FoleyError: it has none, cannot be decoded, is empty or longer than ten minutes, or holds
            NaN or infinity.
    """
    with _opened(path) as container:
        tracks = [each for each in container.streams.audio if each.codec_context is not None]
        if not tracks:
            raise InputError(f"{named(path)}: holds no sound")
        stream, channels = tracks[0].index, tracks[0].channels
    graph = (
        source(path)[str(stream)]
        .filter("aresample", RATE)
        .output("pipe:1", format="f32le", acodec="pcm_f32le", ac=channels, t=LONGEST + 1)
    )
    data = b"".join(pipe(graph, subject=path))
    audio = np.frombuffer(data, "<f4").reshape(-1, channels)
    if not len(audio):
        raise InputError(f"{named(path)}: holds no sound")
    if len(audio) > LONGEST * RATE:
        raise InputError(f"{named(path)}: is longer than {LONGEST // 60} minutes; cut clips of it")
    if not np.isfinite(audio).all():
        raise InputError(f"{named(path)}: holds NaN or infinity")
    return audio if channels <= 2 else to_stereo(audio)


def _opened(path: Path) -> InputContainer:
    try:
        return open_media(path)
    except InputError as problem:
        if path.suffix.lower() in SOUNDS and "not a video file" in str(problem):
            raise InputError(
                f"{named(path)}: is not a sound file that can be read here; convert it to WAV"
            ) from None
        raise


def embed(audio: Sound, models: Models) -> np.ndarray:
    """CLAP embedding ``(d_clap,)`` of ``(samples, channels)`` at 48 kHz, unit length.

    What is longer than the pack's window is the mean of equal parts that are not.
    """
    mono = audio.mean(axis=1)
    parts = np.array_split(mono, ceil(len(mono) / (models.pack.window * RATE)))
    mean = models.clap.sounds(parts, RATE).mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def _measured(name: str, path: Path, audio: Sound) -> Heard:
    size = round(BLOCK * RATE)
    blocks = np.array_split(np.square(audio, dtype=np.float64).mean(1), ceil(len(audio) / size))
    power = np.array([block.mean() for block in blocks])
    return Heard(
        name=name,
        path=path,
        seconds=len(audio) / RATE,
        loudness=integrated_loudness(audio) if power.any() else -inf,
        silence=float((power < 10 ** (FLOOR / 10)).mean()),
    )
