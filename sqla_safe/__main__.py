"""``python -m sqla_safe`` is ``sqla-safe``."""

from __future__ import annotations

import sys

from sqla_safe.checker.cli import main

if __name__ == "__main__":
    sys.exit(main())
