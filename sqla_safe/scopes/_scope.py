"""`Scope` and `AsyncScope`: what a block is given to steer its transaction by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from sqla_safe._locations import current_line
from sqla_safe.errors import ScopeClosedError, ScopeOptionError
from sqla_safe.services._build import is_async_callable
from sqla_safe.services._inject import get_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe._locations import Place
    from sqla_safe.scopes._boundary import Boundary, Outcome
    from sqla_safe.scopes._options import ScopeOptions
    from sqla_safe.scopes._unit import Unit

SessionT = TypeVar("SessionT", bound="Session | AsyncSession")
SyncT = TypeVar("SyncT", bound=Session)
AsyncT = TypeVar("AsyncT", bound=AsyncSession)
T = TypeVar("T")


class Inner(NamedTuple):
    """What a scope inside another one has of its own."""

    boundary: Boundary
    place: Place
    options: ScopeOptions


class BaseScope(Generic[SessionT]):
    """What sync and async scopes have in common."""

    __slots__ = (
        "__weakref__",
        "_around",
        "_inner",
        "_owner",
        "_unit",
        "is_active",
    )

    def __init__(self, unit: Any, owner: Any, inner: Inner | None = None) -> None:
        self._unit: Unit = unit
        self._owner = owner
        self._inner = inner
        self._around: BaseScope[Any] | None = None
        self.is_active: bool = True
        """Whether the block has not ended yet."""

    @property
    def _boundary(self) -> Boundary:
        return self._unit if self._inner is None else self._inner.boundary

    @property
    def _place(self) -> Place:
        return self._unit.place if self._inner is None else self._inner.place

    @property
    def _options(self) -> ScopeOptions:
        return self._unit.options if self._inner is None else self._inner.options

    @property
    def session(self) -> SessionT:
        """The session that all services of this scope share; the scope commits and closes it."""
        session: Any = self._unit.public
        return session  # type: ignore[no-any-return]  # of the sessionmaker's class

    @property
    def opened_at(self) -> str:
        """``file:line`` where this scope was opened."""
        return str(self._place)

    @property
    def outcome(self) -> Outcome | None:
        """What became of the work: ``"committed"``, ``"rolled_back"`` or ``"unknown"``.

        None while the scope is open. A scope that joined another one shares its outcome; a nested
        one is ``"committed"`` when its savepoint was released and what is around it is too.
        """
        boundary = self._boundary
        while boundary.outcome == "committed" and boundary.parent is not None:
            boundary = boundary.parent
        return boundary.outcome

    def get(self, service: Callable[[SessionT], T]) -> T:
        """Return the scope's instance of a service, built on first demand.

        Args:
            service: a class or function that takes the session, or an `inject`.

        Raises:
            ServiceBuildError: it cannot be built from the session.
            ScopeClosedError: the scope has ended.

        Example:
            >>> from sqlalchemy import create_engine
            >>> from sqlalchemy.orm import Session, sessionmaker
            >>> from sqla_safe import scoped_services
            >>> class Users:
            ...     def __init__(self, session: Session) -> None: ...
            >>> with scoped_services(sessionmaker(create_engine("sqlite://"))) as scope:
            ...     scope.get(Users) is scope.get(Users)
            True
        """
        self._require_active("scope.get()")
        instance: T = get_service(self._unit.public, self._unit.instances, service)
        return instance

    def on_commit(self, callback: Callable[[], Any]) -> None:
        """Call something once the outermost COMMIT has stored the data.

        Callbacks run in the order of their registration, after the connection has gone back to its
        pool. Those of a nested scope move up when it ends well and are dropped when it is rolled
        back. In an async scope the callback may be a coroutine function.

        Args:
            callback: takes no argument.

        Raises:
            ScopeClosedError: the scope has ended.
            TypeError: ``callback`` cannot be called, or is a coroutine function in a sync scope.
        """
        self._require_active("scope.on_commit()")
        self._check_callback(callback)
        boundary = self._boundary
        boundary.is_plain = False
        boundary.on_commit = [*boundary.on_commit, callback]

    def on_rollback(self, callback: Callable[[], Any]) -> None:
        """Call something once the work of this scope has been rolled back.

        What such a callback raises is added as a note to the error that ends the scope.

        Args:
            callback: takes no argument; in an async scope it may be a coroutine function.

        Raises:
            ScopeClosedError: the scope has ended.
            TypeError: ``callback`` cannot be called, or is a coroutine function in a sync scope.
        """
        self._require_active("scope.on_rollback()")
        self._check_callback(callback)
        self._boundary.on_rollback = [*self._boundary.on_rollback, callback]

    def set_rollback_only(self, reason: str) -> None:
        """Make sure that nothing of this scope is stored.

        The block may go on; at its end everything is rolled back, and `RollbackOnlyError` with
        this reason is raised unless another error leaves the block.

        Args:
            reason: why, in words, for the error's text.

        Raises:
            ScopeClosedError: the scope has ended.
        """
        self._require_active("scope.set_rollback_only()")
        self._boundary.set_doom(reason, current_line(), None, asked=True)

    def _require_active(self, operation: str) -> None:
        """Raise `ScopeClosedError` if the scope has ended."""
        if not self.is_active:
            raise ScopeClosedError(opened_at=self.opened_at, operation=operation)

    def _check_callback(self, callback: object) -> None:
        if not callable(callback):
            msg = (
                f"a callback is a function without arguments, not {type(callback).__name__}: "
                "give it uncalled, as in on_commit(send) or on_commit(lambda: send(text))"
            )
            raise TypeError(msg)
        if not self._unit.is_async and is_async_callable(callback):
            msg = (
                f"a callback of the sync scope opened at {self.opened_at} is a coroutine function, "
                "and nobody can await it: register a plain function"
            )
            raise TypeError(msg)

    def _require_outermost(self) -> None:
        self._require_active("scope.commit()")
        if self._inner is not None or self._unit.savepoints:
            raise ScopeOptionError(
                problem="scope.commit() stores the whole transaction, and the scope opened at "
                f"{self.opened_at} is only a part of the one opened at {self._unit.opened_at}",
                instead="commit in the outermost scope, outside nested ones",
            )

    def __repr__(self) -> str:
        state = "open" if self.is_active else self.outcome or "ended"
        return f"<{type(self).__name__} opened at {self.opened_at}: {state}>"


class Scope(BaseScope[SyncT]):
    """An open transaction with one `Session` that several services share.

    Given by ``with scoped_services(Session) as scope`` and by `current_scope`.
    """

    __slots__ = ()

    @property
    def session(self) -> SyncT:
        """The session that all services of this scope share; the scope commits and closes it."""
        return self._unit.session  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def commit(self) -> None:
        """Store what is done, give the connection back, and go on in a new transaction.

        For use before a slow call. What comes later can still be rolled back; what is stored here
        stays stored. The ``on_commit`` callbacks registered so far run now.

        Raises:
            ScopeOptionError: this scope joined another one, or a nested scope is open.
            ScopeClosedError: the scope has ended.
            RollbackOnlyError: nothing could be stored.
        """
        from sqla_safe.scopes._sync import commit_early  # noqa: PLC0415  (the shells build on this module)

        self._require_outermost()
        commit_early(self._unit)


class AsyncScope(BaseScope[AsyncT]):
    """An open transaction with one `AsyncSession` that several services share.

    Given by ``async with scoped_services(Session) as scope`` and by `current_scope`.
    """

    __slots__ = ()

    async def commit(self) -> None:
        """Store what is done, give the connection back, and go on in a new transaction.

        For use before a slow call. What comes later can still be rolled back; what is stored here
        stays stored. The ``on_commit`` callbacks registered so far run now.

        Raises:
            ScopeOptionError: this scope joined another one, or a nested scope is open.
            ScopeClosedError: the scope has ended.
            RollbackOnlyError: nothing could be stored.
        """
        from sqla_safe.scopes._async import commit_early  # noqa: PLC0415  (the shells build on this module)

        self._require_outermost()
        await commit_early(self._unit)
