"""Libraries that only training and judging need, from the extra ``train``."""

from __future__ import annotations

from importlib.util import find_spec

from v2a_foley.errors import InputError


def require(*modules: str) -> None:
    """See that libraries are installed, before any work.

    Raises:
        InputError: one is not; says how to install it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise InputError(
                f"this needs {module}, which is not installed: pip install 'v2a-foley[train]'"
            )
