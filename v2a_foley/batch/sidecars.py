"""What folders and single clips state for themselves, in TOML files among the clips.

``v2a-foley.toml`` holds for the clips of its folder and of those below it, ``clip.foley.toml``
for ``clip.mp4`` beside it. Both may state ``preset``, ``seed`` and the sections of a preset. The
nearer file wins, key by key; the command line wins over both. ``clip.cues.toml`` is a cue sheet:
its scenes, presets and seeds are used, and the other files hold where it states nothing.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from v2a_foley import presets
from v2a_foley.cuesheet import MAX_SEED
from v2a_foley.errors import PresetError
from v2a_foley.presets import Overrides
from v2a_foley.tomltext import TomlText, Value

FOLDER_FILE = "v2a-foley.toml"
CLIP_FILE = ".foley.toml"
CUE_SHEET = ".cues.toml"
FILES = ("reference", "mapper")  # keys of generation that may name a file


@dataclass(frozen=True, slots=True)
class Stated:
    """Preset, seed and settings that hold for a clip; None and nothing where none is stated."""

    preset: str | None = None
    seed: int | None = None
    settings: Overrides = field(default_factory=dict)

    def under(self, nearer: Stated) -> Stated:
        """This with what ``nearer`` states laid over it."""
        return Stated(
            self.preset if nearer.preset is None else nearer.preset,
            self.seed if nearer.seed is None else nearer.seed,
            presets.merge(self.settings, nearer.settings),
        )


def read(path: Path) -> Stated:
    """Read one of the files; a preset and a reference by path are relative to it.

    Raises:
        PresetError: naming file, line, key and what is allowed.
    """
    document = TomlText.read(path, PresetError)
    table = document.parse()
    document.reject_unknown(table, ("preset", "seed", *presets.SETTINGS), ())
    preset = document.take(table, (), "preset", str, None)
    if preset is not None:
        preset = str(path.parent.absolute() / preset) if preset.endswith(".toml") else preset
        try:
            presets.find(preset)
        except PresetError as problem:
            raise document.fail(("preset",), f"cannot be used: {problem}") from problem
    seed = document.take(table, (), "seed", int, None)
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise document.fail(("seed",), f"must be from 0 to {MAX_SEED}, not {seed}")
    return Stated(preset, seed, anywhere(presets.settings(document, table), path.parent))


def anywhere(settings: Overrides, folder: Path) -> dict[str, dict[str, Value]]:
    """Settings whose files, stated relative to a folder, are found from anywhere."""
    made = {section: dict(values) for section, values in settings.items()}
    for key in FILES:
        name = str(made.get("generation", {}).get(key) or "")
        if _is_file(key, name):
            made["generation"][key] = str((folder / name).absolute())
    return made


def files_of(settings: Overrides) -> list[str]:
    """The files that settings name."""
    names = [(key, str(settings.get("generation", {}).get(key) or "")) for key in FILES]
    return [name for key, name in names if _is_file(key, name)]


def _is_file(key: str, name: str) -> bool:
    return bool(name) and (key != "mapper" or name.endswith(".safetensors"))


class Sidecars:
    """Reads each folder's file once."""

    def __init__(self, command_line: Stated) -> None:
        self._command_line = command_line
        self._folders: dict[tuple[Path, Path], Stated] = {}

    def folder(self, folder: Path, root: Path) -> Stated:
        """What the folders from ``root`` down to ``folder`` state."""
        known = self._folders.get((folder, root))
        if known is None:
            above = Stated() if folder == root else self.folder(folder.parent, root)
            path = folder / FOLDER_FILE
            known = above.under(read(path)) if path.is_file() else above
            self._folders[folder, root] = known
        return known

    def clip(self, video: Path, root: Path, beside: Set[str]) -> tuple[Stated, Path | None]:
        """What holds for a clip, and its cue sheet; ``beside`` are the names in its folder."""
        stated = self.folder(video.parent, root)
        if video.stem + CLIP_FILE in beside:
            stated = stated.under(read(video.with_name(video.stem + CLIP_FILE)))
        name = video.stem + CUE_SHEET
        sheet = video.with_name(name) if name in beside else None
        return stated.under(self._command_line), sheet
