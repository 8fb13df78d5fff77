"""Fuzzing of what comes from outside: real inputs, changed at random, read by what reads them.

The only outcomes allowed are success and an error of the package's own family.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tests.material import FOLDER
from tests.media.made import H264, lavfi, make, picture
from v2a_foley.errors import FoleyError

SHEET = """\
# by hand
version = 1
seed = 5
[video]
path = "clip.mp4"
duration = 3.0
fingerprint = "abc"
[models]
pack = "starter"
[defaults.mix]
target = "streaming"
[[scene]]
id = "001"
start = 0.0
end = 1.5
preset = "city"
seed = 11
mute = true
tags = [{concept = "street traffic", group = "city", score = 0.43}]
[scene.generation]
prompt = 'a "quiet" street'
guard = ["music"]
[[scene]]
id = "002"
start = 1.5
end = 3.0
pick = 2
"""
PRESET = """\
name = "seed"
description = "a preset"
[match]
tags = ["dog", "cat"]
groups = ["animals"]
min_score = 0.3
[generation]
guidance = 3.0
steps = 12
guard = []
[mix]
gain_db = -3.0
low_pass = "none"
"""
EDL = """\
TITLE: A
FCM: NON-DROP FRAME
001  AX       V     C        00:00:00:00 00:00:01:12 00:00:00:00 00:00:01:12
002  AX       V     C        00:00:01:12 00:00:03:00 00:00:01:12 00:00:03:00
"""
FCPXML = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="1.9"><resources><format id="r1" frameDuration="1/25s"/>
<asset id="r2" src="file:///a.mp4" start="0s" duration="3s"/></resources>
<library><event><project><sequence format="r1" duration="3s"><spine>
<asset-clip ref="r2" offset="0s" duration="37/25s" start="0s"/>
<asset-clip ref="r2" offset="37/25s" duration="38/25s" start="37/25s"/>
</spine></sequence></project></event></library></fcpxml>
"""
XMEML = """\
<?xml version="1.0" encoding="UTF-8"?>
<xmeml version="4"><sequence><rate><timebase>25</timebase><ntsc>FALSE</ntsc></rate>
<media><video><track>
<clipitem><start>0</start><end>37</end><in>0</in><out>37</out></clipitem>
<clipitem><start>37</start><end>75</end><in>37</in><out>75</out></clipitem>
</track></video></media></sequence></xmeml>
"""
CSV = """\
Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,End Timecode,\
End Time (seconds),Length (frames),Length (timecode),Length (seconds)
1,1,00:00:00.000,0.000,37,00:00:01.480,1.480,37,00:00:01.480,1.480
2,38,00:00:01.480,1.480,75,00:00:03.000,3.000,38,00:00:01.520,1.520
"""


@dataclass(frozen=True)
class Target:
    """``seeds`` makes real inputs in a folder; ``read`` reads one that was changed."""

    suffix: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes truncated, flipped, zeroed, inserted, doubled, or replaced by telling ones."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not changed:
            return bytes(rng.randbytes(rng.randrange(64)))
        at, size = rng.randrange(len(changed)), rng.randrange(1, 1 + min(len(changed), 256))
        kind = rng.randrange(7)
        if kind == 0:
            del changed[at:]
        elif kind == 1:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[at : at + size] = bytes(len(changed[at : at + size]))
        elif kind == 3:
            changed[at:at] = rng.randbytes(size)
        elif kind == 4:
            changed[at:at] = changed[at : at + size]
        elif kind == 5:
            del changed[at : at + size]
        else:
            telling = (b"\xff" * 4, b"\0" * 8, b"-1", b"1e400", b"nan", b'"', b"[", b"\n", b"\\")
            changed[at : at + 1] = rng.choice((*telling, "\u202e\u0000é".encode(), b"../../x"))
    return bytes(changed)


def attempt(target: Target, data: bytes, folder: Path) -> str:
    """Read changed data: ``read``, or ``refused`` by an error that names something."""
    path = folder / f"input{target.suffix}"
    path.write_bytes(data)
    try:
        target.read(path)
    except FoleyError as error:
        return "refused" if str(error).strip() else "refused without words"
    return "read"


# What is read ------------------------------------------------------------------------------------


def _media(folder: Path) -> list[bytes]:
    sound = ["sine=440", "-t", "0.6"]
    made = [
        make(folder / name, *lavfi(picture(0.6), sound[0]), *sound[1:], *codec)
        for name, codec in {
            "a.mp4": (*H264, "-c:a", "aac"), "a.mkv": (*H264, "-c:a", "libvorbis"),
            "a.avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"), "a.ts": (*H264, "-c:a", "mp2"),
            "a.webm": ("-c:v", "libvpx", "-b:v", "100k", "-c:a", "libopus"),
            "a.mov": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"),
        }.items()
    ]  # fmt: skip
    return [path.read_bytes() for path in made]


