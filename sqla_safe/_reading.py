"""What a session class that watches each statement tells those that need no ORM for theirs.

Views would ask a session's connection, where nobody has a say in the statement, and skip what the
ORM does for entities. A scope's session overrides `execute`, and so has a say. It announces here
that this is a watch and nothing else, and gives a method of its own that watches as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import CursorResult, Executable
    from sqlalchemy.orm import Session


class WatchedReads(Protocol):
    """A session whose class keeps, as `_sqs_base`, the class whose methods it watches."""

    def _sqs_read(
        self,
        bind_arguments: dict[str, Any],
        statement: Executable,
        parameters: Any,
        execution_options: Mapping[str, Any],
    ) -> CursorResult[Any]:
        """Run a SELECT on the session's connection, with all that `execute` asks before."""
        ...


def base_of(kind: type[Session]) -> type[Session]:
    """Return the class whose `execute` and `get_bind` a watching class calls; else the class.

    A subclass of a watching class may override anything, so it counts as a class of its own.
    """
    base: type[Session] = vars(kind).get("_sqs_base", kind)
    return base
