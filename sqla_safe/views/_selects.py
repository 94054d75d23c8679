"""What can be read of a user's SELECT only through names that SQLAlchemy does not document.

There is no public way to see which options a statement carries (they hold the loader criteria that
the statements of the levels below must keep), nor whether it groups or locks. All three are read
here and nowhere else, never written; a contract test runs on each supported version.
"""

from __future__ import annotations

from typing import Any


def options_of(statement: Any) -> tuple[Any, ...]:
    """Return the options of a SELECT, in their order."""
    return tuple(statement._with_options)  # noqa: SLF001


def is_grouped(statement: Any) -> bool:
    """Say whether a SELECT has a GROUP BY."""
    return bool(statement._group_by_clauses)  # noqa: SLF001


def is_locking(statement: Any) -> bool:
    """Say whether a SELECT is FOR UPDATE or FOR SHARE."""
    return statement._for_update_arg is not None  # noqa: SLF001
