"""The rules, one module per family; `RULES` has them by code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker.rules import (
    after_end,
    concurrent,
    expired,
    lazy,
    loops,
    moved,
    stored,
)

if TYPE_CHECKING:
    from sqla_safe.checker.rules._rule import Rule

_FAMILIES = (after_end, lazy, expired, stored, concurrent, moved, loops)

RULES: Final[dict[str, Rule]] = {rule.code: rule for family in _FAMILIES for rule in family.RULES}
"""Every rule by its code, in the order of the codes."""
