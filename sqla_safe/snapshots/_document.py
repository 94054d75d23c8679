"""What `dumps` writes and `loads` reads.

The graph is written flat: groups of objects with the same class and attributes, each attribute as
one column, and objects named by their numbers. So there is no recursion, a shared object is written
once, and cycles need nothing special. The data names classes and attributes of the mapping, never
code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Enum

from sqla_safe.snapshots._fingerprint import column_type

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

VERSION = 1
ONE, MANY, SET, MAP = "one", "many", "set", "map"


class Group(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Objects of one class that hold the same attributes."""

    entity: str
    fingerprint: str
    count: int
    names: list[str]
    kinds: list[str]
    columns: list[msgspec.Raw]


class Document(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """All that `dumps` writes."""

    version: int
    many: bool
    roots: list[int]
    groups: list[Group]


class Collections(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A column of collections: their sizes, and the numbers and keys of all members in a row."""

    sizes: list[int]
    members: list[int]
    keys: list[Any] = []


COLUMN: dict[str, Any] = {
    ONE: list[int | None],
    MANY: Collections,
    SET: Collections,
    MAP: Collections,
}


def enum_class(mapper: Mapper[Any], name: str) -> Any:
    """Return the Enum whose members a column holds, None for a column of something else."""
    kind = column_type(mapper.column_attrs[name])
    if isinstance(kind, Enum):
        return kind.enum_class
    try:
        return kind.python_type
    except NotImplementedError:
        return None
