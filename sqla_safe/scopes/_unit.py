"""One session and its transaction: who may use it, what becomes of it, and how it ends.

The methods here are plain functions. Async scopes run those that talk to the database in a
greenlet, through ``AsyncSession.run_sync``, so that the rules are written once.
"""

from __future__ import annotations

import asyncio
import threading
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sqla_safe import _dbapi
from sqla_safe._locations import current_line, task_line, thread_line
from sqla_safe.errors import (
    CommitOutcomeUnknownError,
    ConcurrentUseError,
    ManagedTransactionError,
    ReadOnlyScopeError,
    RollbackOnlyError,
    ScopeClosedError,
    ScopeOptionError,
    ScopeTimeoutError,
    SqliteNotPreparedError,
)
from sqla_safe.scopes import _connections
from sqla_safe.scopes._idle import IdleWatch
from sqla_safe.scopes._options import DEFAULT
from sqla_safe.scopes._policy import DEFAULT_POLICY, policy_of
from sqla_safe.scopes._pools import Waiting, wait_for_second
from sqla_safe.scopes._sqlite import is_prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session, SessionTransaction

    from sqla_safe._locations import Place
    from sqla_safe.scopes._connections import Failure
    from sqla_safe.scopes._options import ScopeOptions
    from sqla_safe.scopes._policy import Policy


class Timer(Protocol):
    """Cuts the connections off when an answer takes too long; the shells have one each."""

    def arm(self, seconds: float) -> None:
        """Cut off in so many seconds, unless disarmed."""

    def disarm(self) -> None:
        """Call it off."""


Outcome = Literal["committed", "rolled_back", "unknown"]
_LONGEST_STATEMENT = 2**31 - 1
"""Milliseconds: the most that PostgreSQL's ``statement_timeout`` takes."""
_COMMIT_SHARE = 0.75
"""The part of ``cleanup_timeout`` that COMMIT may take; the rest is for asking what became of it."""


class Deadline(NamedTuple):
    """When the time is up (on the monotonic clock), how long it was, and who set it."""

    due: float
    seconds: float
    place: Place


class Doom(NamedTuple):
    """Why nothing may be committed any more."""

    reason: str
    where: str | None
    cause: BaseException | None


class Boundary:
    """What can be undone by itself: a whole transaction, or one savepoint in it."""

    doom: Doom | None = None
    outcome: Outcome | None = None
    savepoint: SessionTransaction | None = None
    failures_before = 0
    on_commit: Sequence[Callable[[], Any]] = ()
    on_rollback: Sequence[Callable[[], Any]] = ()

    def __init__(self, parent: Boundary | None = None) -> None:
        self.parent = parent

    def set_doom(self, reason: str, where: str | None, cause: BaseException | None) -> None:
        """Make a commit impossible; the first reason stays."""
        if self.doom is None:
            self.doom = Doom(reason, where, cause)


class Ended:
    """Stands in for the unit in a session whose scope has ended: whatever comes is refused."""

    __slots__ = ("place",)

    is_open = False
    is_closed = True
    wrote = True
    busy = None
    policy = DEFAULT_POLICY

    def __init__(self, place: Place) -> None:
        self.place = place

    def refuse_closed(self, operation: str) -> NoReturn:
        """Raise for anything that comes after the end."""
        raise ScopeClosedError(opened_at=str(self.place), operation=operation)

    def enter(self) -> NoReturn:
        """Refuse an operation."""
        self.refuse_closed("Use of the session")

    expect_change = refuse_closed

    def cancelled(self) -> bool:
        """Nothing of the scope can be running any more."""
        return False

    def sever(self) -> None:
        """Nothing of the scope is connected any more."""

    def forbid(self, method: str) -> NoReturn:
        """Refuse a call that would end or begin a transaction."""
        self.refuse_closed(f"session.{method}()")

    refuses = forbid

    def acts(self) -> bool:
        """Say that no scope is at work any more."""
        return False


