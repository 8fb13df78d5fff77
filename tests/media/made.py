"""Media for the output half's tests: lavfi clips, a click with a flash, readers for both."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import numpy as np

from v2a_foley.media.audio import RATE, Sound, write_wav
from v2a_foley.media.ffmpeg import COMMON, ffmpeg_exe

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "2", "-pix_fmt", "yuv420p")
AWKWARD = '-it\'s "one": 100% 🎬\n[a],b;c=d'


def make(path: Path, *arguments: str) -> Path:
    """Run ffmpeg with these arguments, the output's name last."""
    command = [ffmpeg_exe(), *COMMON, *arguments, f"file:{path}"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, cwd=path.parent)
    return path


def lavfi(*graphs: str) -> list[str]:
    """Return one lavfi input for each graph."""
    return [word for graph in graphs for word in ("-f", "lavfi", "-i", graph)]


def picture(seconds: float = 2.0, rate: str = "25", size: str = "64x48") -> str:
    """Return a lavfi graph: black, with one white frame at 1 s."""
    flash = "drawbox=c=white:t=fill:enable='gte(t,0.999)*lt(t,1.03)'"
    return f"color=black:s={size}:r={rate}:d={seconds},{flash}"


def click(path: Path, seconds: float = 2.0, at: float = 1.0) -> Path:
    """Write a stereo WAV of silence with 10 ms of loud noise at one time."""
    audio = np.zeros((round(seconds * RATE), 2), np.float32)
    start = round(at * RATE)
    audio[start : start + 480] = np.random.default_rng(0).uniform(-0.8, 0.8, (480, 2))
    write_wav(path, audio, overwrite=True)
    return path


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Sound:
    """Return stereo white noise with an RMS of ``level``."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, level, (round(seconds * RATE), 2)).astype(np.float32)


def flash_time(path: Path) -> float:
    """Return the time at which the first bright picture is shown."""
    with av.open(f"file:{path}") as media:
        for frame in media.decode(video=0):
            if frame.to_ndarray(format="gray").mean() > 128:
                return float(frame.pts * frame.time_base)
    raise AssertionError("no flash")


def click_time(path: Path, track: int = 0) -> float:
    """Return the time of the first loud sample."""
    with av.open(f"file:{path}") as media:
        for frame in media.decode(audio=track):
            loud = np.flatnonzero(np.abs(_floats(frame)) > 0.2)
            if len(loud):
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    raise AssertionError("no click")


def _floats(frame: av.AudioFrame) -> Sound:
    """Return the first channel in -1 to 1."""
    data = frame.to_ndarray()
    channel = data[0] if frame.format.is_planar else data[0, :: frame.layout.nb_channels]
    scale = 1.0 if channel.dtype.kind == "f" else np.iinfo(channel.dtype).max
    return channel.astype(np.float32) / np.float32(scale)


def frame_hashes(path: Path, stream: str = "0:V:0") -> list[str]:
    """Return the MD5 of every packet of a stream, in the order of the file."""
    command = [ffmpeg_exe(), "-v", "error", "-i", f"file:{path}", "-map", stream]
    done = subprocess.run(
        [*command, "-c", "copy", "-f", "framemd5", "-"], check=True, capture_output=True, text=True
    )
    return [line.split(",")[-1] for line in done.stdout.splitlines() if line[:1] != "#"]


def ebur128(audio: Sound) -> tuple[float, float]:
    """Return integrated loudness and true peak as ffmpeg's own meter reads them."""
    command = [ffmpeg_exe(), "-hide_banner", "-f", "f32le", "-ar", str(RATE), "-ac", "2"]
    meter = ["-i", "pipe:0", "-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"]
    data = np.ascontiguousarray(audio, "<f4").tobytes()
    done = subprocess.run([*command, *meter], input=data, capture_output=True, check=True)
    words = done.stderr.decode().rsplit("Summary:", 1)[1].split()
    return float(words[words.index("I:") + 1]), float(words[words.index("Peak:") + 1])
