"""A folder as a post house gets it: made and real clips of all kinds, some broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.material import material
from tests.media.clips import damaged
from tests.media.made import H264, lavfi, make

SIZES = ("96x64", "128x72", "64x96", "160x90")
SEEN = (
    "testsrc2=s={size}:r={rate}:d={length},hue=h={hue}",
    "mandelbrot=s={size}:r={rate},trim=duration={length},hue=h={hue}",
    "smptebars=s={size}:r={rate}:d={length},hue=h={hue}",
)
CODECS: dict[str, tuple[str, ...]] = {
    ".mp4": H264,
    ".mkv": ("-c:v", "mpeg4", "-q:v", "8"),
    ".mov": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    ".avi": ("-c:v", "mpeg4", "-q:v", "8"),
    ".webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"),
}


@dataclass
class Mixed:
    """The clips that can be made, and the broken ones with a part of their reason."""

    folder: Path
    good: list[Path] = field(default_factory=list)
    broken: dict[Path, str] = field(default_factory=dict)


def mixed(folder: Path, count: int) -> Mixed:
    """``count`` clips of one to two seconds in three folders; every tenth is broken."""
    made = Mixed(folder)
    kinds = list(BROKEN.items())
    for number in range(count):
        place = folder / f"reel {number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        if number % 10 == 9:
            reason, make_broken = kinds[number // 10 % len(kinds)]
            made.broken[make_broken(place, number)] = reason
        else:
            made.good.append(_good(place, number))
    return made


def _good(place: Path, number: int) -> Path:
    suffix = list(CODECS)[number % len(CODECS)]
    path = place / f"clip {number:03d}{suffix}"
    if number % 4 == 3:
        return _real(path, number)
    graph = SEEN[number % len(SEEN)].format(
        size=SIZES[number % len(SIZES)], rate=(10, 12, 25)[number % 3], length=1 + number % 3 / 2,
        hue=number * 29 % 360,
    )  # fmt: skip
    return make(path, *lavfi(graph), *CODECS[suffix])


def _real(path: Path, number: int) -> Path:
    """A part of the real clip, or a real picture."""
    if number % 8 == 3:
        (source,) = material("clips")
        start = ["-ss", f"{number % 5}", "-i", f"file:{source}"]
    else:
        pictures = material("pictures")
        start = ["-loop", "1", "-r", "10", "-i", f"file:{pictures[number % len(pictures)]}"]
    view = ["-map", "0:v", "-t", "1.2", "-vf", "scale=128:72,setsar=1", "-pix_fmt", "yuv420p"]
    return make(path, *start, *view, *CODECS[path.suffix])


def _text(place: Path, number: int) -> Path:
    path = place / f"clip {number:03d}.mp4"
    path.write_text("this is no video")
    return path


def _empty(place: Path, number: int) -> Path:
    path = place / f"clip {number:03d}.mkv"
    path.touch()
    return path


def _truncated(place: Path, number: int) -> Path:
    path = _good(place, number - number % 5)
    data = path.read_bytes()
    path.unlink()
    path = place / f"clip {number:03d}.mp4"
    path.write_bytes(data[: len(data) // 3])
    return path


def _sound(place: Path, number: int) -> Path:
    path = place / f"clip {number:03d}.mp4"
    return make(path, *lavfi("sine=440:d=1"), "-c:a", "aac")


def _playlist(place: Path, number: int) -> Path:
    path = place / f"clip {number:03d}.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    return path


def _misnamed(place: Path, number: int) -> Path:
    path = place / f"clip {number:03d}.webm"
    return make(path, *lavfi("testsrc2=s=96x64:r=10:d=1"), *H264, "-f", "matroska")


def _bad_sheet(place: Path, number: int) -> Path:
    path = _good(place, number)
    path.with_name(f"{path.stem}.cues.toml").write_text("version = 1\n[video]\npath = 3\n")
    return path


def _bad_settings(place: Path, number: int) -> Path:
    path = _good(place, number)
    path.with_name(f"{path.stem}.foley.toml").write_text("[generation]\nsteps = 0\n")
    return path


def _nowhere(place: Path, number: int) -> Path:
    path = place / f"clip {number:03d}.mp4"
    path.symlink_to("gone.mp4")
    return path


def _damaged(place: Path, number: int) -> Path:
    """Passes for a video until it is decoded."""
    graph = "testsrc2=s=128x72:r=25:d=2"
    whole = make(place / f"whole {number}.mp4", *lavfi(graph), *H264, "-movflags", "+faststart")
    path = damaged(whole, place / f"clip {number:03d}.mp4", 0.2, 1.0)
    whole.unlink()
    return path


BROKEN: dict[str, Callable[[Path, int], Path]] = {
    "is not a video file": _text,
    "is empty": _empty,
    "truncated": _truncated,
    "holds only sound": _sound,
    "is a playlist": _playlist,
    "cannot hold": _misnamed,
    "video.path must be text": _bad_sheet,
    "steps must be": _bad_settings,
    "no such file": _nowhere,
    "truncated or damaged": _damaged,
}
"""Ways to be broken, by what the reason must say."""