class Unit(Boundary):
    """The session of an outermost scope, shared by all that join it."""

    session: Session
    public: AsyncSession | Session
    engine: Engine
    timer: Timer | None = None

    is_open = True
    is_closed = False
    session_options: Mapping[str, Any] = {"close_resets_only": False}  # noqa: RUF012  (read only; a proxy is slower)
    """Without this one a closed session comes back to life at its next use."""
    is_steered = False
    """Whether the scope chooses the engine's options itself."""
    is_guarded = False
    """Whether `enter` has more to ask than who is inside."""
    busy: Any = None
    acting: Any = None
    phase: Literal["body", "preparing", "committing", "releasing"] = "body"
    wrote = False
    _wrote_before = False
    severed = False
    is_patient = True
    """Whether nothing has to be cut off when an answer takes too long: there is no network."""
    failures: Sequence[Failure] = ()
    savepoints: Sequence[Boundary] = ()
    xid: int | None = None
    deadline: Deadline | None = None
    clock: asyncio.Timeout | None = None
    idle: IdleWatch | None = None
    _independent_of: Iterable[Connection] | None = None
    _waiting: Waiting | None = None
    _statement_limit = 0.0
    parent = None

    def __init__(
        self, source: Any, options: ScopeOptions, place: Place, who: Callable[[], Any]
    ) -> None:
        self.source = source
        self.options = options
        self.place = place
        self.who = who
        self.owner = who()
        self.policy = policy = policy_of(source)
        self.read_only = options.read_only
        self.connections: list[Connection] = []
        self.instances: dict[Any, Any] = {}
        if options is not DEFAULT:
            self._heed(options)
        if policy is not DEFAULT_POLICY:
            self._obey(policy)

    def begin(self) -> None:
        """Begin the transaction by hand, for a session that does not begin by itself."""
        self.acting = self.who()
        self.session.begin()
        self.acting = None

    def _obey(self, policy: Policy) -> None:
        self.is_guarded = self.is_guarded or policy.guard_owner
        if policy.expire_on_commit is not None:
            expire = {"expire_on_commit": policy.expire_on_commit}
            self.session_options = {**self.session_options, **expire}
        if policy.idle_in_transaction_warning is not None:
            self.idle = IdleWatch(policy.idle_in_transaction_warning, self.place)
            self.is_guarded = True

    def _heed(self, options: ScopeOptions) -> None:
        self._steered: dict[Any, Any] = {}
        self.limit(options.timeout, self.place)
        self.is_steered = (
            options.read_only
            or options.isolation_level is not None
            or options.propagation == "requires_new"
        )

    # -- what the scope is ---------------------------------------------------------------------

    @property
    def opened_at(self) -> str:
        """``file:line`` where the outermost scope was opened."""
        return str(self.place)

    @property
    def is_async(self) -> bool:
        """Say whether the scope came from an ``async_sessionmaker``."""
        return self.who is not get_ident

    def be_independent_of(self, held: Iterable[Connection]) -> None:
        """Remember the connections that the task holds already, outside this unit."""
        self._independent_of = held

    def limit(self, seconds: float | None, place: Place) -> Deadline | None:
        """Set the deadline, never later than the present one; return the present one."""
        before = self.deadline
        if seconds is not None:
            deadline = Deadline(monotonic() + seconds, seconds, place)
            self.deadline = deadline if before is None else min(before, deadline)
            self.is_guarded = True
        return before

    def begin_reading(self) -> None:
        """A block joins that may only read: what comes is refused here, not by the database."""
        self.read_only = True
        self._wrote_before, self.wrote = self.wrote, False

    def end_reading(self, *, is_over: bool) -> None:
        """The block has ended; what is around it may write again, if it is over."""
        if self.read_only and is_over:
            self.read_only, self.wrote = False, self._wrote_before

    # -- one task at a time --------------------------------------------------------------------

    def enter(self) -> bool:
        """Begin an operation; return False if it is a part of one that goes on already."""
        me = self.who()
        if self.busy is not None:
            if self.busy == me:
                return False
            raise self._overlap(me)
        if self.is_guarded:
            self._check(me)
        self.busy = me
        return True

    def leave(self) -> None:
        """End an operation."""
        self.busy = None
        if self.is_guarded:
            self._after_operation()

    def _after_operation(self) -> None:
        if self.idle is not None:
            self.idle.rest()
        if self.is_closed:  # somebody else's statement outlived the scope
            self._discard_all()

    def expect_change(self, operation: str) -> None:
        """Refuse a change of the session's objects after the end, or during another's operation."""
        if not self.is_open and not self.acts():
            self.refuse_closed(operation)
        me = self.who()
        if self.busy is not None and self.busy != me:
            raise self._overlap(me)

    def saw(self, error: BaseException) -> None:
        """Note an error that left an operation."""
        if self.doom is not None and self.doom.cause is None and isinstance(error, Exception):
            self.doom = self.doom._replace(cause=error)
        if isinstance(error, OSError):
            _dbapi.mark_from_session(error)

    def acts(self) -> bool:
        """Say whether it is the scope itself that calls the session now."""
        return self.acting is not None and self.acting == self.who()

    def _check(self, me: Any) -> None:
        """The rarer conditions; runs only where one of them is possible."""
        if self.acting is not None and self.acting == me:
            return
        if not self.is_open:
            self.refuse_closed("Use of the session")
        if self.policy.guard_owner and me != self.owner:
            raise self._foreign(me)
        if self.deadline is not None:
            self._check_deadline()
        if self.idle is not None and self.connections:
            self.idle.check(current_line())

    def _overlap(self, me: Any) -> ConcurrentUseError:
        error = self._concurrent(self.busy, me, "Two operations at the same time on one session")
        if not self.acts():  # whoever swallows it must not store the other half alone
            reason = "two tasks used the session at the same time, and the error was swallowed"
            self.set_doom(reason, error.second_at, error)
        return error

    def _foreign(self, me: Any) -> ConcurrentUseError:
        situation = "The session was used by another task than its owner (guard_owner=True)"
        error = self._concurrent(self.owner, me, situation)
        reason = "another task than its owner used the session, and the error was swallowed"
        self.set_doom(reason, error.second_at, error)
        return error

    def _concurrent(self, first: Any, second: Any, situation: str) -> ConcurrentUseError:
        return ConcurrentUseError(
            opened_at=self.opened_at,
            first_task=_name(first),
            first_at=_line(first),
            second_task=_name(second),
            second_at=current_line() if second == self.who() else _line(second),
            situation=situation,
        )

    def still_busy(self) -> ConcurrentUseError:
        """Return the error for a scope that ends while somebody else's statement is running."""
        situation = (
            "The scope ended while another task's statement was running, which was cut off after "
            f"{self.policy.drain_timeout:g} s; everything was rolled back"
        )
        return self._concurrent(self.busy, self.who(), situation)

    # -- what is refused -----------------------------------------------------------------------

    def refuse_closed(self, operation: str) -> NoReturn:
        """Raise for anything that comes after the end."""
        raise ScopeClosedError(opened_at=self.opened_at, operation=operation)

    def forbid(self, method: str) -> None:
        """Raise for a call that would end or begin the transaction behind the scope's back."""
        if self.acts():
            return
        if not self.is_open:
            self.refuse_closed(f"session.{method}()")
        raise ManagedTransactionError(method=method, opened_at=self.opened_at)

    def refuses(self, method: str) -> bool:
        """Raise as `forbid` does, or return True where the policy gives the call a new meaning."""
        if not self.is_open or self.policy.service_commit == "raise":
            self.forbid(method)
        return True

    def doom_by_service(self) -> None:
        """A service's ``rollback()`` under ``service_commit="flush"``."""
        self.innermost.set_doom("a service called session.rollback()", current_line(), None)

    @property
    def innermost(self) -> Boundary:
        """The innermost savepoint scope that is open, or the unit itself."""
        return self.savepoints[-1] if self.savepoints else self

    def lost_transaction(self) -> None:
        """The transaction was rolled back inside the block: by a failed flush, or by hand."""
        if self.acts():
            return
        failure = self.failures[-1] if self.failures else None
        if failure is not None:
            self.set_doom(
                "a flush failed and the error was swallowed", failure.where, failure.error
            )
        else:
            self.set_doom("the transaction was rolled back inside the block", current_line(), None)

    # -- writes --------------------------------------------------------------------------------

    def expect_write(self, statement: Any) -> None:
        """Note that the transaction may write, or refuse it in a read-only scope."""
        if statement is not None and _reads(statement):
            return
        if not self.read_only:
            self.wrote = True
        elif getattr(statement, "is_dml", False):
            raise self._read_only(f"{statement.__visit_name__.upper()} was executed")
        elif not self.options.read_only:  # joined: the database itself would let it through
            raise self._read_only("A statement that may write was executed")

    def expect_flush(self) -> None:
        """Note that the session is about to write its changes, or refuse it."""
        if not self.read_only:
            self.wrote = True
            return
        session = self.session
        if session.new or session.deleted or any(map(session.is_modified, session.dirty)):
            raise self._read_only("Changed objects were flushed")

    def _read_only(self, what: str) -> ReadOnlyScopeError:
        return ReadOnlyScopeError(opened_at=self.opened_at, what=what)

    # -- connections ---------------------------------------------------------------------------

    def steer(self, bind: Any) -> Any:
        """Return the engine with the options of this scope; called before a connection is taken."""
        steered = self._steered.get(bind)
        if steered is None:
            steered = self._steered[bind] = self._with_options(bind)
        if self._independent_of is not None and not self.connections and self._waiting is None:
            self._waiting = wait_for_second(
                steered.engine.pool, self._independent_of, self.opened_at
            )
        return steered

    def _with_options(self, bind: Engine | Connection) -> Engine | Connection:
        options = self.options
        if options.read_only and self.policy.read_only_bind is not None:
            bind = self.policy.read_only_bind
        wanted: dict[str, Any] = {}
        if options.isolation_level is not None and bind.dialect.name != "sqlite":
            wanted["isolation_level"] = options.isolation_level
        elif options.isolation_level not in (None, "SERIALIZABLE"):
            raise ScopeOptionError(
                problem=f"SQLite has no isolation level {options.isolation_level}",
                instead="leave isolation_level out; SQLite's transactions are SERIALIZABLE",
            )
        if options.read_only:
            wanted[READ_ONLY_OPTION] = True
            if bind.dialect.name == "postgresql":
                wanted["postgresql_readonly"] = True
        if not wanted:
            return bind
        if isinstance(bind, Connection):
            raise ScopeOptionError(
                problem="read_only and isolation_level need a sessionmaker bound to an engine, and "
                "this one is bound to a connection",
                instead="sessionmaker(engine)",
            )
        return bind.execution_options(**wanted)

    def adopt(self, connection: Connection) -> None:
        """Take note of a connection on which the session has just begun its transaction."""
        if self.connections:
            self._refuse_second_transaction()
        self.connections.append(connection)
        self.engine = connection.engine
        connection.sqla_safe_unit = self  # type: ignore[attr-defined]  # how an error finds its unit
        if _connections.MARK not in connection.dialect.__dict__:
            _connections.listen(connection)
        if self.who is not get_ident or connection.dialect.name != "sqlite":
            self.is_patient = False
        if self._waiting is not None:
            self._stop_waiting()
        if self.options.read_only:
            _set_read_only(connection)
        if self.savepoints:
            self._refuse_unprepared_sqlite()
        if self.deadline is not None and not self.is_async:
            self._check_deadline()

    def _refuse_second_transaction(self) -> None:
        """Catch ``session.get_transaction().commit()``, which passes by the session's methods."""
        if any(c.closed for c in self.connections):
            self.set_doom("the transaction was ended inside the block", current_line(), None)
            raise ManagedTransactionError(method="commit", opened_at=self.opened_at)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.done()
            self._waiting = None

    def failed(self, failure: Failure, *, lost: bool) -> None:
        """Note a statement that failed."""
        self.failures = [*self.failures, failure]
        if lost:
            reason = "the database rolled the transaction back when a statement failed"
            self.set_doom(reason, failure.where, failure.error)

    def translate(self, error: BaseException) -> BaseException | None:
        """Return our own error for what the database refused in the scope's name."""
        if self.read_only and _dbapi.is_read_only_violation(error):
            return self._read_only("A write reached the database")
        if self.deadline is not None and _dbapi.is_statement_timeout(error):
            return self._too_late()
        return None

    # -- time ----------------------------------------------------------------------------------

    def _check_deadline(self) -> None:
        left = self._seconds_left()
        if left <= 0:
            raise self._too_late()
        if not self.is_async:
            self._limit_statements(left)

    def _seconds_left(self) -> float:
        return float("inf") if self.deadline is None else self.deadline.due - monotonic()

    def _limit_statements(self, left: float) -> None:
        """Let PostgreSQL itself cut off a statement of a sync scope."""
        if not self.connections or self._statement_limit == round(left, 3):
            return
        for connection in self.connections:
            if connection.dialect.name == "postgresql" and not connection.invalidated:
                milliseconds = min(max(1, int(left * 1000)), _LONGEST_STATEMENT)
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")
        self._statement_limit = round(left, 3)

    def _too_late(self) -> ScopeTimeoutError:
        assert self.deadline is not None
        return ScopeTimeoutError(opened_at=str(self.deadline.place), timeout=self.deadline.seconds)

    # -- savepoints ----------------------------------------------------------------------------

    def begin_savepoint(self, boundary: Boundary) -> None:
        """Begin the savepoint of a nested scope."""
        self._refuse_unprepared_sqlite()
        boundary.failures_before = len(self.failures)
        boundary.savepoint = self.session.begin_nested()
        self.savepoints = [*self.savepoints, boundary]

    def _refuse_unprepared_sqlite(self) -> None:
        engines = [c.engine for c in self.connections]
        if not engines and self.session.bind is not None:
            engines = [self.session.bind.engine]
        for engine in engines:
            if engine.dialect.name == "sqlite" and not is_prepared(engine):
                raise SqliteNotPreparedError

    def end_savepoint(self, boundary: Boundary, body: BaseException | None) -> BaseException | None:
        """Release the savepoint or roll back to it; return what is to be raised."""
        self.savepoints = [s for s in self.savepoints if s is not boundary]
        error = body
        if error is None:
            try:
                self._release_savepoint(boundary)
            except BaseException as raised:  # noqa: BLE001  (returned, and raised by the caller)
                error = raised
        if error is None:
            boundary.outcome = "committed"
            return None
        boundary.outcome = "rolled_back"
        self._undo_savepoint(boundary, error)
        return error

    def _release_savepoint(self, boundary: Boundary) -> None:
        savepoint = boundary.savepoint
        assert savepoint is not None
        failed = self.failures[boundary.failures_before :]
        if not savepoint.is_active and boundary.doom is None:
            cause = failed[-1] if failed else None
            boundary.set_doom(
                "a flush failed and the error was swallowed",
                cause and cause.where,
                cause and cause.error,
            )
        _refuse_doomed(boundary, self.place)
        self.session.flush()
        failed = self.failures[boundary.failures_before :]
        if failed and not all(_connections.still_usable(c, failed) for c in self.connections):
            boundary.set_doom(*_swallowed(failed[0]))
            _refuse_doomed(boundary, self.place)
        savepoint.commit()

    def _undo_savepoint(self, boundary: Boundary, error: BaseException) -> None:
        assert boundary.savepoint is not None
        try:
            self.acting = self.who()
            if self.session.is_active or boundary.savepoint.is_active:
                boundary.savepoint.rollback()
            else:
                self._roll_back_to(boundary.savepoint)
        except BaseException as second:  # noqa: BLE001  (the first error wins)
            _note(error, "rolling back to the savepoint", second)
            self.set_doom("rolling back to a savepoint failed", None, second)
        else:
            self.failures = self.failures[: boundary.failures_before]
        finally:
            self.acting = None

    def _roll_back_to(self, savepoint: SessionTransaction) -> None:
        if self.session.get_nested_transaction() is savepoint:
            savepoint.rollback()

    # -- the end -------------------------------------------------------------------------------

    def complete(self, body: BaseException | None) -> BaseException | None:
        """Store the work, or undo it, and give the connections back.

        Returns:
            What is to be raised, or None when everything is stored. ``outcome`` is set.
        """
        self.acting = self.who()
        self.is_open, self.is_guarded = False, True
        error = body
        if error is None:
            try:
                self._store()
            except BaseException as raised:  # noqa: BLE001  (returned, and raised by the shell)
                error = raised
        if self.outcome is None:
            self.outcome = "rolled_back"
        self._release(error)
        if self.outcome == "unknown" and self.xid is None:
            error = self._unknown(error)
        return error

    def checkpoint(self) -> BaseException | None:
        """Store what is done so far and give the connections back, for `Scope.commit`.

        Returns:
            What went wrong, or None. `go_on` is called next in any case.
        """
        self.acting = self.who()
        try:
            self._store()
        except BaseException as raised:  # noqa: BLE001  (returned, and raised by the shell)
            if self.outcome == "unknown" and self.xid is not None:
                self._attempt(self.session.rollback, raised)
                self._discard_all()
            return raised
        return None

    def go_on(self, error: BaseException | None) -> BaseException | None:
        """Begin a new transaction after `checkpoint`, or end here; return what is to be raised."""
        self.acting = self.who()
        if error is None or self.outcome == "committed":
            interrupted = self.settle(error) if error is not None else None
            self._begin_anew()
            return interrupted
        if self.outcome is None:
            self.outcome = "rolled_back"
        self.is_open, self.is_guarded = False, True
        self._release(error)
        return self._unknown(error) if self.outcome == "unknown" else error

    def _begin_anew(self) -> None:
        self._take_your_time()
        self.connections, self.failures, self._steered = [], (), {}
        self.outcome, self.phase, self.wrote, self.xid = None, "body", False, None
        self._statement_limit = 0.0
        if not self.session.autobegin:
            self.begin()
        self.acting = None

    def _store(self) -> None:
        """Write what is pending, make sure that it can be stored, and commit."""
        self.phase = "preparing"
        if self.idle is not None and self.connections:
            self.idle.check("its end")
        if self.doom is not None:
            _refuse_doomed(self, self.place)
        if self.deadline is not None:
            self._refuse_late()
        session: Any = self.session
        if not (self.is_patient and self.connections):  # else COMMIT may as well do it
            session._sqs_base.flush(session)
        if not self.is_patient:
            self._hurry(self.policy.cleanup_timeout)
        if self.failures:
            self._refuse_aborted()
        if self.wrote and self.policy.resolve_commit:
            self.xid = self._transaction_id()
        if self.read_only:
            self._restore_connections()
        if self.deadline is not None:
            self._refuse_late()
            if self.clock is not None:
                self.clock.reschedule(None)  # COMMIT is not torn
        self.phase = "committing"
        if not self.is_patient:
            self._hurry(self.policy.cleanup_timeout * _COMMIT_SHARE)
        try:
            session._sqs_base.commit(session)
        except BaseException as error:
            self.outcome = self._judge(error)
            for connection in self.connections:
                _connections.end_failed_commit(connection)
            raise
        self.outcome = "committed"

    def _hurry(self, seconds: float) -> None:
        """Let the timer cut the connections off when the database does not answer."""
        if self.timer is not None:
            self.timer.arm(seconds)

    def _take_your_time(self) -> None:
        if self.timer is not None:
            self.timer.disarm()

    def _refuse_late(self) -> None:
        if self._seconds_left() <= 0 or (self.clock is not None and self.clock.expired()):
            raise self._too_late()

    def _refuse_aborted(self) -> None:
        """Raise if a swallowed error has taken the transaction with it; asks only after errors."""
        if any(c.invalidated for c in self.connections):
            reason = "the connection was lost inside the block and the error was swallowed"
            cause = self.failures[-1] if self.failures else None
            self.set_doom(reason, cause and cause.where, cause and cause.error)
        elif self.failures:
            failures = self.failures
            if not all(_connections.still_usable(c, failures) for c in self.connections):
                self.set_doom(*_swallowed(failures[0]))
        _refuse_doomed(self, self.place)

    def _transaction_id(self) -> int | None:
        if len(self.connections) != 1:
            return None
        connection = self.connections[0]
        if not self._is_own(connection) or not _connections.has_transaction_status(connection):
            return None
        xid = _connections.transaction_id(connection)
        self.wrote = xid is not None
        return xid

    def _is_own(self, connection: Connection) -> bool:
        """Say whether the session took this connection from a pool, and did not get it bound."""
        return not isinstance(self.session.bind, Connection) or self.session.bind is not connection

    def _judge(self, error: BaseException) -> Outcome:
        """Say what became of the data when ``session.commit()`` raised."""
        sent = [c for c in self.connections if c.closed or not c.in_transaction()]
        if not sent or (isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError)):
            return "rolled_back"
        if len(self.connections) > 1:
            return "unknown"
        if not self.severed and _dbapi.server_answered(error):
            return "rolled_back"
        return "unknown" if self.wrote else "rolled_back"

    def _release(self, error: BaseException | None) -> None:
        """Roll back what is not committed and close the session, whatever goes wrong."""
        self.phase = "releasing"
        if self.outcome != "committed":
            self._stop_waiting()
            if not self.is_patient:
                self._hurry(self.policy.cleanup_timeout)
            self._attempt(self._restore_connections, error)
            if self.session.is_active:  # a failed flush has rolled back already
                self._attempt(self.session.rollback, error)
        session: Any = self.session
        try:
            session._sqs_base.close(session)
        except BaseException as second:  # noqa: BLE001  (the first error wins)
            _note_second(error, second)
        self._discard_all()
        if self.timer is not None:
            self.timer.disarm()
        self.is_closed = True
        self.acting = None
        session._sqs_unit = Ended(self.place)  # no cycle stays behind for the garbage collector

    def _attempt(self, step: Callable[[], object], error: BaseException | None) -> None:
        try:
            step()
        except BaseException as second:  # noqa: BLE001  (the first error wins)
            _note_second(error, second)

    def _discard_all(self) -> None:
        """Make sure that no connection stays out of its pool nor goes back half used."""
        for connection in self.connections:
            if not connection.closed and self._is_own(connection):
                self._attempt(connection.invalidate, None)
                self._attempt(connection.close, None)
        self.connections = []

    def _restore_connections(self) -> None:
        if self.options.read_only:
            for connection in self.connections:
                _unset_read_only(connection)

    # -- an answer that was lost ---------------------------------------------------------------

    def ask(self) -> bool:
        """Ask the server once what became of the transaction; say whether it knew.

        Raises:
            Exception: the server could not be asked.
        """
        assert self.xid is not None
        with self.engine.connect() as connection:
            self.connections = [connection]
            try:
                status = _connections.transaction_status(connection, self.xid)
            finally:
                self.connections = []
        if status == "committed":
            self.outcome = "committed"
        elif status == "aborted":
            self.outcome = "rolled_back"
        return self.outcome != "unknown"

    def settle(self, error: BaseException | None) -> BaseException | None:
        """Return what is to be raised after the server was asked."""
        if self.outcome == "committed":
            if error is None or isinstance(error, (Exception, asyncio.CancelledError)):
                return None
            error.add_note("sqla_safe: interrupted during COMMIT; the data is stored")
            return error
        return error if self.outcome == "rolled_back" else self._unknown(error)

    def _unknown(self, error: BaseException | None) -> CommitOutcomeUnknownError:
        xid = None if self.xid is None else str(self.xid)
        unknown = CommitOutcomeUnknownError(opened_at=self.opened_at, transaction_id=xid)
        unknown.__cause__ = error
        return unknown

    def cancelled(self) -> bool:
        """A statement is being cancelled; say whether the driver must be left to its own pace."""
        for connection in self.connections:
            _connections.interrupt(connection)
        if self.connections:  # SQLAlchemy closes the connection of a cancelled statement
            reason = "a statement was cancelled, and the cancellation was swallowed"
            self.set_doom(reason, None, None)
        bind = self.session.bind
        return bind is not None and bind.dialect.name == "sqlite"

    def sever(self) -> None:
        """Cut all connections off, because an answer takes too long."""
        self.severed = True
        for connection in list(self.connections):
            _connections.sever(connection)


