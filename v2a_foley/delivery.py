"""Delivery: stems to one track, mixed, levelled and muxed. Knows nothing of models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley import provenance
from v2a_foley.cuesheet import CueSheet, Scene, resolve
from v2a_foley.errors import CueSheetError, InputError, MediaError
from v2a_foley.media.files import check_output, part_name
from v2a_foley.media.probe import MediaInfo, probe
from v2a_foley.presets import Overrides, Preset
from v2a_foley.progress import SILENT, Progress
from v2a_foley.stems import stem_path

if TYPE_CHECKING:
    from v2a_foley.media.audio import Sound
    from v2a_foley.media.loudness import LoudnessReport
    from v2a_foley.media.mix import Stem

TRACK = "track.wav"  # the whole programme, among the delivered stems


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was delivered. ``duration`` is in seconds; ``stems`` end with the whole track."""

    output: Path
    duration: float
    loudness: LoudnessReport
    stems: tuple[Path, ...]


def deliver(
    sheet: CueSheet,
    output: Path,
    *,
    overrides: Overrides | None = None,
    stems: Path | None = None,
    audio_track: int = 0,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Delivery:
    """Write the video with its foley to ``output``; the picture is copied bit for bit.

    ``overrides`` come from the command line. ``stems`` is a folder for one WAV a scene and the
    whole track, 48 kHz, 24 bit. ``audio_track`` is the original track that ``mix`` and ``duck``
    work with, counted from 0.

    Raises InputError before any work for a bad output, CueSheetError for a missing video or
    stem, MediaError when decoding or muxing fails.
    """
    from v2a_foley.media.audio import write_wav
    from v2a_foley.media.mix import MixMode, assemble
    from v2a_foley.media.mux import mux

    info = _source(sheet)
    files = check_targets(sheet, info, output, stems, overwrite=overwrite)
    track = resolve(sheet, None, command_line=overrides)
    mode = MixMode(track.mix.mode)
    if mode is not MixMode.REPLACE and info.audio and audio_track >= len(info.audio):
        raise InputError(f"{info.path}: has {len(info.audio)} audio tracks, none is {audio_track}")
    settings = [resolve(sheet, scene, command_line=overrides) for scene in sheet.scenes]
    progress.stage("deliver", 0.0)
    crossfades = [preset.timing.crossfade for preset in settings[1:]]
    foley = assemble(_stems(sheet, settings), sheet.duration, crossfades)
    progress.stage("deliver", 0.3)
    mixed = _mixed(foley, info, mode, audio_track, progress)
    mixed, loudness = _normalised(mixed, track, progress)
    progress.stage("deliver", 0.6)
    wav = part_name(output.with_suffix(".wav"))
    try:
        write_wav(wav, mixed, overwrite=True)  # beside the output: no other disk is filled
        muxed = mux(
            info, wav, output, metadata={"comment": provenance.comment(sheet)}, overwrite=overwrite,
            progress=lambda done: progress.stage(
                "deliver", 0.6 + 0.4 * min(1.0, done / info.duration)
            ),
        )  # fmt: skip
        for what in muxed.dropped:
            progress.note(f"{output.name}: {what}")
        if files:
            _write_stems(sheet, settings, files[:-1], loudness.gain_db)
            write_wav(files[-1], mixed, overwrite=overwrite)
    finally:
        wav.unlink(missing_ok=True)
    progress.stage("deliver", 1.0)
    return Delivery(output, sheet.duration, loudness, tuple(files))


def check_targets(
    sheet: CueSheet, info: MediaInfo, output: Path, stems: Path | None, *, overwrite: bool
) -> list[Path]:
    """Refuse what cannot or must not be written; the stems' files, the whole track last."""
    from v2a_foley.media.containers import check_container

    files = []
    if stems is not None:
        files = [stems / f"{scene.id}.wav" for scene in sheet.scenes] + [stems / TRACK]
    rendered = [stem_path(sheet, scene) for scene in sheet.scenes]
    for path in (output, *files):
        check_output(path, [sheet.video, *rendered], overwrite=overwrite)
    check_container(info, output)
    return files


def _source(sheet: CueSheet) -> MediaInfo:
    """The sheet's video, and every stem in its place."""
    if not sheet.video.exists():
        raise CueSheetError(
            f"{sheet.path}: its video {sheet.video} is not there: put it back, or set 'path' under "
            "[video] to where it is"
        )
    for scene in sheet.scenes:
        if not stem_path(sheet, scene).is_file():
            raise CueSheetError(
                f"{stem_path(sheet, scene)}: the stem of scene {scene.id} is missing: run "
                f"'v2a-foley render {sheet.path}' first"
            )
    return probe(sheet.video)


def _stems(sheet: CueSheet, settings: list[Preset]) -> Iterator[Stem]:
    """Read the scenes' stems one after the other."""
    from v2a_foley.media.mix import Stem

    for scene, preset in zip(sheet.scenes, settings, strict=True):
        audio, handle = _read(sheet, scene)
        yield Stem(scene.start, min(scene.end, sheet.duration), audio, handle, preset.mix.gain_db)


def _read(sheet: CueSheet, scene: Scene) -> tuple[Sound, float]:
    """A stem's sound, float32 at 48 kHz, and its handle in seconds."""
    import soundfile

    from v2a_foley.media.audio import RATE

    path = stem_path(sheet, scene)
    again = f"run 'v2a-foley render {sheet.path}' again"
    try:
        audio, rate = soundfile.read(path, dtype="float32")
    except (OSError, soundfile.LibsndfileError) as error:
        raise MediaError(f"{path}: cannot be read ({error}): {again}") from None
    handle = (len(audio) / RATE - scene.duration) / 2
    if rate != RATE or handle < -0.005:
        raise MediaError(f"{path}: does not fit scene {scene.id} any more: {again}")
    return audio, max(0.0, handle)


def _mixed(foley: Sound, info: MediaInfo, mode: Any, audio_track: int, progress: Progress) -> Sound:
    from v2a_foley.media.audio import read_audio, to_stereo
    from v2a_foley.media.mix import MixMode, combine

    if mode is MixMode.REPLACE:
        return foley
    if not info.audio:
        progress.note(f"{info.path.name}: has no sound to mix with, the foley stands alone")
        return combine(foley, None, mode)
    import numpy as np

    original = to_stereo(read_audio(info, track=audio_track))
    spare = len(foley) - len(original)
    original = np.pad(original[: len(foley)], ((0, max(0, spare)), (0, 0)))
    return combine(foley, original, mode)


def _normalised(mixed: Sound, track: Preset, progress: Progress) -> tuple[Sound, LoudnessReport]:
    from v2a_foley.media.loudness import integrated_loudness, normalise

    target = track.mix.loudness
    if target is None:
        target = integrated_loudness(mixed)
    sound, report = normalise(mixed, target if math.isfinite(target) else 0.0, track.mix.true_peak)
    if report.note:
        progress.note(report.note)
    return sound, report


def _write_stems(
    sheet: CueSheet, settings: list[Preset], paths: list[Path], gain_db: float
) -> None:
    """Each scene's sound as long as its scene, at the level it has in the programme."""
    from v2a_foley.media.audio import RATE, length_of, write_wav

    for scene, preset, path in zip(sheet.scenes, settings, paths, strict=True):
        audio, handle = _read(sheet, scene)
        first = round(handle * RATE)
        gain = 10 ** ((preset.mix.gain_db + gain_db) / 20)
        write_wav(path, audio[first : first + length_of(scene.duration)] * gain, overwrite=True)
