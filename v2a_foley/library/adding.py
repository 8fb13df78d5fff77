"""Adds folders of sounds to the index, brings them up to date, and forgets them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from v2a_foley.errors import InputError
from v2a_foley.library.index import Index, exists
from v2a_foley.library.records import Folder
from v2a_foley.library.scanning import resolved, scan
from v2a_foley.library.space import index_folder
from v2a_foley.library.updating import Report, update
from v2a_foley.media.files import named
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    from v2a_foley.models.bundle import Models
    from v2a_foley.models.packs import Pack


def add(
    folders: Sequence[Path],
    *,
    models: Models,
    name: str | None = None,
    licence: str | None = None,
    progress: Progress = SILENT,
) -> Report:
    """Index ``folders`` and all below them, or bring them up to date where they were added before.

    ``name`` is one folder's in credits (else its own); ``licence`` is stated for all its files
    and is remembered; an empty one takes back what was stated.

    Raises InputError before any work when a folder is not there, holds no sounds, overlaps with
    one that was added or has its name; ModelError when the pack cannot embed sounds.
    """
    place = index_folder(models.pack)
    paths = list(dict.fromkeys(map(resolved, folders)))
    if name is not None and (len(paths) > 1 or not name.strip()):
        raise InputError("a name is for one folder, and not empty: add the others on their own")
    known: list[Folder] = []
    if exists(place):
        with Index(place) as index:
            known = index.folders()
    wanted = [_wanted(path, known, name, licence) for path in paths]
    for number, (path, own, _) in enumerate(wanted):
        others = [*known, *(Folder(0, *each) for each in wanted[:number])]
        _require_apart(path, own, others)
        if path not in {each.path for each in known} and not scan(path).paths:
            raise InputError(f"{named(path)}: holds no sound files; name another folder")
    dim = 0 if known else models.clap.fingerprint().shape[1]
    with Index.create(place, dim, pack=models.pack.id) as index:
        chosen = [index.put_folder(*each) for each in wanted]
        return update(index, chosen, models, progress)


def _wanted(
    path: Path, known: Sequence[Folder], name: str | None, licence: str | None
) -> tuple[Path, str, str]:
    before = next((each for each in known if each.path == path), None)
    usual = (before.name, before.licence) if before else (path.name or str(path), "")
    return path, (name or usual[0]).strip(), usual[1] if licence is None else licence.strip()


def _require_apart(path: Path, name: str, others: Sequence[Folder]) -> None:
    for other in others:
        if other.path == path:
            continue
        if path.is_relative_to(other.path) or other.path.is_relative_to(path):
            raise InputError(
                f"{named(path)}: overlaps with {named(other.path)}, the library '{other.name}': "
                "refresh that, or remove it first"
            )
        if other.name == name:
            raise InputError(
                f"{named(path)}: a library '{name}' is there already ({named(other.path)}): give "
                "this one another name (--name)"
            )


def refresh(names: Sequence[str], *, models: Models, progress: Progress = SILENT) -> Report:
    """Bring libraries up to date with their folders: those named, or all. See :func:`add`."""
    with Index(index_folder(models.pack)) as index:
        chosen = list(dict.fromkeys(find(index, name) for name in names)) or index.folders()
        return update(index, chosen, models, progress)


def remove(names: Sequence[str], pack: Pack) -> list[Folder]:
    """Forget libraries, by name or folder; the sounds themselves are left alone."""
    with Index(index_folder(pack)) as index:
        chosen = list(dict.fromkeys(find(index, name) for name in names))
        for folder in chosen:
            index.drop_folder(folder)
        return chosen


def find(index: Index, name: str) -> Folder:
    """A library by its name or its folder. Raises InputError when there is none."""
    known = index.folders()
    path = Path(name).expanduser().resolve()
    found = next((each for each in known if each.name == name or each.path == path), None)
    if found is None:
        names = ", ".join(each.name for each in known) or "none was added"
        raise InputError(f"there is no sound library '{name}': {names}")
    return found
