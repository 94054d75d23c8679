"""What a view was given in place of a SELECT of one entity, and the line to write instead."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    CompoundSelect,
    Delete,
    Insert,
    Result,
    ScalarResult,
    Table,
    TextClause,
    TextualSelect,
    Update,
)
from sqlalchemy.engine import Compiled
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import FromStatement, Query, QueryableAttribute
from sqlalchemy.sql.lambdas import StatementLambdaElement
from sqlalchemy.sql.selectable import CTE, Exists, ScalarSelect, Subquery

from sqla_safe import _mapping
from sqla_safe.errors import ViewStatementError
from sqla_safe.views._selects import loader_text
from sqla_safe.views._targets import is_target

if TYPE_CHECKING:
    from collections.abc import Callable

_AS_NEEDED = "with where(), order_by() and limit() as you need them"
_SAME = "with the same where(), order_by() and limit()"
_NAMED = 3
"""Columns that are named, of however many there are."""


def of_columns(described: list[Any]) -> ViewStatementError:
    """Return the error for a SELECT of something else than one entity, which it describes."""
    entities = _entities(described)
    first, *others = entities or ["Entity"]
    instead = f"select({first}), {_SAME}"
    if others:
        instead += f"; what a view of it shows of {_listed(others)} is a field of its class"
    elif not entities:
        instead += "; what is no entity is for session.execute()"
    selected = _listed([_column(one) for one in described]) or "nothing"
    return ViewStatementError(
        problem=f"The statement selects {selected}, and the view selects its columns itself",
        instead=instead,
    )


def of_options(options: list[Any]) -> ViewStatementError:
    """Return the error for a SELECT with loader options."""
    texts = list(map(loader_text, options))
    one = len(texts) == 1
    return ViewStatementError(
        problem=f"The statement has the loader option{'' if one else 's'} "
        f"{_listed(texts, len(texts))}, which say{'s' if one else ''} what entities load",
        instead=f"the same without .options({', '.join(texts)}): the view's class says what is "
        "loaded",
    )


def of_anything(statement: Any) -> ViewStatementError:
    """Return the error for what is no SELECT at all."""
    what, instead = _told(statement)
    return ViewStatementError(problem=f"{what} is not a SELECT of an entity", instead=instead)


def _told(statement: Any) -> tuple[str, str]:
    """Say what something is, and what to write in its place."""
    if isinstance(statement, type):
        return _of_class(statement)
    for kind, tell in _KINDS:
        if isinstance(statement, kind):
            return tell(statement)
    mapper = _mapper_of(statement)
    if mapper is not None:
        return _of_entity(statement, mapper.class_.__name__)
    kind = "None" if statement is None else _a(type(statement).__name__)
    return kind, f"select(Entity), {_AS_NEEDED}"


def _of_class(cls: type) -> tuple[str, str]:
    what = f"The class {cls.__name__}"
    if _mapping.mapper_or_none(cls) is not None:
        return what, f"select({cls.__name__})"
    if is_target(cls):
        return what, f"fetch(source, {cls.__name__}, select(Entity)): the view's class comes first"
    return what, f"select(Entity), {_AS_NEEDED}"


def _of_entity(value: Any, name: str) -> tuple[str, str]:
    if inspect(value).is_aliased_class:
        return f"An alias of {name}", f"select(it), as in select(aliased({name}))"
    return f"An object of {name}", f"select({name}).where(...)"


def _of_attribute(attribute: Any) -> tuple[str, str]:
    return f"The attribute {attribute}", f"select({attribute.parent.class_.__name__}), {_AS_NEEDED}"


def _of_query(query: Any) -> tuple[str, str]:
    entity = _entity(query)
    return (
        f"A session.query({_listed([_column(one) for one in query.column_descriptions])})",
        f"select({entity}), with where() in place of filter()",
    )


def _of_union(statement: Any) -> tuple[str, str]:
    [first, *_] = statement.selects
    described: list[Any] = list(getattr(first, "column_descriptions", []))
    entity = _entity(first)
    if described and all(one.get("expr") is one.get("entity") for one in described):
        return "A union", f"select(aliased({entity}, the_union.subquery()))"
    key = f"{entity}.{described[0]['name']}" if described else f"{entity}.id"
    return "A union of columns", f"select({entity}).where({key}.in_(the_union))"


def _of_from_statement(statement: Any) -> tuple[str, str]:
    entity = _entity(statement)
    instead = _of_text(statement.element, entity)[1]
    return f"A select({entity}).from_statement(...)", instead


def _of_text(statement: Any, entity: str = "Entity") -> tuple[str, str]:
    if not isinstance(statement, (TextClause, str)):
        return _a(type(statement).__name__), f"select(aliased({entity}, the_statement.subquery()))"
    columns = f".columns({entity}.id, ...), with all that the view reads"
    text = f'the_text = text("SELECT ..."){columns}; select(aliased({entity}, the_text.subquery()))'
    return ("SQL in a str" if isinstance(statement, str) else "A text()"), text


def _of_columns_of_text(_statement: Any) -> tuple[str, str]:
    return "A text().columns()", "select(aliased(Entity, the_text.subquery()))"


def _of_change(statement: Any) -> tuple[str, str]:
    entity = "Entity"
    with suppress(Exception):  # of a table that no class is mapped to
        entity = statement.entity_description["entity"].__name__
    returning = ".returning(...)" if len(statement.exported_columns) else ""
    return (
        f"{_a(type(statement).__name__.lower())}({entity}){returning}",
        f"session.execute(...) for it, then select({entity}).where(...) for the rows to show",
    )


def _of_compiled(compiled: Any) -> tuple[str, str]:
    entity = _entity(compiled.statement)
    return "A compiled statement", f"the statement before its compile(), such as select({entity})"


def _of_lambda(_statement: Any) -> tuple[str, str]:
    return "A lambda_stmt()", "the select(Entity) that its lambda returns"


def _of_inner(statement: Any) -> tuple[str, str]:
    entity = _entity(getattr(statement, "element", None))
    name = type(statement).__name__
    return _a(name), f"the SELECT that it was made of, such as select({entity})"


def _of_table(table: Any) -> tuple[str, str]:
    return (
        f"The table {table.fullname}",
        f"select(Entity), the class that is mapped to it, {_AS_NEEDED}",
    )


def _of_result(result: Any) -> tuple[str, str]:
    return _a(type(result).__name__), "the statement itself: fetch executes it"


_KINDS: list[tuple[Any, Callable[[Any], tuple[str, str]]]] = [
    (QueryableAttribute, _of_attribute),
    (Query, _of_query),
    (FromStatement, _of_from_statement),
    (CompoundSelect, _of_union),
    (TextualSelect, _of_columns_of_text),
    ((TextClause, str), _of_text),
    ((Insert, Update, Delete), _of_change),
    (Compiled, _of_compiled),
    (StatementLambdaElement, _of_lambda),
    ((Subquery, CTE, ScalarSelect, Exists), _of_inner),
    (Table, _of_table),
    ((Result, ScalarResult), _of_result),
]


def _mapper_of(value: Any) -> Any:
    return getattr(inspect(value, raiseerr=False), "mapper", None)


def _entity(statement: Any) -> str:
    """Return the name of the only entity that a statement is of, as far as that is known."""
    with suppress(Exception):  # what is wrong with the statement is not what is told here
        return _entities(list(statement.column_descriptions))[0]
    return "Entity"


def _entities(described: list[Any]) -> list[str]:
    return list(dict.fromkeys(_name(one["entity"]) for one in described if one.get("entity")))


def _name(entity: Any) -> str:
    inspected: Any = inspect(entity)
    name: str = inspected.mapper.class_.__name__
    return f"aliased({name})" if inspected.is_aliased_class else name


def _column(described: Any) -> str:
    entity, name, expression = described.get("entity"), described["name"], described.get("expr")
    if getattr(expression, "is_literal", False):  # whose name is its text
        return "an expression"
    if entity is None:
        return str(name) if name else "an expression"
    return _name(entity) if expression is entity else f"{_name(entity)}.{name}"


def _listed(names: list[str], most: int = _NAMED) -> str:
    """Return some names as a sentence has them."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _a(name: str) -> str:
    return f"{'An' if name[0] in 'AEIOUaeiou' else 'A'} {name}"
