"""Who may use a session, and for what: the rules that every operation meets first."""

from __future__ import annotations

from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from sqla_safe import _dbapi
from sqla_safe._idle import IdleWatch
from sqla_safe._locations import current_line
from sqla_safe._owners import concurrent_use
from sqla_safe.errors import (
    ManagedTransactionError,
    ReadOnlyScopeError,
    ScopeClosedError,
    ScopeTimeoutError,
)
from sqla_safe.scopes._boundary import Boundary, Deadline, is_inside
from sqla_safe.scopes._options import DEFAULT
from sqla_safe.scopes._policy import DEFAULT_POLICY, policies, policy_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session, SessionTransaction

    from sqla_safe._locations import Place
    from sqla_safe.errors import ConcurrentUseError
    from sqla_safe.scopes._connections import Failure
    from sqla_safe.scopes._options import ScopeOptions
    from sqla_safe.scopes._policy import Policy

_LONGEST_STATEMENT = 2**31 - 1
"""Milliseconds: the most that PostgreSQL's ``statement_timeout`` takes."""


class Timer(Protocol):
    """Cuts the connections off when an answer takes too long; the shells have one each."""

    def arm(self, seconds: float) -> None:
        """Cut off in so many seconds, unless disarmed."""

    def disarm(self) -> None:
        """Call it off."""


class Use(Boundary):
    """A session, who is using it, and what it may be used for."""

    session: Session
    timer: Timer | None = None

    options = DEFAULT
    policy = DEFAULT_POLICY
    is_async = False
    is_undone = False
    """Whether the session itself rolled back when it was to commit."""
    who: Callable[[], Any] = get_ident
    owner: Any = None
    """Who opened the scope, where only they may use it."""
    is_open = True
    is_closed = False
    read_only = False
    session_options: Mapping[str, Any] = {"close_resets_only": False}
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
    connections: tuple[Connection, ...] = ()
    failures: Sequence[Failure] = ()
    savepoints: Sequence[Boundary] = ()
    released: Sequence[Boundary] = ()
    """Nested scopes that ended well inside a savepoint of the user's own, which may be undone."""
    xid: int | None = None
    deadline: Deadline | None = None
    clock: asyncio.Timeout | None = None
    idle: IdleWatch | None = None
    _statement_limit = 0.0
    parent = None

    def __init__(self, source: Any, options: ScopeOptions, place: Place) -> None:
        self.source = source
        self.place = place
        self.instances: dict[Any, Any] = {}
        # Read at every turn, and an instance's own attributes are quicker to read than its class's.
        # Async scopes are never plain, because what comes before COMMIT can be cancelled there.
        self.is_plain, self.is_guarded, self.busy = not self.is_async, False, None
        if options is not DEFAULT:
            self._heed(options)
        if id(source) in policies:
            self._obey(policy_of(source))

    def begin(self) -> None:
        """Begin the transaction by hand, for a session that does not begin by itself."""
        self.acting = self.who()
        self.session.begin()
        self.acting = None

    def _obey(self, policy: Policy) -> None:
        self.policy, self.is_plain = policy, False
        if policy.guard_owner:
            self.is_guarded, self.owner = True, self.who()
        if policy.expire_on_commit is not None:
            expire = {"expire_on_commit": policy.expire_on_commit}
            self.session_options = {**self.session_options, **expire}
        if policy.idle_in_transaction_warning is not None:
            self.idle = IdleWatch(policy.idle_in_transaction_warning, self.place)
            self.is_guarded = True

    def _heed(self, options: ScopeOptions) -> None:
        self.options, self.read_only, self.is_plain = options, options.read_only, False
        self._steered: dict[Any, Any] = {}
        self.limit(options.timeout, self.place)
        self.is_steered = (
            options.read_only
            or options.isolation_level is not None
            or options.propagation == "requires_new"
        )

    # -- what the scope is ---------------------------------------------------------------------

    @property
    def public(self) -> AsyncSession | Session:
        """The session that services are given."""
        return self.session

    @property
    def opened_at(self) -> str:
        """``file:line`` where the outermost scope was opened."""
        return str(self.place)

    def limit(self, seconds: float | None, place: Place) -> Deadline | None:
        """Set the deadline, never later than the present one; return the present one."""
        before = self.deadline
        if seconds is not None:
            deadline = Deadline(monotonic() + seconds, seconds, place)
            self.deadline = deadline if before is None else min(before, deadline)
            self.is_guarded, self.is_plain = True, False
        return before

    def begin_reading(self) -> None:
        """A block joins that may only read: what comes is refused here, not by the database."""
        self.read_only, self.is_plain = True, False
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

    def discard_all(self) -> None:
        """Give back whatever is still connected; `Connected` knows how."""

    def _after_operation(self) -> None:
        if self.idle is not None:
            self.idle.rest()
        if self.is_closed:  # somebody else's statement outlived the scope
            self.discard_all()

    def expect_change(self, operation: str) -> None:
        """Refuse a change of the session's objects after the end, or during another's operation."""
        if not self.is_open:
            if not self.acts():
                self.refuse_closed(operation)
            self.is_plain = False
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
            self.is_plain = False
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
        opened_at, me, opener = self.opened_at, self.who(), self.owner
        return concurrent_use(opened_at, first, second, situation, current=me, opener=opener)

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

    def lost_savepoint(self, savepoint: SessionTransaction) -> None:
        """A savepoint was rolled back, and with it the nested scopes that had ended in it."""
        for boundary in self.released:
            if is_inside(boundary.savepoint, savepoint):
                boundary.take_back()

    def lost_transaction(self) -> None:
        """The transaction was rolled back inside the block: by a failed flush, or by hand."""
        if self.acts():
            self.is_undone = self.phase == "committing"
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
            dml: Any = statement
            kind: str = dml.__visit_name__
            raise self._read_only(f"{kind.upper()} was executed")
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

    def lift_statement_limit(self) -> None:
        """An inner block's limit has gone with it: let PostgreSQL forget it too."""
        if self._statement_limit:
            self._statement_limit = 0.0
            for connection in self.connections:
                if connection.dialect.name == "postgresql" and not connection.invalidated:
                    connection.exec_driver_sql("SET LOCAL statement_timeout TO DEFAULT")

    def _too_late(self) -> ScopeTimeoutError:
        assert self.deadline is not None
        return ScopeTimeoutError(opened_at=str(self.deadline.place), timeout=self.deadline.seconds)


def _reads(statement: Any) -> bool:
    if getattr(statement, "is_select", False):
        return True
    text = getattr(statement, "text", None)
    return isinstance(text, str) and text.lstrip()[:6].upper() == "SELECT"
