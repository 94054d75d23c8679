"""What happens when an entity is misused: where it came from, and what to write instead."""

from __future__ import annotations

from sqla_safe.guard._explanation import Explanation

__all__ = ["Explanation"]
