"""Every exception of sqla_safe: one class, one code, one sentence that names the repair.

    SqlaSafeError
    ├── RollbackOnlyError          SQS151  the block ended well, but nothing could be stored
    ├── ManagedTransactionError    SQS152  a service tried to end the transaction itself
    ├── ConcurrentUseError         SQS153  two tasks (or threads) on one session at one time
    ├── ScopeClosedError           SQS154  a session or service was used after its scope
    ├── NoScopeError               SQS155  a scope was asked for where none is open
    ├── ScopeOptionError           SQS156  an option that cannot be honoured
    ├── ScopeSourceError           SQS157  not a sessionmaker
    ├── ServiceBuildError          SQS158  a service cannot be built from a session
    ├── CommitOutcomeUnknownError  SQS159  the answer to COMMIT was lost
    ├── ReadOnlyScopeError         SQS160  a write inside a read-only scope
    ├── ScopeTimeoutError          SQS161  the transaction took longer than allowed
    ├── CommitCallbackError        SQS162  callbacks failed after the data was stored
    ├── PoolExhaustedError         SQS163  the pool cannot give an independent scope a connection
    └── SqliteNotPreparedError     SQS164  savepoints on SQLite without `prepare_sqlite`
    IdleInTransactionWarning       SQS165  a transaction was left open over a slow call

The texts never hold a column value or a bound parameter. Those that SQLAlchemy has a class for
derive from that class too; its ``code``, a page of SQLAlchemy's documentation, gives way to ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CommitCallbackError",
    "CommitOutcomeUnknownError",
    "ConcurrentUseError",
    "IdleInTransactionWarning",
    "ManagedTransactionError",
    "NoScopeError",
    "PoolExhaustedError",
    "ReadOnlyScopeError",
    "RollbackOnlyError",
    "ScopeClosedError",
    "ScopeOptionError",
    "ScopeSourceError",
    "ScopeTimeoutError",
    "ServiceBuildError",
    "SqlaSafeError",
    "SqliteNotPreparedError",
]


def _revive(cls: type[SqlaSafeError], facts: dict[str, Any], notes: list[str]) -> SqlaSafeError:
    error = cls(**facts)
    for note in notes:
        error.add_note(note)
    return error


class SqlaSafeError(Exception):
    """The base of everything that sqla_safe raises.

    An instance keeps its facts as attributes (``opened_at``, ``method``, ...) and builds its text
    when somebody reads it. It survives ``pickle`` and ``copy``.
    """

    code: str | None = "SQS150"
    """The code that names this class in the text and in the documentation."""

    def __init__(self, **facts: Any) -> None:
        super().__init__()
        self._facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def _text(self) -> str:
        return "; ".join(f"{name}: {value}" for name, value in self._facts.items())

    def __str__(self) -> str:
        return f"{self._text()} [{self.code}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self._facts, getattr(self, "__notes__", []))


class RollbackOnlyError(SqlaSafeError, InvalidRequestError):
    """The block ended without an exception, yet its work could not be stored and was rolled back.

    Raised at the end of the scope when a failed statement was swallowed and took the transaction
    with it, when an inner scope failed and its error was swallowed, or after
    ``scope.set_rollback_only(reason)``. The error that was swallowed is its ``__cause__``.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        reason: what made the commit impossible, in words.
        where: ``file:line`` of the statement or inner block that failed, when it is known.
    """

    code: str | None = "SQS151"
    opened_at: str
    reason: str
    where: str | None

    def _text(self) -> str:
        at = f" ({self.where})" if self.where else ""
        return (
            f"Nothing was stored by the scope opened at {self.opened_at}: {self.reason}{at}. "
            "Let the error leave the block, or run the step that may fail in "
            'scoped_services(..., propagation="nested")'
        )


class ManagedTransactionError(SqlaSafeError, InvalidRequestError):
    """A service called ``commit``, ``rollback``, ``close`` or ``begin`` on the scope's session.

    The call did nothing: what was stored before it is what is stored after it.

    Attributes:
        method: the method that was called.
        opened_at: ``file:line`` where the scope was opened.
    """

    code: str | None = "SQS152"
    method: str
    opened_at: str

    _INSTEAD: ClassVar[dict[str, str]] = {
        "commit": "remove the call: the end of the block commits. To see generated keys call "
        "session.flush(); to store early call scope.commit(); "
        'configure(..., service_commit="flush") turns the commits of old code into flushes',
        "rollback": "raise an exception, or call scope.set_rollback_only(reason), to undo it; "
        'use propagation="nested" to undo only a part',
        "close": "remove the call: the end of the block closes the session",
        "begin": "remove the call: the scope has its transaction already; begin_nested() and "
        'propagation="nested" give a savepoint',
    }

    def _text(self) -> str:
        instead = self._INSTEAD.get(self.method, self._INSTEAD["close"])
        return (
            f"session.{self.method}() was called inside the scope opened at {self.opened_at}, "
            f"which ends the transaction itself. Instead: {instead}"
        )


class ConcurrentUseError(SqlaSafeError, InvalidRequestError):
    """Two tasks (or threads) used one session at the same time.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        first_task, first_at: the task that was using the session, and its line.
        second_task, second_at: the task that came second, and its line.
        situation: what happened, in words.
    """

    code: str | None = "SQS153"
    opened_at: str
    first_task: str
    first_at: str
    second_task: str
    second_at: str
    situation: str

    def _text(self) -> str:
        return (
            f"{self.situation}: {self.first_task} at {self.first_at} and {self.second_task} at "
            f"{self.second_at} share the session of the scope opened at {self.opened_at}. "
            "A session serves one task at a time: await one call after the other, or open "
            "`async with scoped_services(...)` inside each task and pass ids to it"
        )


class ScopeClosedError(SqlaSafeError, InvalidRequestError):
    """A session, service or scope was used after its block had ended.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        operation: what was attempted.
    """

    code: str | None = "SQS154"
    opened_at: str
    operation: str

    def _text(self) -> str:
        return (
            f"{self.operation} came after the end of the scope opened at {self.opened_at}. "
            "Nothing was sent to the database. Open a new scope with scoped_services(...) where "
            "the work is done, and keep no service or session in a global or in another task"
        )


class NoScopeError(SqlaSafeError, LookupError):
    """No scope is open here for this sessionmaker.

    Attributes:
        wanted: what asked for the scope.
    """

    code: str | None = "SQS155"
    wanted: str

    def _text(self) -> str:
        return (
            f"{self.wanted}, but this task has no open scope for that sessionmaker. "
            "Call it inside `with scoped_services(Session, ...)`. Child tasks and threads do not "
            "inherit a scope: open one in them, or hand the scope over: scoped_services(scope, ...)"
        )


class ScopeOptionError(SqlaSafeError, ValueError):
    """An option that does not exist, or that a scope which joins another one cannot honour.

    Attributes:
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS156"
    problem: str
    instead: str

    def _text(self) -> str:
        return f"{self.problem}. Instead: {self.instead}"


