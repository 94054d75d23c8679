"""Savepoints that stand for transactions: where the two are not the same, say so.

All sessions of a test share one connection, so each transaction of a session is a savepoint there.
Savepoints end in the reverse order of their beginning. Transactions that overlap in another way, or
one that is stored inside another one which is undone, cannot be had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from sqla_safe._locations import current_line
from sqla_safe.errors import OuterTransactionError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import SessionTransaction

_watched: dict[Connection, Savepoints] = {}


class Savepoint:
    """One savepoint: what began it, and which independent transactions were stored inside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began_at = current_line()
        self.is_transaction = False
        self.stored: tuple[str, ...] = ()


class Savepoints:
    """The savepoints of the connection that a test's sessions share."""

    def __init__(self) -> None:
        self.open: list[Savepoint] = []
        self.lost: list[str] = []

    def begin(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        """A statement runs; SQLAlchemy's own event for savepoints does not know the name yet."""
        if statement.startswith("SAVEPOINT "):
            self.open.append(Savepoint(statement.removeprefix("SAVEPOINT ").strip('`"')))

    def release(self, _connection: Connection, name: str, _context: object) -> None:
        """A savepoint is stored: it must be the innermost one."""
        if not self.open or self.open[-1].name != name:
            raise self._interleaved(name)
        ended = self.open.pop()
        if self.open:
            stored = (ended.began_at,) if ended.is_transaction else ()
            around = self.open[-1]
            around.stored = (*around.stored, *ended.stored, *stored)

    def roll_back(self, _connection: Connection, name: str, _context: object) -> None:
        """A savepoint is undone, with all that came after it."""
        names = [savepoint.name for savepoint in self.open]
        if name not in names:
            return
        ended = self.open[names.index(name)]
        self.open = self.open[: names.index(name)]
        for place in ended.stored:
            self.lost.append(
                f"The transaction that began at {place} was stored, and was undone with the one "
                f"around it that began at {ended.began_at}; in production it stays stored"
            )

    def _interleaved(self, name: str) -> OuterTransactionError:
        ending = next((s.began_at for s in self.open if s.name == name), "an unknown line")
        other = self.open[-1].began_at if self.open else "an unknown line"
        return OuterTransactionError(
            problem=f"The transaction that began at {ending} ends while another one, begun at "
            f"{other}, is still going on: two tasks or threads work at the same time",
            instead="run such a test on a database of its own, without rolled_back()",
        )

    def refuse_lost(self) -> None:
        """Raise if something was undone that production would have stored.

        Raises:
            OuterTransactionError: naming both transactions.
        """
        if self.lost:
            raise OuterTransactionError(
                problem=self.lost[0],
                instead="run such a test on a database of its own, without rolled_back()",
            )


def watch(connection: Connection) -> Savepoints:
    """Watch the savepoints of a connection until `stop`."""
    savepoints = _watched[connection] = Savepoints()
    event.listen(connection, "before_cursor_execute", savepoints.begin)
    event.listen(connection, "release_savepoint", savepoints.release)
    event.listen(connection, "rollback_savepoint", savepoints.roll_back)
    if len(_watched) == 1:
        event.listen(Session, "after_begin", _after_begin)
    return savepoints


def stop(connection: Connection) -> None:
    """Stop watching."""
    del _watched[connection]
    if not _watched:
        event.remove(Session, "after_begin", _after_begin)


def _after_begin(session: Any, transaction: SessionTransaction, connection: Connection) -> None:
    savepoints = _watched.get(connection)
    if savepoints is not None and not transaction.nested and savepoints.open:
        savepoint = savepoints.open[-1]
        savepoint.is_transaction = True
        unit = getattr(session, "_sqs_unit", None)
        if unit is not None:
            savepoint.began_at = unit.opened_at
