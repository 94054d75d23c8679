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

of snapshots, all below `SqlaSafeError`:

    NotLoadedError                 SQS170  the attribute was not captured
    FrozenSnapshotError            SQS171  a snapshot was to be changed
    SnapshotSourceError            SQS172  not an entity that can become a snapshot
    SnapshotPathError              SQS173  not a path that can be loaded
    PendingEntityError             SQS174  the entity is not in the database yet
    DeletedEntityError             SQS175  the entity is not in the database any more
    DetachedEntityError            SQS176  something is missing, and no session to load it
    AsyncLoadError                 SQS177  `snapshot` had to load inside a coroutine
    SnapshotLimitError             SQS178  the graph is larger than allowed
    SnapshotUnmappedError          SQS179  a snapshot was given to a session
    SnapshotEncodeError            SQS180  a value that `dumps` cannot carry
    SnapshotDecodeError            SQS181  data that is not a snapshot of this entity
    └── SnapshotVersionError       SQS182  data of an older or newer mapping
    WriteBackError                 SQS183  a change that `write_back` cannot store
    StaleSnapshotError             SQS184  the row was changed or deleted meanwhile

of views, below `SqlaSafeError`:

    ViewDefinitionError            SQS191  a view's class does not fit its entity
    ViewStatementError             SQS192  not a SELECT of one entity
    ViewSourceError                SQS193  not a session or scope of this kind
    ViewDataError                  SQS194  a row that the view's class cannot hold
    ViewNotFoundError              SQS195  no row where there must be one
    ViewAmbiguousError             SQS196  several rows where there must be one
    ViewStreamError                SQS197  the transaction of a stream ended before it

and of integrations, below `SqlaSafeError`:

    MissingExtraError              SQS140  the framework of an integration is not installed
    OuterTransactionError          SQS141  a test in one transaction cannot do what production does
    LeakError                      SQS142  a test left something open
    StatementCountError            SQS143  a block of a test ran more or fewer statements
    TaskArgumentError              SQS144  an entity was sent to a task queue
    FsmDataError                   SQS190  FSM data that belongs to a session

The texts never hold a column value or a bound parameter. Those that SQLAlchemy has a class for
derive from that class too; its ``code``, a page of SQLAlchemy's documentation, gives way to ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from sqlalchemy.exc import (
    ArgumentError,
    InvalidRequestError,
    MissingGreenlet,
    MultipleResultsFound,
    NoResultFound,
    ResourceClosedError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import DetachedInstanceError, StaleDataError, UnmappedInstanceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AsyncLoadError",
    "CommitCallbackError",
    "CommitOutcomeUnknownError",
    "ConcurrentUseError",
    "DeletedEntityError",
    "DetachedEntityError",
    "FrozenSnapshotError",
    "FsmDataError",
    "IdleInTransactionWarning",
    "LeakError",
    "ManagedTransactionError",
    "MissingExtraError",
    "NoScopeError",
    "NotLoadedError",
    "OuterTransactionError",
    "PendingEntityError",
    "PoolExhaustedError",
    "ReadOnlyScopeError",
    "RollbackOnlyError",
    "ScopeClosedError",
    "ScopeOptionError",
    "ScopeSourceError",
    "ScopeTimeoutError",
    "ServiceBuildError",
    "SnapshotDecodeError",
    "SnapshotEncodeError",
    "SnapshotLimitError",
    "SnapshotPathError",
    "SnapshotSourceError",
    "SnapshotUnmappedError",
    "SnapshotVersionError",
    "SqlaSafeError",
    "SqliteNotPreparedError",
    "StaleSnapshotError",
    "StatementCountError",
    "TaskArgumentError",
    "ViewAmbiguousError",
    "ViewDataError",
    "ViewDefinitionError",
    "ViewNotFoundError",
    "ViewSourceError",
    "ViewStatementError",
    "ViewStreamError",
    "WriteBackError",
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
        self._keep(facts)

    def _keep(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def _text(self) -> str:
        return "; ".join(f"{name}: {value}" for name, value in self._facts.items())

    def __str__(self) -> str:
        return f"{self._text()} [{self.code}]"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self._facts, getattr(self, "__notes__", []))