class ScopeSourceError(SqlaSafeError, TypeError):
    """The first argument is neither a sessionmaker nor an open scope.

    Attributes:
        got: the type that was given.
        instead: the line to write.
    """

    code: str | None = "SQS157"
    got: str
    instead: str

    def _text(self) -> str:
        return (
            "A scope is opened from a sessionmaker, an async_sessionmaker or an open scope, "
            f"not from {self.got}. Instead: {self.instead}"
        )


class ServiceBuildError(SqlaSafeError, TypeError):
    """A service cannot be built from the scope's session.

    Attributes:
        service: the service that was asked for.
        problem: which parameter stands in the way, and the chain of services that led to it.
        instead: the repair.
    """

    code: str | None = "SQS158"
    service: str
    problem: str
    instead: str

    def _text(self) -> str:
        return f"Cannot build the service {self.service}: {self.problem}. Instead: {self.instead}"


class CommitOutcomeUnknownError(SqlaSafeError):
    """COMMIT was sent and its answer was lost; the data may or may not be stored.

    It is never retried. The driver's error is its ``__cause__``.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        transaction_id: the server's id of the transaction, when it is known.
    """

    code: str | None = "SQS159"
    opened_at: str
    transaction_id: str | None

    def _text(self) -> str:
        xid = f" (transaction id {self.transaction_id})" if self.transaction_id else ""
        return (
            f"The scope opened at {self.opened_at} sent COMMIT and lost the answer{xid}: its work "
            "is stored whole or not at all, and nobody could say which. Look at the data before "
            "doing it again, or give the work a unique key so that a second try is harmless"
        )


