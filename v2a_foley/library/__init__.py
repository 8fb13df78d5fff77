"""Sound libraries: a user's own recordings, indexed by CLAP, as a source of sound."""

from v2a_foley.library.searching import Library, open_library

__all__ = ["Library", "open_library"]