# --- scopes ------------------------------------------------------------------


class RollbackOnlyError(SqlaSafeError, InvalidRequestError):
    """The block ended without an exception, yet its work could not be stored and was rolled back.

    Raised at the end of the scope when a failed statement was swallowed and took the transaction
    with it, when an inner scope failed and its error was swallowed, or after
    ``scope.set_rollback_only(reason)``. The error that was swallowed is its ``__cause__``.

    Attributes:
        opened_at: ``file:line`` where the scope was opened.
        reason: what made the commit impossible, in words.
        where: ``file:line`` of what failed (a statement, an inner block) or of the call of
            ``set_rollback_only``, when it is known.
        asked: whether ``set_rollback_only`` asked for it.
    """

    code: str | None = "SQS151"
    opened_at: str
    reason: str
    where: str | None
    asked: bool = False

    _SWALLOWED = (
        "Let the error leave the block, or run the step that may fail in session.begin_nested() or "
        'scoped_services(..., propagation="nested")'
    )
    _ASKED = (
        "Where that is wanted, as in a dry run, put `except RollbackOnlyError` around the block"
    )

    def _text(self) -> str:
        at = f" ({self.where})" if self.where else ""
        return (
            f"Nothing was stored by the scope opened at {self.opened_at}: {self.reason}{at}. "
            f"{self._ASKED if self.asked else self._SWALLOWED}"
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
        asker: who has none: ``"task"``, or ``"thread"`` outside of an event loop.
    """

    code: str | None = "SQS155"
    wanted: str
    asker: str = "task"

    def _text(self) -> str:
        return (
            f"{self.wanted}, but this {self.asker} has no open scope for that sessionmaker. "
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
        expected: what belongs there, as the sentence before ``got``.
    """

    code: str | None = "SQS157"
    got: str
    instead: str
    expected: str = (
        "A scope is opened from a sessionmaker, an async_sessionmaker or an open scope, not from"
    )

    def _text(self) -> str:
        return f"{self.expected} {self.got}. Instead: {self.instead}"


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


# --- snapshots ---------------------------------------------------------------


class NotLoadedError(SqlaSafeError, DetachedInstanceError):
    """A mapped attribute of a snapshot was read that had not been captured.

    It is no `AttributeError`, on purpose: ``getattr(snap, "balance", 0)`` and ``hasattr`` must
    never turn "not loaded" into a value.

    Attributes:
        entity: the class that the attribute is mapped on.
        attribute: the attribute that was read.
        key: the primary key of the entity, as text.
        lazy: ``"dynamic"`` or ``"write_only"`` for a relationship that is only queried, else None.
    """

    code: str | None = "SQS170"  # type: ignore[assignment]  # None stays allowed, as in the base
    entity: str
    attribute: str
    key: str
    lazy: str | None

    def _text(self) -> str:
        name = f"{self.entity}.{self.attribute}"
        if self.lazy is not None:
            return (
                f"{name} is a {self.lazy} relationship, which snapshots do not hold ({self.key}). "
                f"Instead: inside the session, session.scalars(entity.{self.attribute}.select())"
            )
        return (
            f"{name} was not captured by this snapshot ({self.key}). "
            f"Instead: name it where the snapshot is made: snapshot(entity, {name})"
        )


class FrozenSnapshotError(SqlaSafeError, AttributeError, TypeError):
    """A snapshot, or a dict inside it, was to be changed. Nothing has changed.

    Attributes:
        what: what was to be changed.
        instead: the repair.
    """

    code: str | None = "SQS171"
    what: str
    instead: str

    def _text(self) -> str:
        return f"{self.what} cannot be changed. Instead: {self.instead}"


class SnapshotSourceError(SqlaSafeError, TypeError):
    """What was given is no entity that can be frozen, no snapshot, or no limit.

    Attributes:
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS172"
    problem: str
    instead: str

    def _text(self) -> str:
        return f"{self.problem}. Instead: {self.instead}"


class SnapshotPathError(SqlaSafeError, ArgumentError):
    """What was given as a path names nothing that could be loaded.

    Attributes:
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS173"
    problem: str
    instead: str

    def _text(self) -> str:
        return f"{self.problem}. Instead: {self.instead}"


class PendingEntityError(SqlaSafeError, InvalidRequestError):
    """The entity is not in the database yet: it has no key, and the defaults are not set.

    Attributes:
        entity: its class.
    """

    code: str | None = "SQS174"
    entity: str

    def _text(self) -> str:
        return (
            f"This {self.entity} is not in the database yet: its key and its defaults are unknown. "
            "Instead: session.add(entity) and session.flush() before snapshot(...)"
        )


class DeletedEntityError(SqlaSafeError, InvalidRequestError):
    """The entity is not in the database any more.

    Attributes:
        entity: its class.
        what: what is known, in words.
    """

    code: str | None = "SQS175"
    entity: str
    what: str

    def _text(self) -> str:
        return (
            f"This {self.entity} {self.what}. Instead: make the snapshot before the DELETE is "
            "flushed, and take deleted entities out of the collections that were loaded before"
        )


class DetachedEntityError(SqlaSafeError, DetachedInstanceError):
    """Something is missing, and the entity has no session that could load it.

    Attributes:
        entity: its class.
        missing: the attributes that are missing, as ``Class.attribute``.
        expired: whether a commit, rollback or ``expire`` took them away.
    """

    code: str | None = "SQS176"  # type: ignore[assignment]  # None stays allowed, as in the base
    entity: str
    missing: tuple[str, ...]
    expired: bool

    def _text(self) -> str:
        names = ", ".join(self.missing)
        verb = "is" if len(self.missing) == 1 else "are"
        why = (
            "expired when its transaction ended, and its session is gone"
            if self.expired
            else f"{verb} not loaded, and the entity has left its session"
        )
        return (
            f"No snapshot can be made of this {self.entity}: {names} {why}. "
            "Instead: call snapshot(...) inside the scope or session that loads the entity"
        )


class AsyncLoadError(SqlaSafeError, MissingGreenlet):
    """`snapshot` had something to load, but its session is asynchronous.

    Attributes:
        missing: the attributes to load, as ``Class.attribute``.
    """

    code: str | None = "SQS177"  # type: ignore[assignment]  # None stays allowed, as in the base
    missing: tuple[str, ...]

    def _text(self) -> str:
        names = ", ".join(self.missing)
        return f"{names} must be loaded through an AsyncSession. Instead: await asnapshot(...)"


class SnapshotLimitError(SqlaSafeError, InvalidRequestError):
    """The graph behind the entities is larger than allowed; nothing was cut off.

    Attributes:
        limit: ``"max_objects"`` or ``"max_depth"``.
        value: the limit.
    """

    code: str | None = "SQS178"
    limit: str
    value: int

    def _text(self) -> str:
        what = "objects" if self.limit == "max_objects" else "levels of relationships"
        return (
            f"More than {self.value} {what} can be reached through what is loaded. Instead: load "
            f"less, make the snapshots in parts, or allow more with {self.limit}=..."
        )


class SnapshotUnmappedError(SqlaSafeError, UnmappedInstanceError):
    """A snapshot was handed to a session or to ``inspect``, which work with entities.

    Attributes:
        entity: the class of the entity it was made from.
    """

    code: str | None = "SQS179"
    entity: str

    def __init__(self, *, entity: str) -> None:
        super(UnmappedInstanceError, self).__init__()  # its own wants the object, for its text
        self._keep({"entity": entity})

    def _text(self) -> str:
        return (
            f"This is a snapshot of {self.entity}, and belongs to no session. Instead: "
            f"write_back(session, changed, base=snapshot) stores changes, "
            f"session.get({self.entity}, key) gives the entity"
        )


class SnapshotEncodeError(SqlaSafeError, TypeError):
    """A snapshot holds a value that `dumps` has no form for.

    Attributes:
        attribute: where the value is, as ``Class.attribute``.
        kind: the type of the value.
    """

    code: str | None = "SQS180"
    attribute: str
    kind: str

    def _text(self) -> str:
        return (
            f"{self.attribute} holds a {self.kind}, which dumps cannot carry. Instead: store it as "
            "a type that JSON and msgpack have, or use pickle where you trust both ends"
        )


class SnapshotDecodeError(SqlaSafeError, ValueError):
    """The data is not what `dumps` made of a snapshot of this entity.

    Attributes:
        entity: the entity that was asked for.
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS181"
    entity: str
    problem: str
    instead: str = "treat it as missing, and load the entity"

    def _text(self) -> str:
        return f"This is no snapshot of {self.entity}: {self.problem}. Instead: {self.instead}"


class SnapshotVersionError(SnapshotDecodeError):
    """The data was made when the entity was mapped differently.

    Attributes:
        entity: the entity that was asked for.
        problem: which class has changed.
    """

    code: str | None = "SQS182"


class WriteBackError(SqlaSafeError, ArgumentError):
    """`write_back` was given something that it cannot store. Nothing was written.

    Attributes:
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS183"
    problem: str
    instead: str

    def _text(self) -> str:
        return f"{self.problem}. Nothing was written. Instead: {self.instead}"


class StaleSnapshotError(SqlaSafeError, StaleDataError):
    """The row was changed or deleted since the snapshot was made. Nothing was written.

    Attributes:
        entity: its class.
        key: the primary key, as text.
        base: the snapshot that the change started from.
        changed: the snapshot that was to be stored.
        partly: whether a row of another table, in joined inheritance, was written before.
    """

    code: str | None = "SQS184"
    entity: str
    key: str
    base: Any
    changed: Any
    partly: bool

    def _text(self) -> str:
        written = (
            "A part was written to another table: roll the transaction back"
            if self.partly
            else "Nothing was written"
        )
        return (
            f"{self.entity} ({self.key}) was changed or deleted after its snapshot was made. "
            f"{written}. Instead: load it again, make the change on the new snapshot "
            "(replace) and write that back; `base` and `changed` hold both states"
        )


# --- views -------------------------------------------------------------------


class ViewDefinitionError(SqlaSafeError, TypeError):
    """A view's class cannot be filled from its entity. All that is wrong is told at once.

    Attributes:
        view: the view's class.
        entity: the entity's class.
        problems: what is wrong, each with the repair.
    """

    code: str | None = "SQS191"
    view: str
    entity: str
    problems: tuple[str, ...]

    def _text(self) -> str:
        if len(self.problems) == 1:
            return f"{self.view} is no view of {self.entity}: {self.problems[0]}"
        listed = "".join(f"\n  - {problem}" for problem in self.problems)
        count = len(self.problems)
        return f"{self.view} is no view of {self.entity}, for {count} reasons:{listed}\n"


class ViewStatementError(SqlaSafeError, ArgumentError):
    """The statement given to a view is not a SELECT of one entity, or not one that it can be for.

    Attributes:
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS192"
    problem: str
    instead: str

    def _text(self) -> str:
        return f"{self.problem}. Instead: {self.instead}"


class ViewSourceError(SqlaSafeError, TypeError):
    """What was given to load a view with is no session or scope, or one of the other kind.

    Attributes:
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS193"
    problem: str
    instead: str

    def _text(self) -> str:
        return f"{self.problem}. Instead: {self.instead}"


class ViewDataError(SqlaSafeError, ValueError):
    """A row came that the view's class cannot hold. Nothing is put in its place.

    Attributes:
        where: the field, as ``Class.field``, or the class where the row has no entity.
        problem: what is wrong, in words.
        instead: the repair.
    """

    code: str | None = "SQS194"
    where: str
    problem: str
    instead: str

    def _text(self) -> str:
        return f"{self.where} {self.problem}. Instead: {self.instead}"


class ViewNotFoundError(SqlaSafeError, NoResultFound):
    """`fetch_one` found no row.

    Attributes:
        view: the view's class.
        entity: the entity's class.
    """

    code: str | None = "SQS195"
    view: str
    entity: str

    def _text(self) -> str:
        return (
            f"No {self.entity} was found for {self.view}, and fetch_one gives one. Instead: "
            "fetch_one_or_none(...), where there may be none"
        )


class ViewAmbiguousError(SqlaSafeError, MultipleResultsFound):
    """`fetch_one` found several rows.

    Attributes:
        view: the view's class.
        entity: the entity's class.
    """

    code: str | None = "SQS196"
    view: str
    entity: str

    def _text(self) -> str:
        return (
            f"Several rows of {self.entity} were found for {self.view}, and fetch_one gives one. "
            "Instead: fetch(...), or .order_by(...).limit(1) on the statement for the first"
        )


class ViewStreamError(SqlaSafeError, ResourceClosedError):
    """The transaction that a stream of views reads in ended between two batches.

    Attributes:
        view: the view's class.
    """

    code: str | None = "SQS197"
    view: str

    def _text(self) -> str:
        return (
            f"The transaction of a stream of {self.view} ended between two batches, by commit(), "
            "rollback() or close(), and its other rows with it. Instead: commit() behind the loop, "
            "or store what each batch brings in a session of its own"
        )


# --- integrations ------------------------------------------------------------


class MissingExtraError(SqlaSafeError, ImportError):
    """An integration was imported, and the framework that it is for is not installed.

    Attributes:
        extra: the extra of sqla-safe that brings it.
    """

    code: str | None = "SQS140"
    extra: str

    def _text(self) -> str:
        return f"{self.extra} is not installed. Instead: pip install 'sqla-safe[{self.extra}]'"


class OuterTransactionError(SqlaSafeError, InvalidRequestError):
    """A test inside one rolled-back transaction did what only separate transactions can do.

    Attributes:
        problem: what happened, with the lines where the transactions began.
        instead: the repair.
    """

    code: str | None = "SQS141"
    problem: str
    instead: str

    def _text(self) -> str:
        return (
            f"{self.problem}. Inside rolled_back() all transactions share one connection. "
            f"Instead: {self.instead}"
        )


class LeakError(SqlaSafeError, AssertionError):
    """A test has ended, and something that it began has not.

    Attributes:
        leaks: one line for each thing, with the line where it began.
    """

    code: str | None = "SQS142"
    leaks: Sequence[str]

    def _text(self) -> str:
        listed = "\n".join(f"  {leak}" for leak in self.leaks)
        return (
            f"The test has ended, and this has not:\n{listed}\n"
            "Instead: end it inside the test (`async with`, `await task`), or in the fixture that "
            "began it"
        )


class StatementCountError(SqlaSafeError, AssertionError):
    """A block ran another number of statements than it was meant to.

    Attributes:
        expected: what was meant, in words.
        statements: the statements that ran, without parameters, each with its line.
    """

    code: str | None = "SQS143"
    expected: str
    statements: Sequence[str]

    def _text(self) -> str:
        listed = "\n".join(f"  {n}. {text}" for n, text in enumerate(self.statements, 1))
        return (
            f"Expected {self.expected}, and {len(self.statements)} ran"
            f"{':' if self.statements else ''}\n{listed}\n"
            "Instead: load what is missing with the first statement (selectinload, joinedload), "
            "or change the number"
        )


class TaskArgumentError(SqlaSafeError, TypeError):
    """What belongs to a session was sent to a task queue. Nothing was sent.

    Attributes:
        where: the argument, such as ``args[0]``.
        kind: the class of what was found there.
        what: ``"an entity"``, ``"a session"``, ``"a scope"`` or ``"a snapshot"`` of a class that
            the codec was not given.
        instead: the repair.
    """

    code: str | None = "SQS144"
    where: str
    kind: str
    what: str
    instead: str

    def _text(self) -> str:
        return (
            f"{self.where} holds {self.what} ({self.kind}), and the task runs elsewhere, without "
            f"its session. Nothing was sent. Instead: {self.instead}"
        )


class FsmDataError(SqlaSafeError, TypeError):
    """What belongs to a session, or a snapshot, was put into FSM data. Nothing was stored.

    Attributes:
        name: the key of the FSM data.
        kind: the class of what was found there.
        what: ``"an entity"``, ``"a snapshot"``, ``"a session"`` or ``"a scope"``.
    """

    code: str | None = "SQS190"
    name: str
    kind: str
    what: str

    def _text(self) -> str:
        return (
            f"The FSM data {self.name!r} holds {self.what} ({self.kind}). FSM data outlives the "
            "update and its session, and may be kept outside of this process. Nothing was stored. "
            "Instead: the id; or to_dict(snapshot) or dumps(snapshot)"
        )
