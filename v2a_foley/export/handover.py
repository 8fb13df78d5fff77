"""What is handed over beside the finished video."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley.cuesheet import Scene
from v2a_foley.errors import InputError
from v2a_foley.media.files import check_output, named

if TYPE_CHECKING:
    from v2a_foley.media.probe import MediaInfo

TRACK = "track.wav"  # the whole programme, among the delivered stems
TIMELINES = (".otio", ".xml", ".fcpxml", ".edl")


@dataclass(frozen=True, slots=True)
class HandOver:
    """The files to write beside the finished video.

    ``stems`` is a folder; ``handles``: whether stems keep what they have beyond their scene.
    ``timelines`` place the stems, each in the format of its suffix. ``sidecar`` is a JSON file.
    """

    stems: Path | None = None
    handles: bool = False
    timelines: tuple[Path, ...] = ()
    sidecar: Path | None = None

    def stem(self, scene: Scene) -> Path:
        """A scene's file in the folder of the stems."""
        assert self.stems is not None
        return self.stems / f"{scene.id}.wav"

    @property
    def track(self) -> Path | None:
        """The whole programme's file, where stems are wanted."""
        return None if self.stems is None else self.stems / TRACK

    def files(self, scenes: Iterable[Scene]) -> list[Path]:
        """All that will be written for these scenes: stems, track, timelines, sidecar."""
        stems = [] if self.stems is None else [self.stem(scene) for scene in scenes]
        single = [path for path in (self.track, self.sidecar) if path is not None]
        return [*stems, *self.timelines, *single]

    def check(
        self,
        output: Path,
        info: MediaInfo,
        inputs: Collection[Path],
        scenes: Iterable[Scene] = (),
        *,
        overwrite: bool,
    ) -> None:
        """Refuse what does not go together, or must not be written, beside ``output``.

        ``scenes`` may be left out where they are not known yet.

        Raises:
            InputError: a timeline or handles without stems, an unknown suffix, one name twice,
                or as in :func:`check_output`.
        """
        from v2a_foley.export.timecode import check_rate

        self._check_options()
        files = [output, *self.files(scenes)]
        check_names(files)
        for path in files:
            check_output(path, inputs, overwrite=overwrite)
        for path in self.timelines:
            if path.suffix.lower() == ".edl":
                check_rate(info.rate, path)

    def _check_options(self) -> None:
        for path in self.timelines:
            if path.suffix.lower() not in TIMELINES:
                known = ", ".join(TIMELINES)
                raise InputError(f"{named(path)}: no timeline has this suffix; use {known}")
            if self.stems is None:
                raise InputError(
                    f"{named(path)}: a timeline places stems; say with --stems where they go"
                )
        if self.handles and self.stems is None:
            raise InputError("--handles: only stems have handles; say with --stems where they go")


def check_names(paths: Iterable[Path]) -> None:
    """Refuse two outputs of one name.

    Raises:
        InputError: naming the file that would be written twice.
    """
    seen: set[str] = set()
    for path in paths:
        # names that differ only by case are one file on some systems
        name = os.path.normcase(path.resolve()).lower()
        if name in seen:
            raise InputError(f"{named(path)}: would be written twice; choose another name")
        seen.add(name)