READ_ONLY_OPTION = "sqla_safe_read_only"


def _reads(statement: Any) -> bool:
    if getattr(statement, "is_select", False):
        return True
    text = getattr(statement, "text", None)
    return isinstance(text, str) and text.lstrip()[:6].upper() == "SELECT"


def _set_read_only(connection: Connection) -> None:
    """Use the database's own read-only transaction where an execution option cannot."""
    name = connection.dialect.name
    if name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
    elif name in ("mysql", "mariadb"):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _unset_read_only(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and not (connection.closed or connection.invalidated):
        connection.exec_driver_sql("PRAGMA query_only = OFF")


def _swallowed(failure: Failure) -> Doom:
    reason = "a statement failed, the error was swallowed, and the transaction was aborted with it"
    return Doom(reason, failure.where, failure.error)


def _rollback_only(doom: Doom, opened_at: str) -> RollbackOnlyError:
    error = RollbackOnlyError(opened_at=opened_at, reason=doom.reason, where=doom.where)
    error.__cause__ = doom.cause
    return error


def _refuse_doomed(boundary: Boundary, opened: Place) -> None:
    if boundary.doom is not None:
        raise _rollback_only(boundary.doom, str(opened))


def _note_second(error: BaseException | None, second: BaseException) -> None:
    if error is not None and second is not error:
        _note(error, "the clean-up", second)


def _note(error: BaseException, during: str, second: BaseException) -> None:
    error.add_note(f"sqla_safe: {during} failed too, with {_dbapi.describe(second)}")


def _name(owner: Any) -> str:
    if isinstance(owner, asyncio.Task):
        return f"task {owner.get_name()!r}"
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return f"thread {names.get(owner, owner)!r}"


def _line(owner: Any) -> str:
    return task_line(owner) if isinstance(owner, asyncio.Task) else thread_line(owner)
