"""The command line: it parses, calls the library and prints. The library never imports it."""

from __future__ import annotations

from v2a_foley.cli.app import app, main

__all__ = ["app", "main"]
