"""What can be read of a user's SELECT only through names that SQLAlchemy does not document.

There is no public way to see which options a statement carries (they hold the loader criteria that
the statements of the levels below must keep), nor whether it groups or locks, nor by what a
DISTINCT is sorted, nor what tells it from statements with other SQL, nor what a loader option says.
All of it is read here and nowhere else, never written; a contract test runs on each supported
version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy.sql import visitors

if TYPE_CHECKING:
    from collections.abc import Sequence


RAW_RESULT = {"_result_disable_adapt_to_context": True}
"""Execution options of a result that is never asked for a column by its expression."""


def options_of(statement: Any) -> tuple[Any, ...]:
    """Return the options of a SELECT, in their order."""
    return tuple(statement._with_options)  # noqa: SLF001


_LOADERS = {
    "selectin": "selectinload",
    "joined": "joinedload",
    "subquery": "subqueryload",
    "select": "lazyload",
    "immediate": "immediateload",
    "noload": "noload",
    "raise": "raiseload",
    "raise_on_sql": "raiseload",
}
_ATTRIBUTE = re.compile(r"(?:^|-> )(\w+\.\w+)")
_EVERY, _WILDCARD = "'*'", ":*]"


def loader_text(option: Any) -> str:
    """Return a loader option as it may have been written; its class, where nothing is known."""
    steps: list[tuple[str, str]] = []
    for element in getattr(option, "context", (option,)):
        step = _step(element)
        if step is None:
            return f"{type(option).__name__}(...)"
        steps.append(step)
        if step == ("defer", _EVERY):
            steps = _merged(steps)
    return ".".join(f"{name}({attribute})" for name, attribute in steps)


def _merged(steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What load_only() comes to is some attributes, and none of all others."""
    named: list[str] = []
    *steps, _ = steps
    while steps and steps[-1][0] == "undefer":
        named.insert(0, steps.pop()[1])
    return [*steps, ("load_only", ", ".join(named))]


def _step(element: Any) -> tuple[str, str] | None:
    """Return a function's name and its attribute."""
    path, options = str(getattr(element, "path", "")), getattr(element, "local_opts", {})
    [*_, name] = [_EVERY, *_ATTRIBUTE.findall(path)]
    name = _EVERY if path.endswith(_WILDCARD) else name
    strategy = getattr(element, "strategy", ((None, None),))
    if not strategy:
        return "defaultload", name
    [what, how] = strategy[0]
    if what == "deferred":
        return ("defer" if how else "undefer"), name
    if what == "query_expression":
        return "with_expression", f"{name}, ..."
    if what == "lazy" and how == "joined" and "eager_from_alias" in options:
        return "contains_eager", name
    return (_LOADERS[how], name) if what == "lazy" and how in _LOADERS else None


def shape_of(statement: Any) -> tuple[Any, Sequence[Any]] | None:
    """Return what tells a SELECT from all with other SQL, and its parameters; None if unknown."""
    generate = getattr(statement, "_generate_cache_key", _none)
    found = generate()
    if found is None or getattr(found, "params", None):  # values that its parameters do not hold
        return None
    return found.key, found.bindparams


def _none() -> None:
    """A SQLAlchemy that has another name for it."""


def is_grouped(statement: Any) -> bool:
    """Say whether a SELECT has a GROUP BY."""
    return bool(statement._group_by_clauses)  # noqa: SLF001


def is_locking(statement: Any) -> bool:
    """Say whether a SELECT is FOR UPDATE or FOR SHARE."""
    return statement._for_update_arg is not None  # noqa: SLF001


def sorting_names(statement: Any) -> set[str]:
    """Return the names, written as text, by which a SELECT is sorted."""
    clauses: tuple[Any, ...] = statement._order_by_clauses  # noqa: SLF001
    terms = [getattr(one, "element", None) for each in clauses for one in visitors.iterate(each)]
    return {one for one in terms if isinstance(one, str)}


def sorted_distinct(statement: Any) -> tuple[Any, ...]:
    """Return what a SELECT DISTINCT is sorted by, nothing for any other SELECT."""
    if not statement._distinct or statement._distinct_on:  # noqa: SLF001
        return ()
    return tuple(statement._order_by_clauses)  # noqa: SLF001
