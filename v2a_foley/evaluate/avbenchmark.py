"""The folders that av-benchmark reads, so that the field's own figures can stand beside these.

av-benchmark (github.com/hkchengrex/av-benchmark) computes FD, IS and KL on PaSST, PANNs and
VGGish, the ImageBind score and Synchformer's DeSync. It pairs ``.wav`` files of two flat folders,
``.mp4`` videos and the rows of a CSV (``name``, ``caption``) by their names without suffix, and
needs every sound as long as ``--audio_length``: for one that is shorter, it takes another file.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from v2a_foley.errors import FoleyError, InputError
from v2a_foley.evaluate.given import read_captions
from v2a_foley.evaluate.listening import files, read
from v2a_foley.media.audio import RATE, Sound, write_wav
from v2a_foley.media.files import atomic, check_output, named, part_name
from v2a_foley.progress import SILENT, Progress

SECONDS = 8.0  # of MMAudio's protocol on VGGSound, which today's tables follow
SCRIPT = "evaluate.sh"
GENERATED, REFERENCE, VIDEOS, CAPTIONS = "pred_audio", "gt_audio", "video", "captions.csv"


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: ``names`` of the sounds; ``padded`` of them were too short.

    ``unreadable`` says which files could not be read, and why; ``notes`` what was left out.
    """

    folder: Path
    names: tuple[str, ...]
    padded: int
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]


def export(
    generated: Path,
    reference: Path,
    output: Path,
    *,
    videos: Path | None = None,
    captions: Path | None = None,
    seconds: float = SECONDS,
    progress: Progress = SILENT,
) -> Export:
    """Write what av-benchmark reads into the new folder ``output``, whole or not at all.

    Sounds of one name in both folders become mono WAVs of 48 kHz, the first ``seconds`` of each,
    with silence at the end of those that are shorter. ``videos`` are linked where the disk can
    do that, else copied. ``evaluate.sh`` holds the commands.

    Raises:
        InputError: no names are the same, a video is missing or no MP4, or ``output`` exists.
        MediaError: the disk is full.
    """
    made, real = files(generated), files(reference)
    flat = _flat([name for name in made if name in real])
    if not flat:
        raise InputError(
            f"{named(generated)} and {named(reference)}: no file has the same name in both; "
            f"name them alike (the first are {next(iter(made))} and {next(iter(real))})"
        )
    texts = read_captions(captions) if captions else {}
    pictures = _videos(videos, flat) if videos else {}
    with _building(output) as part:
        padded, unreadable = {}, []
        for done, name in enumerate(flat, 1):
            try:
                pair = [_cut(read(each[name]), seconds) for each in (made, real)]
            except FoleyError as problem:
                unreadable.append(str(problem))
                continue
            finally:
                progress.stage("export", done / len(flat))
            for folder, (audio, _) in zip((GENERATED, REFERENCE), pair, strict=True):
                write_wav(part / folder / f"{flat[name]}.wav", audio)
            padded[name] = sum(short for _, short in pair)
        if not padded:
            raise InputError(f"{named(generated)}: no pair can be read; the first: {unreadable[0]}")
        for name in padded if pictures else ():
            _link(pictures[name], part / VIDEOS / f"{flat[name]}.mp4")
        captioned = {flat[name]: texts[name] for name in padded if name in texts}
        _write_texts(part, captioned, _script(seconds, bool(pictures), bool(captioned)))
    names = tuple(flat[name] for name in padded)
    notes = _notes(made, real, flat, len(names) - len(captioned) if captions else 0)
    return Export(output, names, sum(padded.values()), tuple(unreadable), notes)


@contextmanager
def _building(folder: Path) -> Iterator[Path]:
    """Yield a folder beside ``folder`` to fill; it takes that name if all goes well."""
    if not os.path.lexists(folder):
        check_output(folder)
    elif not folder.is_dir() or any(folder.iterdir()):
        raise InputError(f"{named(folder)}: exists already; name a new folder")
    part = part_name(folder)
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    try:
        yield part
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _flat(names: Sequence[str]) -> dict[str, str]:
    """Names without folders, which av-benchmark does not look into."""
    flat = {name: name.replace("/", "_") for name in names}
    if len(set(flat.values())) < len(flat):
        raise InputError("two names are the same once '/' is '_'; rename the files")
    return flat


def _videos(folder: Path, names: Collection[str]) -> dict[str, Path]:
    found = {name: folder / f"{name}.mp4" for name in names}
    missing = [path for path in found.values() if not path.is_file()]
    if missing:
        raise InputError(
            f"{named(missing[0])}: is missing ({len(missing)} of {len(names)} are); av-benchmark "
            "wants an .mp4 of each sound's name"
        )
    return found


def _cut(audio: Sound, seconds: float) -> tuple[Sound, bool]:
    """The first ``seconds`` in mono, and whether silence had to be added."""
    mono = audio.mean(axis=1)[: round(seconds * RATE)]
    missing = round(seconds * RATE) - len(mono)
    return np.pad(mono, (0, missing)), missing > 0


def _link(video: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(video.resolve(), target)
    except OSError:  # another disk, or one that has no links
        with atomic(target) as part:
            shutil.copyfile(video, part)


def _write_texts(folder: Path, captions: Mapping[str, str], script: str) -> None:
    if captions:
        with (
            atomic(folder / CAPTIONS) as part,
            part.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows([("name", "caption"), *captions.items()])
    with atomic(folder / SCRIPT) as part:
        part.write_text(script, encoding="utf-8")


def _script(seconds: float, videos: bool, captions: bool) -> str:
    length = f"--audio_length={seconds:g}"
    cache = '--gt_cache "$here/gt_cache"'
    lines = [
        "#!/bin/sh",
        "# Run this inside a clone of https://github.com/hkchengrex/av-benchmark, set up as its",
        "# README says, on a machine with a CUDA GPU: sh /path/to/this/evaluate.sh",
        "set -e",
        'here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)',
    ]
    if videos:
        lines.append(
            f'python extract_video.py {cache} --video_path "$here/{VIDEOS}" --gt_batch_size 1 '
            f"{length}"
        )
    if captions:
        lines.append(
            f'python extract_text.py --text_csv "$here/{CAPTIONS}" '
            '--output_cache_path "$here/gt_cache"'
        )
    skipped = ("" if videos else " --skip_video_related") + ("" if captions else " --skip_clap")
    lines.append(
        f'python evaluate.py --gt_audio "$here/{REFERENCE}" {cache} '
        f'--pred_audio "$here/{GENERATED}" --pred_cache "$here/pred_cache" {length}{skipped}'
    )
    return "\n".join(lines) + "\n"


def _notes(
    made: Mapping[str, Path], real: Mapping[str, Path], names: Collection[str], uncaptioned: int
) -> tuple[str, ...]:
    notes = []
    for what, those in (("generated", made), ("reference", real)):
        if len(those) > len(names):
            notes.append(f"{what} sounds left out for want of a partner: {len(those) - len(names)}")
    if uncaptioned:
        notes.append(f"sounds without a caption: {uncaptioned}")
    return tuple(notes)
