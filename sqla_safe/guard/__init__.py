"""What happens when an entity is misused: where it came from, and what to write instead."""

from __future__ import annotations

from sqla_safe.guard._explain import explain
from sqla_safe.guard._explanation import Explanation
from sqla_safe.guard._hooks import (
    ExplainFilter,
    explain_asyncio,
    explain_excepthook,
    explain_logging,
)
from sqla_safe.guard._install import Installation, install

__all__ = [
    "ExplainFilter",
    "Explanation",
    "Installation",
    "explain",
    "explain_asyncio",
    "explain_excepthook",
    "explain_logging",
    "install",
]
