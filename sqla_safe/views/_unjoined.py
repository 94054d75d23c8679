"""What an expression reads that its statement does not join: each row would meet all of its rows.

SQLAlchemy says itself what a statement reads from. Only what an expression adds to that is apart,
and only where nothing else can join it: a lateral and a function see the row that they stand
beside, and what the user wrote as text may name anything.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    CTE,
    Alias,
    AliasedReturnsRows,
    Join,
    Lateral,
    Select,
    TableClause,
    TableValuedAlias,
    Values,
    event,
    select,
)
from sqlalchemy.sql import visitors

from sqla_safe import _mapping
from sqla_safe.errors import ViewStatementError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from sqlalchemy.orm import Mapper, ORMExecuteState, Session

    from sqla_safe.views._shapes import Level
    from sqla_safe.views._statements import Given

SUBQUERY = (
    "a subquery in the Expr, as in select(func.count(Avatar.id)).where(Avatar.user_id == "
    "user.id).scalar_subquery()"
)
"""What to write in place of an Expr that reads a table which nothing joins."""
_NAMED_ANEW = (AliasedReturnsRows, Values)
"""What SQLAlchemy does not tell apart in two statements, unless by its name or what is in it."""
_GIVEN = "the entity that the Expr is given, as in lambda user: user.name"


class Apart(NamedTuple):
    """Something that nothing joins, and the field whose expression reads it."""

    where: str
    table: str


def reads_more(mapper: Mapper[Any], expression: Any) -> bool:
    """Say whether an expression reads anything but its own class."""
    own = {*mapper.tables, mapper.selectable, mapper.local_table}
    return not own.issuperset(_leaves(_froms(expression)))


def unjoined(level: Level, given: Given, root: Select[Any]) -> ViewStatementError | None:
    """Return the error for a statement that would pair each of its rows with all of something else.

    It is one in which an Expr reads a table that the statement does not join.
    """
    is_class = given.entity is given.mapper.class_
    places = level.foreign if is_class else level.computed
    keys = [getattr(given.entity, name) for name in _mapping.key_names(given.mapper)]
    for one in apart(places, root, given.statement.with_only_columns(*keys) if places else None):
        is_own = not is_class and one.table == called(given.mapper.selectable)
        return ViewStatementError(
            problem=f"The Expr of {one.where} reads {one.table}, which the statement does not join",
            instead=_GIVEN if is_own else SUBQUERY,
        )
    return None


@contextmanager
def looking_last(session: Session, level: Level, given: Given) -> Generator[None]:
    """Refuse the same once every listener has had its say, since any of them may join more.

    Raises:
        ViewStatementError: none of them has.
    """
    computed = _computed(level, given.statement)

    def look(state: ORMExecuteState) -> None:
        statement: Any = state.statement
        # A listener may have put something else in its place, or send a statement of its own.
        if _is_select(statement) and _computed(level, statement) == computed:
            error = unjoined(level, given._replace(statement=statement), statement)
            if error is not None:
                raise error

    event.listen(session, "do_orm_execute", look)
    try:
        yield
    finally:
        event.remove(session, "do_orm_execute", look)


def _computed(level: Level, statement: Select[Any]) -> list[int] | None:
    described = statement.column_descriptions
    if len(described) < len(level.columns):
        return None
    return [id(described[place]["expr"]) for place in level.computed.values()]


def apart(places: dict[str, int], statement: Any, base: Any) -> Iterator[Apart]:
    """Give what the expressions at some places of a statement add to what it reads without them."""
    added = _added(statement, base) if places else None
    if not added:
        return
    expressions = [one["expr"] for one in statement.column_descriptions]
    for where, place in places.items():
        for one in _froms(expressions[place]):
            if one in added and not _may_be_joined(one, base):
                yield Apart(where, called(one))


def _is_select(value: Any) -> bool:
    return isinstance(value, Select)


def names_alias(level: Level, root: Select[Any]) -> bool:
    """Say whether an Expr reads an alias, a subquery or the like that is always the same one.

    Two statements are alike to SQLAlchemy whichever of their aliases is the one. What an Expr makes
    anew each time is no other statement's.
    """
    described = root.column_descriptions
    return any(
        not _aliases(level.columns[place].sample).isdisjoint(_aliases(described[place]["expr"]))
        for place in level.computed.values()
    )


def _aliases(expression: Any) -> set[Any]:
    clause = getattr(expression, "__clause_element__", lambda: expression)()
    parts = list(visitors.iterate(clause))
    tables = [getattr(part, "table", None) for part in parts]
    return {one for one in (*parts, *tables) if isinstance(one, _NAMED_ANEW)}


def _added(statement: Any, base: Any) -> set[Any]:
    try:
        return set(statement.get_final_froms()).difference(base.get_final_froms())
    except Exception:  # noqa: BLE001  (SQLAlchemy says it when the statement is executed)
        return set()


def _froms(expression: Any) -> list[Any]:
    """Return what a statement must read for an expression; a subquery reads its own tables."""
    return list(select(expression).get_final_froms())


def _leaves(froms: Iterable[Any]) -> Iterator[Any]:
    for one in froms:
        if _is_join(one):
            yield from _leaves((one.left, one.right))
        else:
            yield one


def _may_be_joined(one: Any, base: Any) -> bool:
    if isinstance(one, (Lateral, TableValuedAlias)):
        return True
    names = [name for leaf in _leaves([one]) if (name := _name(leaf)) is not None]
    texts = [text for part in visitors.iterate(base) if (text := _text(part)) is not None]
    return any(_is_named(name, text) for name in names for text in texts)


def _text(part: Any) -> str | None:
    """Return what the user wrote as text."""
    if getattr(part, "is_literal", False):
        return str(part.name)
    text = getattr(part, "text", None)
    return text if isinstance(text, str) else None


def _is_named(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _name(one: Any) -> str | None:
    """Return the name that a statement can call something by, None where it is made up later."""
    name = getattr(one, "name", None)
    return name if isinstance(name, str) and not name.startswith("%(") else None


def called(one: Any) -> str:
    """Say what something is that a statement can read from."""
    if _is_join(one):
        return f"{called(one.left)} JOIN {called(one.right)}"
    if isinstance(one, TableClause):
        return one.fullname
    name = _name(one)
    if _is_alias(one):
        alias = f"an alias of {called(one.element)}"
        return alias if name is None else f"{name}, {alias}"
    kind = _kind(one)
    return f"a {kind}" if name is None else f"the {kind} {name}"


def _kind(one: Any) -> str:
    if isinstance(one, CTE):
        return "CTE"
    return "values" if isinstance(one, Values) else "subquery"


def _is_alias(one: Any) -> bool:
    return isinstance(one, Alias)


def _is_join(one: Any) -> bool:
    return isinstance(one, Join)
