"""What a session class that watches each statement tells those that need no ORM for theirs.

Views would ask a session's connection, where nobody has a say in the statement, and skip what the
ORM does for entities. A scope's session overrides `execute`, and so has a say. It announces here
that this is a watch and nothing else, and gives a method of its own that watches as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

BASE = "_sqs_base"
"""Where a watching class keeps the class whose `execute` and `get_bind` it calls."""

READ = "_sqs_read"
"""Its ``method(bind_arguments, statement, parameters, execution_options)``, which runs a SELECT of
columns on the session's connection, with all that `execute` asks before."""


def base_of(kind: type[Session]) -> type[Session]:
    """Return the class that a class watches over; the class itself where it watches over none.

    A subclass of a watching class may override anything, so it counts as a class of its own.
    """
    base: type[Session] = vars(kind).get(BASE, kind)
    return base


def watched_read(session: Session) -> Callable[..., Any] | None:
    """Return what runs a SELECT on a session's connection and watches; None if nobody does."""
    kind = type(session)
    return None if base_of(kind) is kind else getattr(session, READ)
