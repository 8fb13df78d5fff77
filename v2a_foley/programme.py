"""The programme: a sheet's stems through their strips, on one track, with the video's own sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from v2a_foley import provenance
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.errors import CueSheetError, InputError, MediaError
from v2a_foley.media.probe import MediaInfo
from v2a_foley.presets import Mix, Preset
from v2a_foley.progress import Progress
from v2a_foley.stems import stem_path

if TYPE_CHECKING:
    from v2a_foley.media.audio import Sound
    from v2a_foley.media.mix import Stem


def programme(
    sheet: CueSheet,
    settings: Sequence[Preset],
    mix: Mix,
    info: MediaInfo,
    *,
    audio_track: int,
    progress: Progress,
) -> Sound:
    """The whole track before it is levelled, float32 ``(samples, 2)``.

    ``settings`` are those of the scenes in their order, ``mix`` that of the whole track.

    Raises:
        MediaError: a stem or the video's own sound cannot be read.
    """
    from v2a_foley.media.mix import assemble

    heard = list(_heard(sheet, settings))
    crossfades = [preset.timing.crossfade for _, preset in heard[1:]]
    foley = assemble(_stems(sheet, heard), sheet.duration, crossfades)
    progress.stage("deliver", 0.3)
    return _with_original(foley, mix, info, audio_track, progress)


def check_stems(sheet: CueSheet) -> None:
    """See that every scene that is heard has its stem.

    Raises:
        CueSheetError: naming one that has not.
    """
    for scene in filter(sheet.sounds, sheet.scenes):
        if not stem_path(sheet, scene).is_file():
            raise CueSheetError(
                f"{stem_path(sheet, scene)}: the stem of scene {scene.id} is missing: run "
                f"'v2a-foley render {sheet.path}' first"
            )


def outdated(sheet: CueSheet) -> list[str]:
    """The scenes that are heard whose seed, bounds or pick are not those of their stem."""
    inputs = {each.get("scene"): each.get("inputs") for each in provenance.load(sheet.artefacts)}
    return [
        scene.id
        for scene in filter(sheet.sounds, sheet.scenes)
        if isinstance(made := inputs.get(scene.id), dict)
        and any(
            name in made and made[name] != getattr(scene, name)
            for name in ("seed", "start", "end", "pick")
        )
    ]


def check_track(mix: Mix, info: MediaInfo, audio_track: int) -> None:
    """See that the original track to mix with is there; a video without any needs none.

    Raises:
        InputError: there are tracks, but not this one.
    """
    if mix.mode != "replace" and info.audio and audio_track >= len(info.audio):
        raise InputError(f"{info.path}: has {len(info.audio)} audio tracks, none is {audio_track}")


def treated_stem(sheet: CueSheet, scene: Scene, mix: Mix) -> tuple[Sound, float]:
    """A scene's stem as it goes into the mix, and its handle in seconds.

    float32 at 48 kHz, ``(samples,)`` or ``(samples, channels)``: scene and handle on both sides.

    Raises:
        MediaError: it cannot be read, or does not fit its scene any more.
    """
    import soundfile

    from v2a_foley.media import strip
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
    handle = max(0.0, handle)
    return strip.apply(audio, mix, handle=handle), handle


def stem_gain_db(sheet: CueSheet, settings: Sequence[Preset], gain_db: float) -> float:
    """The gain that all stems bear together: ``gain_db``, or less where one would clip.

    In the programme its limiter keeps a stem from that, but it is nothing that stems carry.
    """
    from v2a_foley.media.meter import amplitude_db

    peaks = (
        float(abs(treated_stem(sheet, scene, preset.mix)[0]).max(initial=0.0))
        for scene, preset in _heard(sheet, settings)
    )
    return min(gain_db, -amplitude_db(max(peaks, default=0.0)))


def _heard(sheet: CueSheet, settings: Sequence[Preset]) -> Iterator[tuple[Scene, Preset]]:
    """The scenes that are heard, with their settings."""
    for scene, preset in zip(sheet.scenes, settings, strict=True):
        if sheet.sounds(scene):
            yield scene, preset


def _stems(sheet: CueSheet, heard: Sequence[tuple[Scene, Preset]]) -> Iterator[Stem]:
    """Read the scenes' stems one after the other."""
    from v2a_foley.media.mix import Stem

    for scene, preset in heard:
        audio, handle = treated_stem(sheet, scene, preset.mix)
        yield Stem(scene.start, min(scene.end, sheet.duration), audio, handle)


def _with_original(
    foley: Sound, mix: Mix, info: MediaInfo, audio_track: int, progress: Progress
) -> Sound:
    from v2a_foley.media.audio import read_audio, to_stereo
    from v2a_foley.media.mix import MixMode, combine, duck_under

    mode = MixMode(mix.mode)
    if mode is MixMode.REPLACE:
        return foley
    if not info.audio:
        progress.note(f"{info.path.name}: has no sound to mix with, the foley stands alone")
        return foley
    import numpy as np

    original = to_stereo(read_audio(info, track=audio_track))[: len(foley)]
    if spare := len(foley) - len(original):
        original = np.pad(original, ((0, spare), (0, 0)))
    if mode is MixMode.DUCK:
        return combine(foley, original, mode, duck=duck_under(foley, original, mix.duck_db))
    return combine(foley, original, mode)
