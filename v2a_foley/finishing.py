"""The finished file: the programme at its level, muxed with the picture, and measured in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley.media.files import scratch
from v2a_foley.media.probe import MediaInfo
from v2a_foley.presets import Mix
from v2a_foley.progress import Progress

if TYPE_CHECKING:
    from v2a_foley.media.audio import Sound
    from v2a_foley.media.loudness import LoudnessReport
    from v2a_foley.media.meter import Loudness

TRIES = 4  # times that a lossy coder's peaks are met by coding again
NEAR = 0.35  # LU a coder may change the loudness by


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished file's sound.

    ``audio`` is the programme as it was given to the coder, float32 ``(samples, 2)``;
    ``levelling`` what was done to get it there; ``loudness`` is measured in the file, decoded.
    """

    audio: Sound = field(repr=False)
    levelling: LoudnessReport
    loudness: Loudness


def finish(
    mixed: Sound,
    mix: Mix,
    info: MediaInfo,
    output: Path,
    *,
    keep_original: bool,
    metadata: Mapping[str, str],
    overwrite: bool,
    progress: Progress,
) -> Finished:
    """Bring ``mixed`` to its loudness under its true peak, and write it with the picture.

    Lossy coders raise peaks and change the loudness a little, by how much only the decoded file
    tells: where it exceeds the limit or misses the target, the sound is levelled anew by what it
    is off, and coded again before the file gets its name.

    Raises:
        InputError: the output must not be written.
        MediaError: it cannot be written, or does not match its source.
    """
    from v2a_foley.media.mux import mux

    progress.stage("deliver", 0.5)
    with scratch(output, ".wav") as wav:
        level = _Level(mixed, mix, wav, output)
        muxed = mux(
            info, wav, output, keep_original=keep_original, metadata=metadata,
            accept=level.accept, overwrite=overwrite,
            progress=lambda done: progress.stage(
                "deliver", 0.6 + 0.4 * min(1.0, done / info.duration)
            ),
        )  # fmt: skip
    for what in muxed.dropped:
        progress.note(f"{output.name}: {what}")
    assert level.loudness is not None  # no file gets its name without
    if note := level.note():
        progress.note(note)
    return Finished(level.audio, level.report, level.loudness)


class _Level:
    """The programme's WAV, levelled so that the file made from it has the level asked for."""

    def __init__(self, mixed: Sound, mix: Mix, wav: Path, output: Path) -> None:
        self.mixed, self.mix, self.wav, self.output = mixed, mix, wav, output
        self.target, self.limit = mix.loudness, mix.true_peak
        self.tries = TRIES
        self.loudness: Loudness | None = None
        self._write()
        self.missed = self.report.note  # why the target cannot be met, in the user's numbers

    def _write(self) -> None:
        from v2a_foley.media.audio import fill_wav
        from v2a_foley.media.loudness import normalise

        self.audio, self.report = normalise(self.mixed, self.target, self.limit)
        fill_wav(self.wav, self.audio, subject=self.output)

    def accept(self, result: MediaInfo) -> bool:
        """Measure the written file; where it is off, write the WAV anew by that much lower."""
        from v2a_foley.media.audio import audio_blocks
        from v2a_foley.media.loudness import HEADROOM
        from v2a_foley.media.meter import measure

        self.loudness = measure(audio_blocks(result))
        over = self.loudness.true_peak - self.mix.true_peak
        off = self._off()
        if (over <= 0 and abs(off) <= NEAR) or not self.tries:
            return True
        self.tries -= 1
        if over > 0:
            self.limit -= over + HEADROOM
        if self.target is not None and abs(off) > NEAR:
            self.target -= off
        self._write()
        return False

    def _off(self) -> float:
        """LU by which the file misses a target that it could have met."""
        assert self.loudness is not None
        reached = self.loudness.integrated
        if self.mix.loudness is None or self.missed or not math.isfinite(reached):
            return 0.0
        return reached - self.mix.loudness

    def note(self) -> str:
        """Why the file is not as asked for; empty where it is."""
        assert self.loudness is not None
        over = self.loudness.true_peak - self.mix.true_peak
        if over > 0:
            return f"its coder raises the true peak {over:.1f} dB over the limit; try .mkv or .mov"
        return self.missed
