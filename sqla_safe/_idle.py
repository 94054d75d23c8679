"""Warn when a transaction is left open over a slow call."""

from __future__ import annotations

import warnings
from time import monotonic
from typing import TYPE_CHECKING

from sqla_safe.errors import IdleInTransactionWarning

if TYPE_CHECKING:
    from sqla_safe._locations import Place

_INSTEAD = {
    "scope": "End the block, or call scope.commit(), before a slow call",
    "session": "Commit, or end the block, before a slow call",
}


class IdleWatch:
    """Measures the pauses between a session's operations."""

    __slots__ = ("_limit", "_opened_at", "_since", "_what")

    def __init__(self, limit: float, opened_at: Place | str, what: str = "scope") -> None:
        self._limit = limit
        self._opened_at = opened_at
        self._since: float | None = None
        self._what = what

    def rest(self) -> None:
        """An operation has ended: the transaction is idle from now on."""
        self._since = monotonic()

    def check(self, what_came: str) -> None:
        """The next operation begins, or the scope ends: warn if the pause was long."""
        if self._since is None:
            return
        pause = monotonic() - self._since
        if pause < self._limit:
            return
        warnings.warn(
            f"The {self._what} opened at {self._opened_at} held its transaction and connection "
            f"idle for {pause:.1f} s before {what_came}. {_INSTEAD[self._what]} "
            f"[{IdleInTransactionWarning.code}]",
            IdleInTransactionWarning,
            stacklevel=2,
        )