class ReadOnlyScopeError(SqlaSafeError, InvalidRequestError):
    """A write was attempted in a read-only scope; nothing was written.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        what: the kind of write.
    """

    code: str | None = "SQS160"
    opened_at: str
    what: str

    def _text(self) -> str:
        return (
            f"{self.what} in the read-only scope opened at {self.opened_at}. Nothing was written. "
            "Instead: open the scope without read_only=True"
        )


class ScopeTimeoutError(SqlaSafeError, TimeoutError):
    """The transaction took longer than the scope's ``timeout`` and was rolled back.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        timeout: the limit in seconds.
    """

    code: str | None = "SQS161"
    opened_at: str
    timeout: float

    def _text(self) -> str:
        return (
            f"The scope opened at {self.opened_at} took longer than its timeout of "
            f"{self.timeout:g} s and was rolled back. Instead: do the slow part outside the block, "
            "or give it a larger timeout=..."
        )


class CommitCallbackError(SqlaSafeError, ExceptionGroup[Exception]):
    """Callbacks registered with ``scope.on_commit`` failed. The data is stored all the same.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        exceptions: what the callbacks raised, in the order of their registration.
    """

    code: str | None = "SQS162"
    opened_at: str

    def __new__(cls, *, opened_at: str, errors: Sequence[Exception]) -> Self:
        """Make the group; `ExceptionGroup` takes its exceptions here."""
        self = super().__new__(cls, "on_commit callbacks failed; the data is stored", errors)
        self.opened_at = opened_at
        return self

    def __init__(self, *, opened_at: str, errors: Sequence[Exception]) -> None:
        super().__init__(opened_at=opened_at, errors=list(errors))

    def _text(self) -> str:
        return (
            f"{len(self.exceptions)} on_commit callback(s) of the scope opened at {self.opened_at} "
            "failed. The data is stored: do not run the block again"
        )

    def derive(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, excs: Sequence[Exception], /
    ) -> CommitCallbackError:
        """Return a group of the same kind, as `ExceptionGroup.split` asks for."""
        return CommitCallbackError(opened_at=self.opened_at, errors=excs)


class PoolExhaustedError(SqlaSafeError, PoolTimeoutError):
    """An independent scope needs a second connection, and the pool can never give it one.

    Attributes:
        opened_at: ``file:line`` where the independent scope was opened.
        problem: who holds the connections.
    """

    code: str | None = "SQS163"
    opened_at: str
    problem: str

    def _text(self) -> str:
        return (
            f'The scope opened at {self.opened_at} with propagation="requires_new" needs a second '
            f"connection, but {self.problem}. Instead: make the pool larger, end or commit the "
            'outer scope first, or use propagation="nested"'
        )


class SqliteNotPreparedError(SqlaSafeError, InvalidRequestError):
    """A savepoint was asked for on a SQLite engine in the driver's legacy transaction mode.

    In that mode a savepoint outlives the rollback around it, so the scope refuses to begin.
    """

    code: str | None = "SQS164"

    def _text(self) -> str:
        return (
            'propagation="nested" needs real transactions, and SQLite\'s driver does not begin '
            "them by default: a savepoint would survive the rollback around it. Call "
            "sqla_safe.prepare_sqlite(engine) once, right after the engine is created"
        )


class IdleInTransactionWarning(UserWarning):
    """A scope held its connection, with the transaction open, over a slow call.

    Shown when ``configure(..., idle_in_transaction_warning=seconds)`` is set. End the block before
    the slow call, or call ``scope.commit()`` there.
    """

    code: ClassVar[str] = "SQS165"
