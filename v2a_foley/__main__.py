"""``python -m v2a_foley`` is ``v2a-foley``."""

from __future__ import annotations

from v2a_foley.cli import main

if __name__ == "__main__":
    main()
