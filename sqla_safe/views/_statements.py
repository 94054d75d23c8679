"""The statements of a view: the user's own for the root, one for each level below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Select
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import aliased
from sqlalchemy.orm.interfaces import CriteriaOption, LoaderOption
from sqlalchemy.sql import visitors

from sqla_safe.errors import ViewStatementError
from sqla_safe.views._inherited import condition
from sqla_safe.views._keys import Asking, ask
from sqla_safe.views._refusals import of_anything, of_columns, of_options
from sqla_safe.views._resolver import tables_in
from sqla_safe.views._selects import (
    is_grouped,
    is_locking,
    options_of,
    sorted_distinct,
    sorting_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Dialect
    from sqlalchemy.orm import Mapper

    from sqla_safe.views._links import Link
    from sqla_safe.views._shapes import Level, Route


class Given(NamedTuple):
    """What is known of a user's SELECT."""

    statement: Select[Any]
    entity: Any
    mapper: Mapper[Any]
    options: tuple[Any, ...]
    """Options for the statements below: criteria, and what the user defined."""
    has_criteria: bool
    joins_root: bool

    @property
    def execution_options(self) -> Mapping[str, Any]:
        """Execution options for the statements below."""
        found = self.statement.get_execution_options()
        return {name: found[name] for name in found if name not in _OF_ONE_RESULT}


_OF_ONE_RESULT = ("yield_per", "stream_results", "max_row_buffer")


def read_statement(statement: Any) -> Given:
    """Make sure that a statement selects one entity.

    Raises:
        ViewStatementError: it is something else, with what to write.
    """
    if not isinstance(statement, Select):
        raise of_anything(statement)
    described = statement.column_descriptions
    entity = described[0].get("entity") if len(described) == 1 else None
    if entity is None or described[0].get("expr") is not entity:
        raise of_columns(list(described))
    options = options_of(statement)
    loading = [option for option in options if isinstance(option, LoaderOption)]
    if loading:
        raise of_options(loading)
    below = tuple([one for one in options if getattr(one, "propagate_to_loaders", False)])
    return Given(
        statement,
        entity,
        _mapper(entity),
        below,
        has_criteria=any(isinstance(one, CriteriaOption) for one in options),
        joins_root=not (is_grouped(statement) or is_locking(statement)),
    )


def require_names(params: object) -> None:
    """Make sure that the values for a statement's parameters have names.

    Raises:
        ViewStatementError: they are in a list, or no values at all.
    """
    if not isinstance(params, Mapping):
        raise ViewStatementError(
            problem=f"params is a {type(params).__name__}, and a parameter takes its value by name",
            instead='params={"name": value}, with the names of the bindparam()s in the statement',
        )


def _mapper(entity: Any) -> Mapper[Any]:
    inspected: Any = inspect(entity)
    mapper: Mapper[Any] = inspected.mapper
    return mapper


def root_statement(given: Given, level: Level) -> Select[Any]:
    """Return the user's SELECT with the view's columns in place of the entity.

    Behind them come those that it must select as well.
    """
    taken: set[Any] = set()
    if level.joins:
        taken = tables_in(given.statement) - set(level.mapper.tables)
    entities, columns = _entities(level, given.entity, taken)
    selected: Any = given.statement.with_only_columns(*columns, *_sorting(given))
    return _join(selected, level, entities)


def _sorting(given: Given) -> Iterator[Any]:
    """Give the entity's columns that a DISTINCT is sorted by: PostgreSQL wants them selected."""
    clauses = sorted_distinct(given.statement)
    terms: list[Any] = [one for clause in clauses for one in visitors.iterate(clause)]
    if terms:
        inspected: Any = inspect(given.entity)
        own = {*given.mapper.tables, *visitors.iterate(inspected.selectable)}
        yield from dict.fromkeys([one for one in terms if getattr(one, "table", None) in own])
        names = [one.element for one in terms if isinstance(getattr(one, "element", None), str)]
        yield from [
            getattr(given.entity, name) for name in names if name in given.mapper.column_attrs
        ]


def clashes(given: Given, level: Level) -> bool:
    """Say whether what the view joins is in the user's SELECT already."""
    taken = tables_in(given.statement) - set(level.mapper.tables)
    return any(
        not taken.isdisjoint(joined.relation.mapper.tables) for joined in level.joins.values()
    )


def confuses(given: Given, level: Level) -> bool:
    """Say whether the view joins a column of a name that the user's SELECT is sorted by."""
    names = sorting_names(given.statement)
    if not names:
        return False
    joined: list[Any] = [
        table for one in level.joins.values() for table in one.relation.mapper.tables
    ]
    joined += [mapper.local_table for mapper, _ in level.inherited.values()]
    return any(
        not names.isdisjoint((column.key, f"{table.name}_{column.name}"))
        for table in joined
        for column in table.columns
    )


class Way(NamedTuple):
    """How the rows of a level are asked for."""

    is_plain: bool = False
    """Whether each key is a parameter."""
    is_loose: bool = False
    """Whether the database is to say whose rows they are, as its collation has it."""


def level_statement(level: Level, dialect: Dialect, way: Way) -> tuple[Select[Any], Asking]:
    """Return the SELECT of a level below the root, for any number of keys."""
    link = level.link
    assert link is not None
    if way.is_loose:
        assert link.loose is not None
        link = link.loose
    asking = ask(dialect, link.keys, is_plain=way.is_plain)
    statement = selected_below(level, link).where(asking.condition)
    if link.order_by:
        statement = statement.order_by(*link.keys, *link.order_by)
    return statement, asking


def selected_below(level: Level, link: Link) -> Select[Any]:
    """Return the SELECT of a level below the root, for all rows that there are."""
    entities, columns = _entities(level, link.entity, set())
    return _join(link.start(columns), level, entities)


def _entities(level: Level, entity: Any, taken: set[Any]) -> tuple[dict[Route, Any], list[Any]]:
    entities: dict[Route, Any] = {(): entity}
    for route, joined in level.joins.items():
        mapper = joined.relation.mapper
        is_aliased = joined.is_aliased or not taken.isdisjoint(mapper.tables)
        entities[route] = aliased(mapper.class_, flat=True) if is_aliased else mapper.class_
    for route, (mapper, _) in level.inherited.items():
        entities[route] = mapper.local_table.alias()
    return entities, [column.build(entities[column.route]) for column in level.columns]


def _join(statement: Select[Any], level: Level, entities: dict[Route, Any]) -> Select[Any]:
    for route in level.joins:
        attribute = getattr(entities[route[:-1]], route[-1])
        statement = statement.outerjoin(attribute.of_type(entities[route]))
    for route in level.inherited:
        statement = statement.outerjoin(entities[route], condition(level, route, entities))
    return statement
