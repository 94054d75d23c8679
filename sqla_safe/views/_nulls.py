"""Whether NULL stays None: a type or an expression can make a value of it.

In a row of an outer join that found nothing such a value would stand for what is not there. There
is no public way to see the variants of a type; they are read here and nowhere else, and a contract
test runs on each supported version.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql.schema import Column


def keeps_null(expression: Any) -> bool:
    """Say whether NULL is sure to come as None: in a plain column of one of SQLAlchemy's types."""
    if hasattr(expression, "__clause_element__"):
        expression = expression.__clause_element__()
    kinds = [expression.type, *variants_of(expression.type)]
    return isinstance(expression, Column) and all(map(_is_builtin, kinds))


def variants_of(kind: Any) -> list[Any]:
    """Return the types that take a type's place on some databases."""
    return list(getattr(kind, "_variant_mapping", {}).values())


def _is_builtin(kind: Any) -> bool:
    return type(kind).__module__.startswith("sqlalchemy.")
