"""Whether a field's type can hold what a column gives."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from sqlalchemy import JSON, Enum
from sqlalchemy.types import TypeDecorator

from sqla_safe.views._hints import type_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

    from sqla_safe.views._targets import Field

_PROMOTED = {float: (int,), complex: (int, float)}
"""What type checkers accept in place of these."""
_READ_FROM: dict[type, tuple[type, ...]] = {
    int: (float, decimal.Decimal, str, bool),
    float: (int, decimal.Decimal, str, bool),
    bool: (int, str, float),
    decimal.Decimal: (int, float, str),
    str: (bytes,),
    bytes: (str,),
    dt.datetime: (str, int, float, dt.date),
    dt.date: (str, int, float, dt.datetime),
    dt.time: (str, int, float),
    dt.timedelta: (str, int, float),
    uuid.UUID: (str, bytes),
}
"""What pydantic reads these types from; types that are not named here are its own affair."""


def is_nullable(mapper: Mapper[Any], key: str) -> bool:
    """Say whether a mapped column can be NULL; unknown for an expression, and then taken for no."""
    columns: Any = mapper.column_attrs[key].columns
    return bool(getattr(columns[0], "nullable", False))  # the others are equal, and not read


def problem_of(
    one: Field, where: str, what: str, sample: Any, *, nullable: bool, is_element: bool = False
) -> str | None:
    """Say why a field cannot hold an expression's values, None if it can."""
    kind = _python_type(sample.type)
    return class_problem(one, where, what, kind, nullable=nullable, is_element=is_element)


def class_problem(
    one: Field, where: str, what: str, kind: Any, *, nullable: bool, is_element: bool = False
) -> str | None:
    """Say why a field cannot hold values of a class (None: of any), None if it can."""
    if one.converts:
        return None
    text = type_name(kind) if kind is not None else one.hint.text
    name = where.rsplit(".", maxsplit=1)[-1]
    start = f"{where} {'holds' if is_element else 'is'} {one.hint.text}, but"
    if kind is not None and not any(_holds(member, kind, one) for member in one.hint.members):
        wanted = f"{text} | None" if nullable else text
        return f"{start} {what} {text}: {_repair(name, wanted, is_element)}"
    if nullable and not takes_none(one):
        wanted = f"{one.hint.text} | None"
        return f"{start} {what.removesuffix(' holds')} can be NULL: " + _repair(
            name, wanted, is_element
        )
    return None


def _repair(name: str, wanted: str, is_element: bool) -> str:  # noqa: FBT001
    return f"write {wanted} in the type of {name}" if is_element else f"write {name}: {wanted}"


def takes_none(one: Field) -> bool:
    """Say whether a field can hold None, as far as anybody knows."""
    return (
        one.converts
        or one.hint.is_optional
        or any(
            member is Any or member is object or isinstance(member, TypeVar)
            for member in one.hint.members
        )
    )


def _python_type(kind: Any) -> Any:
    """Return the class of a column's values, None where nobody can say."""
    if isinstance(kind, TypeDecorator) and not _says_itself(kind):
        return None
    if isinstance(kind, JSON):
        return None
    if isinstance(kind, Enum):
        return kind.enum_class or str
    try:
        found = kind.python_type
    except NotImplementedError:
        return None
    return None if found in (object, type(None)) else found


def _says_itself(kind: Any) -> bool:
    mro = type(kind).__mro__
    own = mro[: mro.index(TypeDecorator)]
    return any("python_type" in vars(base) for base in own)


def _holds(member: Any, kind: Any, one: Field) -> bool:
    origin = get_origin(member)
    if member is Any or isinstance(member, TypeVar):
        return True
    if origin is Literal:
        return any(isinstance(value, kind) for value in get_args(member))
    accepted = origin or member
    if not isinstance(accepted, type):
        return True
    try:
        if issubclass(kind, accepted) or issubclass(kind, _PROMOTED.get(accepted, ())):
            return True
    except TypeError:
        return True
    return one.coerces and _is_read(accepted, kind)


def _is_read(accepted: type, kind: Any) -> bool:
    known = accepted in _READ_FROM and kind in _READ_FROM
    return kind in _READ_FROM[accepted] if known else True
