"""What a worker is told: once what holds for the whole batch, then file by file.

All fields are plain values, so that both travel to another process as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models
    from v2a_foley.spotting import SpotSettings


@dataclass(frozen=True, slots=True)
class Job:
    """What holds for all files; ``overrides`` are the command line's."""

    pack: str
    mapper: str | None = None
    device: str = "auto"
    overrides: dict[str, Any] = field(default_factory=dict)
    spotting: dict[str, Any] = field(default_factory=dict)
    audio_track: int = 0
    keep_original: bool = False

    def models(self) -> Models:
        """The models, none loaded yet."""
        from v2a_foley.models.bundle import Models

        return Models(self.pack, self.device, Path(self.mapper) if self.mapper else None)

    def spot_settings(self) -> SpotSettings:
        """How scenes are found."""
        from v2a_foley.spotting import SpotSettings

        return SpotSettings(**self.spotting)


@dataclass(frozen=True, slots=True)
class Task:
    """One file to make; ``key`` is its output's path below the output folder, with slashes.

    ``folder`` is where a worker may write: the finished file is ``folder/made<suffix>``.
    ``sheet`` is the clip's own cue sheet; ``settings`` hold where the sheet states nothing.
    """

    key: str
    video: str
    folder: str
    suffix: str
    sheet: str | None = None
    preset: str | None = None
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def made(self) -> Path:
        """The finished file, before it gets its name."""
        return Path(self.folder) / f"made{self.suffix}"