class _Frames:
    """A consumer that looks at every frame."""

    def add(self, frame: object) -> None:
        assert np.isfinite(float(frame.time))  # type: ignore[attr-defined]

    def finish(self, duration: float) -> None:
        assert duration >= 0


def _watch(path: Path) -> None:
    from v2a_foley.media.audio import audio_blocks
    from v2a_foley.media.decode import decode
    from v2a_foley.media.probe import probe

    info = probe(path)
    decode(info, [_Frames()])
    for track in range(min(1, len(info.audio))):
        for _ in audio_blocks(info, track=track):
            pass


def _sheet(path: Path) -> None:
    from v2a_foley import cuesheet

    sheet = cuesheet.load(path)
    again = cuesheet.loads(cuesheet.dumps(sheet), path)
    assert again == sheet


def _preset(path: Path) -> None:
    from v2a_foley import presets

    presets.load(path)


def _cuts(path: Path) -> None:
    from fractions import Fraction

    from v2a_foley.cuesheet import cutlists

    for start, end in cutlists.read(path, 3.0, Fraction(25)):
        assert 0 <= start < end <= 3.0 + 1e-6


def _otio(folder: Path) -> list[bytes]:
    import opentimelineio as otio

    clip = otio.schema.Clip(
        "a", source_range=otio.opentime.TimeRange(
            otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(37, 25)
        ),
    )  # fmt: skip
    timeline = otio.schema.Timeline("t")
    timeline.tracks.append(otio.schema.Track("v", [clip, clip.deepcopy()]))
    return [otio.adapters.write_to_string(timeline, "otio_json").encode()]


def _pack(path: Path) -> None:
    from v2a_foley.models import packs

    folder = path.parent / "pack"
    for part in ("clip", "generator"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / packs.MANIFEST).write_bytes(path.read_bytes())
    packs.load(folder)


@cache
def _fingerprint() -> np.ndarray:
    return np.eye(8, 512, dtype=np.float32)


def _mapper(path: Path) -> None:
    from v2a_foley.mapper import checkpoint

    checkpoint.load(path, clip_id="starter/efficientnet-lite0-conse", fingerprint=_fingerprint())


def _frames(folder: Path) -> list[bytes]:
    from v2a_foley import frames

    table = np.ones((4, 8), np.float32)
    seen = frames.Frames(np.arange(4.0), table, np.arange(9.0), np.ones(9), "clip")
    frames.save(seen, folder)
    return [(folder / frames.NAME).read_bytes()]


def _load_frames(path: Path) -> None:
    from v2a_foley import frames

    (path.parent / frames.NAME).write_bytes(path.read_bytes())
    frames.load(path.parent).mean(0.0, 2.0)


def _ledger(folder: Path) -> list[bytes]:
    from v2a_foley.batch.ledger import Ledger, Record, folder_of

    with Ledger(folder) as ledger:
        ledger.write([Record(f"{n}.mp4", "done", f"in/{n}.mp4") for n in range(40)])
        path = ledger.path
    assert path.parent == folder_of(folder)
    return [path.read_bytes()]


def _read_ledger(path: Path) -> None:
    from v2a_foley.batch.ledger import folder_of, read_all

    folder = folder_of(path.parent / "out")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "ledger.sqlite").write_bytes(path.read_bytes())
    read_all(path.parent / "out")


def _texts(*texts: str) -> Callable[[Path], list[bytes]]:
    return lambda folder: [text.encode() for text in texts]


def _files(*paths: Path) -> Callable[[Path], list[bytes]]:
    return lambda folder: [path.read_bytes() for path in paths]


_PACK = Path(__file__).parents[1] / "v2a_foley" / "starter" / "pack"
TARGETS = {
    "media": Target(".bin", _media, _watch),
    "big buck bunny": Target(".mp4", _files(FOLDER / "clips" / "big_buck_bunny.mp4"), _watch),
    "cue sheet": Target(".cues.toml", _texts(SHEET), _sheet),
    "preset": Target(".toml", _texts(PRESET.replace('name = "seed"\n', "")), _preset),
    "edl": Target(".edl", _texts(EDL), _cuts),
    "csv": Target(".csv", _texts(CSV), _cuts),
    "otio": Target(".otio", _otio, _cuts),
    "xml": Target(".xml", _texts(FCPXML, XMEML), _cuts),
    "pack": Target(".toml", _files(_PACK / "pack.toml"), _pack),
    "mapper": Target(".safetensors", _files(_PACK / "mappers" / "regression.safetensors"), _mapper),
    "frames": Target(".safetensors", _frames, _load_frames),
    "ledger": Target(".sqlite", _ledger, _read_ledger),
}
