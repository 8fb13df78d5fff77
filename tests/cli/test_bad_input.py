"""Whatever is wrong with what a user gives: one line that says what to do, and no trace."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.conftest import SHEET, Cli
from tests.cli.refusal import COMMANDS, TINY, listing, refused
from tests.media.clips import truncated
from tests.media.made import AWKWARD, H264, lavfi, make
from v2a_foley.cli import console
from v2a_foley.mapper.checkpoint import Header, save
from v2a_foley.media.probe import probe
from v2a_foley.models.bundle import Models

NAMES = ("-y.mp4", "http:a.mp4", 'it\'s "one" & two.mp4', "\U0001f3ac.mp4", "new\nline.mp4")
LONG = "x" * 260
"""More bytes than a name may have."""


# Videos ------------------------------------------------------------------------------------------

Maker = Callable[[Path, Path], object]
BAD: dict[str, tuple[Maker, str]] = {
    "missing": (lambda clip, path: None, "no such file; check its name"),
    "a link to nothing": (lambda clip, path: path.symlink_to("none"), "no such file"),
    "a folder": (lambda clip, path: path.mkdir(), "is a folder; name a video file"),
    "empty": (lambda clip, path: path.touch(), "is empty (0 bytes); copy or export it again"),
    "text": (
        lambda clip, path: path.write_text("not a film\n" * 50),
        "is not a video file that can be read here; convert it to MP4 or MKV first",
    ),
    "without its index": (
        lambda clip, path: truncated(clip, path, 0.5),
        "(its index, the moov atom, is missing); copy it again, or export it again",
    ),
    "only sound": (
        lambda clip, path: make(path, "-i", str(clip), "-vn", "-c", "copy"),
        "holds only sound, no video track; name a video file",
    ),
    "without frames": (
        lambda clip, path: make(path, "-i", str(clip), "-c", "copy", "-frames:v", "0"),
        "no video track; name a video file",
    ),
    "a playlist": (
        lambda clip, path: path.write_text(f"#EXTM3U\n#EXTINF:3,\n{clip}\n#EXT-X-ENDLIST\n"),
        "is a playlist that refers to other files; name the video file itself",
    ),
    "a playlist of an address": (
        lambda clip, path: path.write_text("#EXTM3U\n#EXTINF:3,\nhttp://127.0.0.1:9/a.ts\n"),
        "is a playlist that refers to other files; name the video file itself",
    ),
    "a concat script": (
        lambda clip, path: path.write_text(f"ffconcat version 1.0\nfile {clip}\n"),
        "is a playlist that refers to other files; name the video file itself",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_input_that_is_no_video(cli: Cli, video: Path, pack: Path, kind: str):
    maker, message = BAD[kind]
    maker(video, Path("bad.mp4").absolute())
    for command in COMMANDS:
        line = refused(cli, *command, "bad.mp4")
        assert line.startswith("bad.mp4: ")
        assert message in line


def test_the_folder_one_is_in(cli: Cli, pack: Path):
    for command in COMMANDS:
        assert refused(cli, *command, ".") == ".: is a folder; name a video file"


@pytest.fixture
def cut(cli: Cli) -> Path:
    """A video whose index promises 4 s of picture, of which half is there."""
    noisy = "testsrc=s=160x120:r=25:d=4,noise=alls=20:allf=t"
    whole = make(Path("whole.mp4").absolute(), *lavfi(noisy), *H264, "-movflags", "+faststart")
    path = truncated(whole, Path("clip.mp4").absolute(), 0.5)
    whole.unlink()
    return path


def test_a_video_cut_off_is_told_when_its_end_is_missed(cli: Cli, cut: Path):
    for command in (("scenes", "--no-tags"), ("run", "--models", "starter", "--device", "cpu")):
        line = refused(cli, *command, cut.name, code=1)
        assert line.startswith("clip.mp4: the picture ends at ")
        assert line.endswith("truncated or damaged; copy it again or export it again")


def test_deliver_does_not_finish_a_video_cut_off(cli: Cli, cut: Path, stems: Path):
    before = listing(Path().absolute())
    result = cli("deliver", stems.name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: clip.foley.mp4: not made from clip.mp4 (is it damaged?")
    assert all(line.startswith("  ") for line in result.stderr.splitlines()[1:])
    assert listing(Path().absolute()) == before


# Names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_awkward_names_of_what_is_no_video(cli: Cli, video: Path, pack: Path, name: str):
    Path(name).write_text("text")
    shown = ascii(name) if "\n" in name else name
    for command in COMMANDS:
        line = refused(cli, *command, "--", name)
        assert line.startswith(f"{shown}: is not a video file")
    assert refused(cli, "run", *TINY, "-o", name, "clip.mp4").startswith(f"{shown}: exists already")


@pytest.mark.parametrize("name", [*NAMES, AWKWARD + ".mp4"])
def test_awkward_names_are_files_like_any(cli: Cli, video: Path, stems: Path, name: str):
    shutil.copy("clip.mp4", name)
    found = json.loads(cli("scenes", "--no-tags", "--json", "--", name).stdout)
    assert len(found) == 2
    Path(name).unlink()
    result = cli("deliver", stems, "-o", name)
    assert (result.exit_code, result.stdout) == (0, console.name(name) + "\n"), result.stderr
    assert len(probe(Path(name)).audio) == 1
    assert not list(Path().glob(".*"))


def test_a_name_too_long(cli: Cli, video: Path, pack: Path):
    for output in (f"{LONG}.mp4", f"new/{LONG}/a.mp4"):
        assert "choose a shorter one" in refused(cli, "run", *TINY, "clip.mp4", "-o", output)
    assert "File name too long" in refused(cli, "run", *TINY, f"{LONG}.mp4")


# Outputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_the_input_is_never_the_output(
    cli: Cli, video: Path, pack: Path, stems: Path, overwrite: list[str]
):
    Path("hard.mp4").hardlink_to("clip.mp4")
    Path("soft.mp4").symlink_to("clip.mp4")
    Path("here").symlink_to(".")
    for name in ("clip.mp4", "hard.mp4", "soft.mp4", "here/clip.mp4", "here/hard.mp4"):
        for command in (
            ("run", "clip.mp4", *TINY),
            ("spot", "clip.mp4", *TINY),
            ("deliver", stems),
        ):
            line = refused(cli, *command, "-o", name, *overwrite)
            assert line == f"{name}: is the input itself; choose another output name"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-o", "folder"), "folder: is a folder; give the name of a file to write"),
        (("-o", "clip.mp4/a.mp4"), "clip.mp4 is not a folder; choose another output folder"),
        (("-o", "lost/a.mp4"), "lost is not a folder; choose another output folder"),
        (("-o", "a.txt"), "a.txt: unknown container; use one of .mp4, "),
        (("-o", "a.webm"), "a .webm file cannot hold h264 video; name the output .mkv or .mp4"),
        (("--stems", "clip.mp4"), "clip.mp4 is not a folder; choose another output folder"),
        (("--audio-track", "1"), "clip.mp4: has no audio track 1; it has 1, and --audio-track"),
    ],
)
def test_output_that_cannot_be(
    cli: Cli, video: Path, pack: Path, stems: Path, flags: tuple[str, str], message: str
):
    Path("folder").mkdir()
    Path("lost").symlink_to("nowhere")
    assert message in refused(cli, "run", *TINY, "clip.mp4", *flags)
    assert message in refused(cli, "deliver", stems.name, *flags)


def test_an_audio_track_below_0_is_bad_usage(cli: Cli, video: Path, pack: Path):
    result = cli("run", *TINY, "clip.mp4", "--audio-track", "-1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'--audio-track'" in result.stderr


def test_the_sheet_is_not_the_output(cli: Cli, video: Path, pack: Path):
    line = refused(cli, "run", *TINY, "clip.mp4", "-o", "a.mp4", "--cue-sheet", "a.mp4")
    assert line == "a.mp4: is the output too; choose another --cue-sheet"


# Cue sheets, presets and models ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('preset = "city"', 'presett = "city"', '16: scene #1 presett is unknown; did you mean "p'),
        ("[video]", "[vidio]", '4: vidio is unknown; did you mean "video"?'),
        ('"city"\n', '"citty"\n', '16: scene #1 preset cannot be used: there is no preset "citty"'),
        ("start = 1.5", "start = 1.25", "22: scene #2 start (1.25) is before the end of scene"),
        ("end = 3.0", "end = 9.0", "23: scene #2 end (9.0) is after the end of the video (3.0)"),
        ("start = 0.0", "start = -1.0", "14: scene #1 start must not be below 0, not -1.0"),
        ("seed = 12", "seed = ", "25: not valid TOML"),
    ],
)
def test_a_cue_sheet_with_a_mistake(
    cli: Cli, video: Path, pack: Path, stems: Path, old: str, new: str, message: str
):
    assert old in SHEET
    stems.write_text(SHEET.replace(old, new))
    for command in (
        ("run", *TINY, "clip.mp4", "--cue-sheet"),
        ("run", *TINY, "clip.mp4", "--dry-run", "--cue-sheet"),
        ("render",),
        ("deliver",),
        ("scenes",),
    ):
        line = refused(cli, *command, stems.name)
        assert line.startswith(f"clip.cues.toml, line {message}")


def test_a_cue_sheet_of_another_video(cli: Cli, video: Path, pack: Path, stems: Path):
    line = refused(cli, "run", *TINY, "clip.mp4", "--cue-sheet", stems.name)
    assert line.startswith("clip.cues.toml: belongs to another video than clip.mp4")
    Path("clip.mp4").rename("moved.mp4")
    assert "its video clip.mp4 is not there: put it back" in refused(cli, "deliver", stems.name)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--preset", "citty"), 'there is no preset "citty"; did you mean "city"?'),
        (("--models", "tinny"), "unknown model pack 'tinny': choose auto, starter, tiny, or a"),
        (("--device", "abacus"), "unknown device 'abacus': choose one of auto, cpu, cuda, mps"),
        (("--device", "cuda:99"), "'cuda:99' is not available"),
        (("--mapper", "none"), "none: cannot be read as a mapper (No such file or directory); na"),
        (("--mapper", "."), ".: cannot be read as a mapper (Is a directory); name the file of"),
    ],
)
def test_presets_packs_devices_and_mappers_that_are_not_there(
    cli: Cli, video: Path, pack: Path, flags: tuple[str, str], message: str
):
    models = () if "--models" in flags else TINY
    assert message in refused(cli, "run", "clip.mp4", *models, *flags)
    assert message in refused(cli, "spot", "clip.mp4", *models, *flags)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("another CLIP", "was made for the CLIP 'ViT-L-14/openai', the pack in use has '"),
        ("another CLAP", "maps into another CLAP than the pack's"),
        ("cut off", "not a mapper file, or damaged"),
        ("text", "not a mapper file, or damaged"),
    ],
)
def test_a_mapper_that_does_not_fit(
    cli: Cli, video: Path, starter: Models, kind: str, message: str
):
    path = Path("m.safetensors")
    fingerprint = starter.bank.fingerprint
    clip = "ViT-L-14/openai" if kind == "another CLIP" else starter.pack.clip_id
    if kind == "another CLAP":
        fingerprint = np.roll(fingerprint, 1, axis=0)
    tensors = {"keys": torch.eye(4, 6), "values": torch.eye(4, fingerprint.shape[1])}
    save(path, Header("bridge", {"temperature": 0.05, "top_k": 2}, clip), tensors, fingerprint)
    if kind == "cut off":
        truncated(path, path, 0.5)
    elif kind == "text":
        path.write_text("not a mapper")
    flags = ("--models", "starter", "--device", "cpu", "--mapper", path)
    line = refused(cli, "run", "clip.mp4", *flags, "--cue-sheet", "new.cues.toml")
    assert line.startswith("m.safetensors: ")
    assert message in line
