"""Which rules apply: selectors are codes, their beginnings, and ``ALL``, as in ruff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker._problems import unknown
from sqla_safe.checker.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL: Final = "ALL"


def problems(selectors: Iterable[str], where: str) -> list[str]:
    """Name the selectors that select nothing."""
    return [
        f"{where}: {unknown('rule', selector, (ALL, *RULES))}"
        for selector in selectors
        if not any(_length(selector, code) for code in RULES)
    ]


def selected(select: Iterable[str], ignore: Iterable[str]) -> frozenset[str]:
    """Return the codes that apply: the longer selector wins, and ignoring wins a draw."""
    chosen, dropped = tuple(select), tuple(ignore)
    return frozenset(code for code in RULES if _best(chosen, code) > _best(dropped, code))


def matching(selectors: Iterable[str]) -> frozenset[str]:
    """Return the codes that a list of selectors names."""
    return selected(selectors, ())


def _best(selectors: tuple[str, ...], code: str) -> int:
    return max((_length(selector, code) for selector in selectors), default=0)


def _length(selector: str, code: str) -> int:
    """Return how closely a selector names a code; 0 is not at all."""
    if selector == ALL:
        return 1
    return 1 + len(selector) if selector and code.startswith(selector) else 0
