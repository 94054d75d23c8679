"""What session classes that watch each statement tell those that need no ORM for theirs.

Views would ask a session's connection, where nobody has a say in the statement, and skip what the
ORM does for entities. The sessions of scopes and of the guard override `execute`, and so have a
say. They announce here that this is a watch and nothing else, and give a method of their own that
watches as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

BASE = "_sqs_base"
"""Where a watching class keeps the class whose `execute` and `get_bind` it calls."""

WATCHES = "_sqs_watches"
"""Where an `execute` that was wrapped to watch it keeps what it calls."""

READ = "_sqs_read"
"""Its ``method(statement, parameters, *, execution_options, bind_arguments)``, which runs a SELECT
of columns on the session's connection, with all that `execute` asks before."""


def base_of(kind: type[Session]) -> type[Session]:
    """Return the class that a class watches over; the class itself where it watches over none.

    A subclass of a watching class may override anything, so it counts as a class of its own.
    """
    base: type[Session] = vars(kind).get(BASE, kind)
    return base


def unwatched(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return what an `execute` comes to when those who only watch have done so."""
    while (inner := getattr(execute, WATCHES, None)) is not None:
        execute = inner
    return execute


def watched_read(session: Session) -> Callable[..., Any] | None:
    """Return what runs a SELECT on a session's connection and watches; None if nobody does."""
    return getattr(session, READ, None)


def read(
    session: Session,
    statement: Any,
    parameters: Any,
    *,
    execution_options: Any,
    bind_arguments: Any,
) -> Any:
    """Run a SELECT on a session's connection, once everybody who watches has seen it."""
    connection = base_of(type(session)).connection(session, bind_arguments)
    return connection.execute(statement, parameters, execution_options=execution_options)
