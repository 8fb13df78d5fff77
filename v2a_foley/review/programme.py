"""The programme as deliver would mix and level it, without writing a file."""

from __future__ import annotations

from v2a_foley.cuesheet import CueSheet, resolve
from v2a_foley.media.audio import Sound
from v2a_foley.media.loudness import normalise
from v2a_foley.media.probe import probe
from v2a_foley.programme import check_stems
from v2a_foley.programme import programme as mixed
from v2a_foley.progress import SILENT


def programme(sheet: CueSheet) -> Sound:
    """The whole track of ``sheet`` at its loudness, float32 ``(samples, 2)`` at 48 kHz.

    Raises:
        CueSheetError: a stem is missing.
        FoleyError: the video is missing, or it or a stem cannot be decoded.
    """
    check_stems(sheet)
    info = probe(sheet.video)
    mix = resolve(sheet, None).mix
    settings = [resolve(sheet, scene) for scene in sheet.scenes]
    sound = mixed(sheet, settings, mix, info, audio_track=0, progress=SILENT)
    return normalise(sound, mix.loudness, mix.true_peak)[0]
