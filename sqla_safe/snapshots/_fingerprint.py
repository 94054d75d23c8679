"""A short text that changes when a mapping does, so that old data is recognised."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import Enum, TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import ColumnProperty, Mapper, RelationshipProperty
    from sqlalchemy.types import TypeEngine


def fingerprint(mapper: Mapper[Any], declared: Iterable[str]) -> str:
    """Return 16 hexadecimal digits made of the mapped columns, their types, and relationships.

    Fields that are declared but not mapped count with their names.
    """
    lines = [
        f"{key}: {_type_name(column_type(column))}" for key, column in mapper.column_attrs.items()
    ]
    lines += [
        f"{key} -> {relation.mapper.class_.__qualname__} {_collection(relation)}"
        for key, relation in mapper.relationships.items()
    ]
    lines += [f"{name}, not mapped" for name in declared]
    text = "\n".join(sorted(lines))
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def _collection(relation: RelationshipProperty[Any]) -> str:
    """Name what a relationship holds, which decides what it becomes in a snapshot."""
    if not relation.uselist:
        return "one"
    kind: Any = getattr(relation, "collection_class", None)
    return str(getattr(kind, "__name__", "list" if kind is None else "collection"))


def column_type(attribute: ColumnProperty[Any]) -> TypeEngine[Any]:
    """Return the type of a mapped column or expression."""
    expression: Any = attribute.expression
    kind: TypeEngine[Any] = expression.type
    return kind


def enum_class(attribute: ColumnProperty[Any] | None) -> type[Any]:
    """Return the Enum whose members a column holds, NoneType for anything else."""
    if attribute is None:
        return type(None)
    kind = column_type(attribute)
    if isinstance(kind, Enum):
        return kind.enum_class or type(None)
    try:
        return kind.python_type
    except NotImplementedError:
        return type(None)


def _type_name(kind: TypeEngine[Any]) -> str:
    """Name a column type as far as its values go; a longer string is no other value."""
    names = ",".join(kind.enums) if isinstance(kind, Enum) else ""
    inner = f"({_type_name(kind.impl_instance)})" if isinstance(kind, TypeDecorator) else ""
    return f"{type(kind).__qualname__}{inner}{names}"
