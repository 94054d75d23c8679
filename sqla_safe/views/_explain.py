"""`ViewPlan`: what a view will execute, to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from sqla_safe.views._hints import type_name
from sqla_safe.views._statements import read_statement

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

V = TypeVar("V")


class ViewPlan(Generic[V]):
    """What a view executes: one SELECT for its rows, one for each collection below them.

    Its ``repr`` is the statements, as PostgreSQL is sent them; `statements` gives those of any
    other database.

    Attributes:
        into: the view's class.
        entity: the mapped class.
    """

    def __init__(self, plan: Any) -> None:
        self.into: type[V] = plan.into
        self.entity: type[Any] = plan.mapper.class_
        self._plan: Any = plan

    def statements(self, dialect: Dialect | None = None) -> tuple[str, ...]:
        """Return the SQL of each statement.

        Args:
            dialect: whose SQL, such as ``engine.dialect``; PostgreSQL's unless told.
        """
        chosen: Any = dialect if dialect is not None else _postgresql()
        given = read_statement(select(self.entity))
        prepared = self._plan.prepared(given, has_listeners=False)
        _, *levels = prepared.level.all()
        found = [prepared.root, *[prepared.below(level, chosen)[0] for level in levels]]
        return tuple([str(statement.compile(dialect=chosen)) for statement in found])

    def __repr__(self) -> str:
        statements = self.statements()
        title = f"{type_name(self.into)} of {self.entity.__name__}, statements: {len(statements)}"
        listed = [f"{number}. {text}" for number, text in enumerate(statements, 1)]
        return "\n\n".join([title, *listed])


def _postgresql() -> Any:
    make: Any = postgresql.dialect
    return make()
