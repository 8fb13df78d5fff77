"""Model packs: a folder with ``pack.toml`` that names CLIP, CLAP, the generator and mappers."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2a_foley.errors import ModelError

MANIFEST = "pack.toml"
STARTER = Path(__file__).parents[1] / "starter" / "pack"
SHIPPED = ("starter", "foundation")
BLENDED = "regression"  # the trained mapper that the blend joins with the bridge


@dataclass(frozen=True, slots=True)
class Pack:
    """One model pack. Paths are absolute; seconds are of audio.

    ``files`` maps each file's path below ``folder`` to its SHA-256 (empty where a pack was
    made by hand and has no checksums). ``id`` changes whenever a file changes.
    ``recordings``: real sounds that generation may start from, where the pack has some.
    ``mapper`` is the usual one of :attr:`mapper_names`; ``mappers`` are files by name.
    ``clip_spread``: how much wider than OpenAI's CLIP this one's cosines spread; the bridge's
    temperature is given for OpenAI's.
    ``channels_last``: the denoiser is faster so on a CPU (small ones are, AudioLDM's is not).
    """

    name: str
    version: str
    description: str
    folder: Path
    commercial: bool
    licences: tuple[tuple[str, str], ...]
    clip: Path
    clip_id: str
    clip_prompts: tuple[str, ...]
    clip_spread: float
    clap_audio: Path | None
    generator: Path
    window: float
    bucket: float
    channels_last: bool
    recordings: Path | None
    mapper: str
    mappers: dict[str, Path]
    revisions: dict[str, str]
    files: dict[str, str]

    @property
    def id(self) -> str:
        """Name, version and a short hash over the manifest's checksums."""
        text = repr(sorted(self.files.items())) + repr(sorted(self.revisions.items()))
        return f"{self.name}-{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def mapper_names(self) -> tuple[str, ...]:
        """The mappers that need no file of the user's."""
        return _mapper_names(self.mappers)


def data_dir() -> Path:
    """Where fetched packs are kept (``V2A_FOLEY_DATA_DIR``, else the user's data folder)."""
    import platformdirs

    override = os.environ.get("V2A_FOLEY_DATA_DIR")
    return Path(override) if override else platformdirs.user_data_path("v2a-foley")


def foundation_dir() -> Path:
    """The folder that ``models pull foundation`` fills."""
    return data_dir() / "packs" / "foundation"


def available() -> dict[str, Path]:
    """Names and folders of the packs that are on this machine."""
    found = {"starter": STARTER, "foundation": foundation_dir()}
    others = data_dir() / "packs"
    if others.is_dir():
        found |= {p.name: p for p in sorted(others.iterdir()) if p.name not in found}
    return {name: path for name, path in found.items() if (path / MANIFEST).is_file()}


def find(name: str = "auto") -> Pack:
    """Load the pack ``name``: ``auto``, a pack's name, or a folder that holds ``pack.toml``.

    ``auto`` is ``foundation`` if it is on this machine, else ``starter``.
    Raises ModelError when there is no such pack or it lacks a file.
    """
    packs = available()
    if name == "auto":
        return load(packs.get("foundation", STARTER))
    if name in packs:
        return load(packs[name])
    folder = Path(name).expanduser()
    if (folder / MANIFEST).is_file():
        return load(folder)
    if name == "foundation":
        raise ModelError(
            "the foundation pack is not on this machine: fetch it with "
            "'v2a-foley models pull foundation', or on an offline machine copy a fetched pack "
            f"to {foundation_dir()} (or name its folder: --models FOLDER)"
        )
    known = ", ".join(packs)
    raise ModelError(
        f"unknown model pack '{name}': choose auto, {known}, or a folder with {MANIFEST}"
    )


def load(folder: Path) -> Pack:
    """Read ``folder/pack.toml`` and see that every file it lists exists."""
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
        pack = _parse(table, folder.resolve())
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; a model pack holds a {MANIFEST}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not valid TOML ({error}); install the pack again") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}): change its mode") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: missing or wrong entry {error}; install the pack again"
        ) from None
    missing = [file for file in pack.files if not (pack.folder / file).is_file()]
    missing += [part.name for part in (pack.clip, pack.generator) if not part.is_dir()]
    if missing:
        raise ModelError(
            f"model pack '{pack.name}' at {folder} lacks {missing[0]}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}: install it again"
        )
    return pack


def _parse(table: dict[str, Any], folder: Path) -> Pack:
    pack, clip, generator = (table[k] for k in ("pack", "clip", "generator"))
    clap, mapper = table.get("clap", {}), table.get("mapper", {})

    def inside(value: str) -> Path:
        path = (folder / value).resolve()
        if not path.is_relative_to(folder):
            raise ValueError(f"'{value}' (a path that leaves the pack)")
        return path

    files = {str(k): str(v) for k, v in table.get("files", {}).items()}
    for file in files:
        inside(file)
    return Pack(
        name=str(pack["name"]),
        version=str(pack["version"]),
        description=str(pack["description"]),
        folder=folder,
        commercial=bool(pack["commercial"]),
        licences=tuple((str(k), str(v)) for k, v in table["licences"].items()),
        clip=inside(clip["path"]),
        clip_id=str(clip["id"]),
        clip_prompts=tuple(str(p) for p in clip["prompts"]),
        clip_spread=float(clip.get("spread", 1.0)),
        clap_audio=inside(clap["audio"]) if "audio" in clap else None,
        generator=inside(generator["path"]),
        window=float(generator["window"]),
        bucket=float(generator["bucket"]),
        channels_last=bool(generator.get("channels_last", False)),
        recordings=inside(table["recordings"]["path"]) if "recordings" in table else None,
        mapper=_default_mapper(mapper),
        mappers={str(k): inside(v) for k, v in mapper.items() if k != "default"},
        revisions={str(k): str(v) for k, v in table.get("revisions", {}).items()},
        files=files,
    )


def _mapper_names(files: Collection[str]) -> tuple[str, ...]:
    blend = ("blend",) if BLENDED in files else ()
    return ("bridge", *blend, *(name for name in files if name != "default"))


def _default_mapper(table: dict[str, Any]) -> str:
    name = str(table.get("default", "bridge"))
    if name not in _mapper_names(table):
        raise ValueError(f"'{name}' (a default mapper that is not listed)")
    return name


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(pack: Pack) -> Iterator[tuple[str, bool]]:
    """Compare each file with its checksum in the manifest; yields (file, as it should be)."""
    for file, digest in pack.files.items():
        yield file, sha256(pack.folder / file) == digest


def require_intact(pack: Pack, prefix: str) -> None:
    """Raise ModelError when a file under ``prefix`` differs from its checksum.

    Called by each loader for its own part, so that an altered pack never runs and an unused
    part costs nothing.
    """
    for file, digest in pack.files.items():
        if file.startswith(prefix) and sha256(pack.folder / file) != digest:
            raise ModelError(
                f"model pack '{pack.name}': {pack.folder / file} is damaged or was changed "
                "(its checksum is not the manifest's): install the pack again"
            )
