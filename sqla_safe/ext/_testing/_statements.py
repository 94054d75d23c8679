"""`assert_statements`: how many statements a block runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

from sqla_safe._locations import current_line
from sqla_safe.errors import StatementCountError

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.ext.asyncio import AsyncEngine

_SHOWN = 200
"""The characters of a statement that an error shows."""
_TRANSACTIONAL = (
    *("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET TRANSACTION", "PRAGMA"),
    *("SELECT TXID_", "SET LOCAL STATEMENT_TIMEOUT"),  # what a scope asks and sets at its end
)


class Statements(list[str]):
    """The texts of the statements that ran so far, without parameters, each with its line."""


@contextmanager
def assert_statements(
    expected: int | None = None,
    /,
    *,
    at_most: int | None = None,
    on: Engine | AsyncEngine | None = None,
) -> Generator[Statements]:
    """Fail unless a block runs so many statements.

    Those that only begin and end transactions and savepoints are not counted; a statement with many
    sets of parameters is one. Statements of every thread and task are counted.

    Args:
        expected: exactly so many.
        at_most: instead of that, so many or fewer.
        on: only those of this engine.

    Yields:
        A list of the statements, which grows while the block runs.

    Raises:
        StatementCountError: at the end of a block without another error.
        TypeError: neither or both numbers were given.

    Example:
        >>> from sqlalchemy import create_engine, text
        >>> engine = create_engine("sqlite://")
        >>> with assert_statements(1), engine.connect() as connection:
        ...     _ = connection.execute(text("SELECT 1"))
    """
    if (expected is None) == (at_most is None):
        msg = "assert_statements(2) or assert_statements(at_most=2)"
        raise TypeError(msg)
    ran = Statements()
    target: Any = Engine if on is None else getattr(on, "sync_engine", on)
    listener = _listener(ran)
    event.listen(target, "before_cursor_execute", listener)
    try:
        yield ran
    finally:
        event.remove(target, "before_cursor_execute", listener)
    if len(ran) != expected if at_most is None else len(ran) > at_most:
        wanted = f"exactly {expected}" if at_most is None else f"at most {at_most}"
        noun = "statement" if 1 in (expected, at_most) else "statements"
        raise StatementCountError(expected=f"{wanted} {noun}", statements=tuple(ran))


def _listener(ran: Statements) -> Any:
    def before_cursor_execute(
        _connection: object, _cursor: object, statement: str, *_: object
    ) -> None:
        text = " ".join(statement.split())
        if not text.upper().startswith(_TRANSACTIONAL):
            short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            ran.append(f"{current_line()}: {short}")

    return before_cursor_execute
