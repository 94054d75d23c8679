"""What belongs to a session, and must not be put where the session is not."""

from __future__ import annotations

from collections import deque
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, Session

from sqla_safe.scopes._scope import BaseScope
from sqla_safe.snapshots import is_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONTAINERS: tuple[type[Any], ...] = (
    *(list, tuple, set, frozenset, deque, Row),
    *(KeysView, ValuesView, ItemsView),
)


def first_owned(value: object) -> tuple[str, str] | None:
    """Return class and kind of the first thing of a session in a value, or a snapshot."""
    waiting, seen = [value], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if (what := owned(part)) is not None:
            return type(part).__name__, what
        waiting += _parts(part)
    return None


def _parts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, _CONTAINERS):
        return cast("Iterable[Any]", value)
    return [getattr(value, name, None) for name in _field_names(type(value))]


def _field_names(kind: Any) -> Iterable[str]:
    """Return the fields of a dataclass, an attrs class, a `msgspec.Struct` or a pydantic model."""
    if is_dataclass(kind):
        return [field.name for field in fields(kind)]
    if (attributes := getattr(kind, "__attrs_attrs__", None)) is not None:
        return [attribute.name for attribute in attributes]
    names = getattr(kind, "__struct_fields__", None) or getattr(kind, "model_fields", None)
    return cast("Iterable[str]", names or ())


def owned(value: object) -> str | None:
    """Say what of a session this is, if it is anything of one."""
    if is_snapshot(value):
        return "a snapshot"
    if isinstance(value, (Session, AsyncSession)):
        return "a session"
    if isinstance(value, BaseScope):
        return "a scope"
    is_entity = isinstance(sqlalchemy.inspect(value, raiseerr=False), InstanceState)
    return "an entity" if is_entity else None
