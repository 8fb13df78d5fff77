"""Commands run by a user whom the modes of files and folders bind, also where the tests are root's.

Root without these two capabilities owns the tests' files and can start Python, but may not pass
over their modes; another user could not even enter the tests' folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_SETPRIV = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def bound() -> list[str]:
    """What to put before a command; skips the test where root cannot be bound."""
    if os.name != "posix":
        pytest.skip("modes bind nobody here")
    if os.geteuid() != 0:
        return []
    if shutil.which(_SETPRIV[0]) is None or subprocess.run([*_SETPRIV, "true"]).returncode:
        pytest.skip("root may read and write everything, and setpriv cannot stop that")
    return list(_SETPRIV)
