"""``python -m sqla_safe.checker PATHS`` is ``sqla-safe check PATHS``."""

from __future__ import annotations

import sys

from sqla_safe.checker.cli import run

if __name__ == "__main__":
    sys.exit(run(["check", *sys.argv[1:]]))
