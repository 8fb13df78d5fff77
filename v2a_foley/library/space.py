"""Where the sounds of one CLAP are kept: embeddings of another are of no use to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from v2a_foley.errors import ModelError
from v2a_foley.models.packs import Pack, data_dir, sha256


def index_folder(pack: Pack) -> Path:
    """The folder of the index for ``pack``'s CLAP; it need not be there yet.

    Its name depends on the audio tower's files alone: packs with one tower share an index, and
    another mapper changes nothing.

    Raises ModelError when the pack has no audio tower.
    """
    tower = pack.clap_audio
    if tower is None:
        raise ModelError(
            f"model pack '{pack.name}' has no CLAP audio tower, so it cannot compare sounds: make "
            "a pack that has one from the original checkpoint (v2a-foley models convert "
            "audioldm-s-full-v2.ckpt --pack foundation -o foundation-ranked), then use "
            "--models foundation-ranked"
        )
    digests = []
    for path in sorted(tower.rglob("*")):
        if path.is_file():
            listed = pack.files.get(path.relative_to(pack.folder).as_posix())
            digests.append((path.relative_to(tower).as_posix(), listed or sha256(path)))
    return (
        data_dir() / "library" / f"clap-{hashlib.sha256(repr(digests).encode()).hexdigest()[:12]}"
    )
