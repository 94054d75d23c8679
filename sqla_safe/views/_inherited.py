"""Subclasses that are read with their base: their own tables are joined to it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy.inspection import inspect
from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Column, Table

from sqla_safe import _mapping
from sqla_safe.views._choices import source_of
from sqla_safe.views._markers import Path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.orm import Mapper

    from sqla_safe.views._shapes import Level, Route
    from sqla_safe.views._targets import Field, Target


def is_with_base(target: Target, own: Mapper[Any], base: Mapper[Any]) -> bool:
    """Say whether all that a view wants of a subclass is in its tables, and these can be joined."""
    if any(mapper.concrete for mapper in _from(base, own)):
        return False
    joined = all(_can_be_joined(mapper) for mapper in tables_below(base, own))
    return joined and all(_is_of_tables(field, own) for field in target.fields)


def _from(base: Mapper[Any], own: Mapper[Any]) -> list[Mapper[Any]]:
    """Return the classes below a base down to one of them."""
    found = [mapper for mapper in own.iterate_to_root() if mapper.isa(base) and mapper is not base]
    return found[::-1]


def tables_below(base: Mapper[Any], own: Mapper[Any]) -> list[Mapper[Any]]:
    """Return the classes below a base that have a table of their own, down to one of them."""
    return [
        mapper
        for mapper in _from(base, own)
        if mapper.inherits is not None and mapper.local_table is not mapper.inherits.local_table
    ]


def _can_be_joined(mapper: Mapper[Any]) -> bool:
    table = mapper.local_table
    return isinstance(table, Table) and bool(table.primary_key) and mapper.inherits is not None


def _is_of_tables(field: Field, own: Mapper[Any]) -> bool:
    """Say whether a field is filled from columns, or from a collection that they are the key of."""
    paths = [mark for mark in field.hint.metadata if isinstance(mark, Path)]
    name = source_of(field)
    if name is None or any(len(path.attributes) > 1 for path in paths):
        return False
    while name in own.synonyms:
        name = own.synonyms[name].name
    if name in own.column_attrs:
        return _has_columns(own.column_attrs[name])
    if name in own.composites:
        return all(map(_has_columns, own.composites[name].props))
    relation = own.relationships.get(name)
    return relation is not None and bool(relation.uselist)


def _has_columns(attribute: Any) -> bool:
    return all(isinstance(column, Column) for column in getattr(attribute, "columns", (None,)))


def where_from(
    base: Mapper[Any], own: Mapper[Any], name: str
) -> tuple[Mapper[Any] | None, Callable[[Any], Any], Any]:
    """Return whose table has a subclass's attribute (None: the base's), and how it is got there."""
    columns: Any = own.column_attrs[name].columns
    shared = [found for one in columns if (found := _mapping.attribute_of(base, one))]
    if shared:
        get = attrgetter(shared[0])
        return None, get, get(base.class_)
    [column, *_] = columns
    owner = [one for one in tables_below(base, own) if one.local_table is column.table]
    return owner[0] if owner else None, lambda entity: in_selectable(entity, column), column


def in_selectable(entity: Any, column: Any) -> Any:
    """Return a table's column as it is called where the table is read from."""
    inspected: Any = inspect(entity)
    return inspected.selectable.corresponding_column(column)


def table_route(route: Route, mapper: Mapper[Any]) -> Route:
    """Return the name of a subclass's table that is joined to a class."""
    table: Any = mapper.local_table
    return (*route, f"({table.fullname})")


def condition(level: Level, route: Route, entities: Mapping[Route, Any]) -> Any:
    """Return what a subclass's table is joined by."""
    mapper, base = level.inherited[route]
    start = route[:-1]

    def replaced(column: Any, **_: Any) -> Any:
        if not isinstance(column, Column):
            return None
        for one in tables_below(base, mapper):
            if one.local_table is column.table:
                return in_selectable(entities[table_route(start, one)], column)
        return in_selectable(entities[start], column)

    options: dict[str, Any] = {}
    traverse: Any = visitors.replacement_traverse
    return traverse(mapper.inherit_condition, options, replaced)
