"""``python -m sqla_safe.checker PATHS`` is ``sqla-safe check PATHS``."""

from __future__ import annotations

import sys

from sqla_safe.checker.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["check"]
    sys.exit(main())
