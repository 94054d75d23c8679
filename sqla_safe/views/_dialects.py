"""What is kept for a dialect: on the dialect itself, since the functions of types can hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

KEPT = "_sqla_safe_views"
"""The attribute of a dialect."""


def kept_on(dialect: Dialect) -> WeakKeyDictionary[Any, Any]:
    """Return what a dialect keeps, by what it is for."""
    fresh: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
    kept: WeakKeyDictionary[Any, Any] = vars(dialect).setdefault(KEPT, fresh)
    return kept
