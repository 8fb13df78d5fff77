"""Delivery: stems to one track, mixed, levelled and muxed. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley import provenance
from v2a_foley.cuesheet import CueSheet, located, resolve
from v2a_foley.export.handover import TRACK, HandOver
from v2a_foley.finishing import Finished, finish
from v2a_foley.media.probe import MediaInfo, probe
from v2a_foley.presets import Overrides, Preset
from v2a_foley.programme import (
    check_stems,
    check_track,
    outdated,
    programme,
    stem_gain_db,
    treated_stem,
)
from v2a_foley.progress import SILENT, Progress
from v2a_foley.stems import stem_path

if TYPE_CHECKING:
    from v2a_foley.export.stems import Cut
    from v2a_foley.export.timecode import Clock
    from v2a_foley.media.loudness import LoudnessReport
    from v2a_foley.media.meter import Loudness

__all__ = ["TRACK", "Delivery", "check_targets", "deliver"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was delivered. ``duration`` is in seconds; ``stems`` end with the whole track.

    ``loudness`` is measured in the finished file; ``levelling`` is what was done to get it.
    """

    output: Path
    duration: float
    loudness: Loudness
    levelling: LoudnessReport
    stems: tuple[Path, ...]
    timelines: tuple[Path, ...] = ()
    sidecar: Path | None = None


def deliver(
    sheet: CueSheet,
    output: Path,
    *,
    overrides: Overrides | None = None,
    stems: Path | None = None,
    handles: bool = False,
    timelines: Sequence[Path] = (),
    sidecar: Path | None = None,
    audio_track: int = 0,
    keep_original: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Delivery:
    """Write the video with its foley to ``output``; the picture is copied bit for bit.

    ``overrides`` come from the command line. ``stems`` is a folder for one WAV a scene and the
    whole track, 48 kHz, 24 bit, with the timecode of their place; with ``handles`` they keep what
    they have beyond their scene. ``timelines`` (.otio, .xml, .fcpxml, .edl) place the stems under
    the untouched picture; ``sidecar`` tells how all was made. ``audio_track`` is the original
    track that ``mix`` and ``duck`` work with, counted from 0; ``keep_original`` keeps all original
    tracks behind the new one.

    Raises InputError before any work for a bad output, CueSheetError for a missing video or
    stem, MediaError when decoding or muxing fails.
    """
    sheet = located(sheet)
    check_stems(sheet)
    info = probe(sheet.video)
    handover = HandOver(stems, handles, tuple(timelines), sidecar)
    check_targets(sheet, info, output, handover, overwrite=overwrite)
    track = resolve(sheet, None, command_line=overrides)
    check_track(track.mix, info, audio_track)
    settings = [resolve(sheet, scene, command_line=overrides) for scene in sheet.scenes]
    if old := outdated(sheet):
        progress.note(
            f"{sheet.path}: changed since the stems of {', '.join(old)} were rendered: they are "
            "delivered as they are; 'v2a-foley render' makes them anew"
        )
    progress.stage("deliver", 0.0)
    finished = finish(
        programme(sheet, settings, track.mix, info, audio_track=audio_track, progress=progress),
        track.mix, info, output, keep_original=keep_original,
        metadata={"comment": provenance.comment(sheet)}, overwrite=overwrite, progress=progress,
    )  # fmt: skip
    stem_files = _hand_over(handover, sheet, info, settings, track, finished, output, progress)
    progress.stage("deliver", 1.0)
    return Delivery(
        output,
        sheet.duration,
        finished.loudness,
        finished.levelling,
        stem_files,
        handover.timelines,
        handover.sidecar,
    )


def check_targets(
    sheet: CueSheet, info: MediaInfo, output: Path, handover: HandOver, *, overwrite: bool
) -> None:
    """Refuse what cannot or must not be written, before any work.

    Raises:
        InputError: naming the file.
    """
    from v2a_foley.media.containers import check_container

    inputs = [sheet.video, *(stem_path(sheet, scene) for scene in sheet.scenes)]
    if sheet.path is not None:
        inputs.append(sheet.path)
    heard = filter(sheet.sounds, sheet.scenes)
    handover.check(output, info, inputs, heard, overwrite=overwrite)
    check_container(info, output)


def _hand_over(
    handover: HandOver,
    sheet: CueSheet,
    info: MediaInfo,
    settings: list[Preset],
    track: Preset,
    finished: Finished,
    output: Path,
    progress: Progress,
) -> tuple[Path, ...]:
    """Write stems, timelines and sidecar, as far as they are wanted; the stems' files."""
    if not handover.files(()):
        return ()
    from v2a_foley.export.sidecar import Delivered, write_sidecar
    from v2a_foley.export.stems import write_track
    from v2a_foley.export.timecode import clock_of_timeline
    from v2a_foley.export.timeline import Timeline, write_timeline

    clock, notes = clock_of_timeline(info)
    for note in notes:
        progress.note(f"{info.path.name}: {note}")
    cuts: tuple[Cut, ...] = ()
    if handover.track is not None:
        wanted = finished.levelling.gain_db
        gain_db = stem_gain_db(sheet, settings, wanted)
        if gain_db < wanted:
            progress.note(
                f"stems: {wanted - gain_db:.1f} dB below the programme, so as not to clip"
            )
        cuts = tuple(_write_stems(handover, sheet, settings, clock, gain_db))
        write_track(sheet, handover.track, finished.audio, clock, overwrite=True)
    muted = track.mix.mode == "replace"
    timeline = Timeline(info, clock, clock.frame(sheet.duration), cuts, muted)
    for path in handover.timelines:
        for lost in write_timeline(timeline, path, overwrite=True):
            progress.note(f"{path.name}: does not hold {lost}")
    if handover.sidecar is not None:
        others = [path for path in (handover.track, *handover.timelines) if path is not None]
        made = Delivered(sheet, settings, track, finished.loudness, timeline, output, others)
        write_sidecar(made, handover.sidecar, overwrite=True)
    return tuple(path for path in (*(cut.path for cut in cuts), handover.track) if path is not None)


def _write_stems(
    handover: HandOver, sheet: CueSheet, settings: list[Preset], clock: Clock, gain_db: float
) -> Iterator[Cut]:
    """Write each scene that is heard."""
    from v2a_foley.export.stems import cut_stem, write_stem

    gain = 10 ** (gain_db / 20)
    for scene, preset in zip(sheet.scenes, settings, strict=True):
        if not sheet.sounds(scene):
            continue
        audio, handle = treated_stem(sheet, scene, preset.mix)
        kept = handle if handover.handles else 0.0
        cut, piece = cut_stem(sheet, scene, handover.stem(scene), audio, handle, kept, clock)
        write_stem(sheet, cut, piece * gain, clock, overwrite=True)
        yield cut
