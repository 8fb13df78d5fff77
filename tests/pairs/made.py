"""Sounding clips made of real pictures and recordings, and pairs made of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.material import FOLDER
from tests.media.clips import truncated
from tests.media.made import H264, make
from v2a_foley.pairs.layout import Manifest, Record
from v2a_foley.pairs.shards import Pair, PairsFolder

D_CLIP, D_CLAP = 6, 9
FINGERPRINT = np.eye(8, D_CLAP, dtype=np.float32)
MANIFEST = Manifest("made/clip", "made-1", D_CLIP, D_CLAP, "media", {"fps": 2.0})


def picture(name: str) -> Path:
    """A real picture, such as ``dog_1``."""
    return FOLDER / "pictures" / f"{name}.jpg"


def recording(name: str) -> Path:
    """A real recording, such as ``rooster_1``."""
    return FOLDER / "sounds" / f"{name}.ogg"


def clip(path: Path, image: str, sound: str | None, seconds: float = 3.0) -> Path:
    """A video that shows one real picture; the recording is repeated to fill its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = ("-loop", "1", "-framerate", "10", "-i", str(picture(image)))
    heard = ("-stream_loop", "-1", "-i", str(recording(sound))) if sound else ()
    small = ("-vf", "scale=160:120", "-t", str(seconds), "-c:a", "aac")
    return make(path, *shown, *heard, *small, *H264)


def folder_of_clips(folder: Path) -> Path:
    """Clips in two folders: two that make pairs, a copy, a mute one, one of noise, one cut off."""
    clip(folder / "farm" / "dog.mp4", "dog_1", "cat_1")
    clip(folder / "farm" / "rooster.mp4", "chicken_1", "rooster_1", 6.0)
    copy = (folder / "farm" / "dog.mp4").read_bytes()
    (folder / "again.mp4").write_bytes(copy)
    clip(folder / "mute.mp4", "cow_1", None)
    late = clip(folder / "farm" / "cut.mkv", "pig_1", "door_1", 9.0)
    truncated(late, late, 0.5)
    (folder / "farm" / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "notes.txt").write_text("no video")
    return folder


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def pair(number: int, *, split: str = "train", **known: object) -> Pair:
    """Pair ``number``, with one to four frames."""
    rng = np.random.default_rng(number)
    name = f"{number:03d}"
    values = {"caption": "", "label": f"class {number % 3}", "group": name, "content": name}
    record = Record(name, f"{name}.mp4", 0.0, 5.0, split=split, **(values | known))  # type: ignore[arg-type]
    frames = unit(rng.normal(size=(1 + number % 4, D_CLIP)))
    return Pair(record, frames, unit(rng.normal(size=D_CLAP)))


def write(folder: Path, *shards: Sequence[Pair]) -> Path:
    """A folder of made pairs."""
    target = PairsFolder.create(folder, MANIFEST, FINGERPRINT)
    for pairs in shards:
        target.write(pairs)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
