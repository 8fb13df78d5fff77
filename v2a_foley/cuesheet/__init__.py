"""The cue sheet: the document that ties spot, render and deliver together.

A cue sheet is a TOML file that a sound editor may change by hand at any stage. It lists a video's
scenes with what each seems to show and how each is to sound. Time between scenes that no scene
covers stays silent. Writing over an existing sheet changes only what differs: comments, order and
the form of all else survive. `v2a_foley.cuesheet.editing` has the changes that programs make.
"""

from __future__ import annotations

from v2a_foley.cuesheet.document import (
    END_TOLERANCE,
    MAX_SEED,
    VERSION,
    CueSheet,
    Scene,
    Setting,
    derive_seed,
    differing,
    resolve,
    tuned,
)
from v2a_foley.cuesheet.reading import load, loads
from v2a_foley.cuesheet.selection import scene_of, select
from v2a_foley.cuesheet.video import fingerprint, located
from v2a_foley.cuesheet.writing import dumps, save

__all__ = [
    "END_TOLERANCE", "MAX_SEED", "VERSION", "CueSheet", "Scene", "Setting", "derive_seed",
    "differing", "dumps", "fingerprint", "load", "loads", "located", "resolve", "save", "scene_of",
    "select", "tuned",
]  # fmt: skip
