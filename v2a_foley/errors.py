"""The one exception family. Every message names the file, what is wrong and what to do."""

from __future__ import annotations


class FoleyError(Exception):
    """Base of every error a user can cause; ``str(error)`` is shown as it is.

    ``exit_code`` follows the command line's contract: 1 when work had begun and failed,
    2 when the input or the usage was bad before any work.
    """

    exit_code = 1


class InputError(FoleyError):
    """Bad input or usage, found before any work began."""

    exit_code = 2


class MediaError(FoleyError):
    """A media file that cannot be decoded, filtered or written."""


class DiskFullError(MediaError):
    """A disk with no room left: whatever else is to be written will fail too."""


class CueSheetError(InputError):
    """A cue sheet that does not parse or does not make sense."""


class PresetError(InputError):
    """A preset that is unknown or does not follow the schema."""


class ModelError(InputError):
    """A model pack, checkpoint or mapper that is missing, damaged or does not fit."""
