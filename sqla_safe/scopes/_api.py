"""`scoped_services` and `current_scope`, with a signature for every number of services."""

from __future__ import annotations

from sys import _getframe
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe._locations import Place, caller, is_own, own_files
from sqla_safe._owners import current_kind
from sqla_safe.errors import NoScopeError
from sqla_safe.scopes import _ambient
from sqla_safe.scopes._async import AsyncScopedServices
from sqla_safe.scopes._options import DEFAULT, Propagation, make_options
from sqla_safe.scopes._scope import AsyncScope, Scope
from sqla_safe.scopes._source import OF_BLOCKS, check_maker
from sqla_safe.scopes._sync import ScopedServices

if TYPE_CHECKING:
    from collections.abc import Callable

A = TypeVar("A", bound=AsyncSession)
S = TypeVar("S", bound=Session)
_ASYNC_SOURCES = (async_sessionmaker, AsyncScope)
_SYNC_SOURCES = (sessionmaker, Scope)
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")


# One signature for each number of services; decisions.md says why there are eight.


@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[AsyncScope[A]]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[T1]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[tuple[T1, T2]]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[tuple[T1, T2, T3]]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[tuple[T1, T2, T3, T4]]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    _t5: Callable[[A], T5],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[tuple[T1, T2, T3, T4, T5]]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    _t5: Callable[[A], T5],
    _t6: Callable[[A], T6],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[tuple[T1, T2, T3, T4, T5, T6]]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    _t5: Callable[[A], T5],
    _t6: Callable[[A], T6],
    _t7: Callable[[A], T7],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[tuple[T1, T2, T3, T4, T5, T6, T7]]: ...
@overload
def scoped_services(
    source: async_sessionmaker[A] | AsyncScope[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    _t5: Callable[[A], T5],
    _t6: Callable[[A], T6],
    _t7: Callable[[A], T7],
    _t8: Callable[[A], T8],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncScopedServices[tuple[T1, T2, T3, T4, T5, T6, T7, T8]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[Scope[S]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[T1]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[tuple[T1, T2]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[tuple[T1, T2, T3]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[tuple[T1, T2, T3, T4]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    _t5: Callable[[S], T5],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[tuple[T1, T2, T3, T4, T5]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    _t5: Callable[[S], T5],
    _t6: Callable[[S], T6],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[tuple[T1, T2, T3, T4, T5, T6]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    _t5: Callable[[S], T5],
    _t6: Callable[[S], T6],
    _t7: Callable[[S], T7],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[tuple[T1, T2, T3, T4, T5, T6, T7]]: ...
@overload
def scoped_services(
    source: sessionmaker[S] | Scope[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    _t5: Callable[[S], T5],
    _t6: Callable[[S], T6],
    _t7: Callable[[S], T7],
    _t8: Callable[[S], T8],
    /,
    *,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> ScopedServices[tuple[T1, T2, T3, T4, T5, T6, T7, T8]]: ...
def scoped_services(
    source: Any,
    /,
    *services: Any,
    propagation: Propagation = "required",
    read_only: bool = False,
    isolation_level: str | None = None,
    timeout: float | None = None,
) -> Any:
    """Share one session and one transaction between services, and end well whatever happens.

    The block's normal end commits, or raises. Any exception, cancellation included, rolls back and
    leaves the block unchanged. Inside another block of the same task and sessionmaker it joins that
    block's transaction. No connection is taken before the first statement.

    Args:
        source: an ``async_sessionmaker`` (use ``async with``), a ``sessionmaker`` (use ``with``),
            or an open scope that is handed over on purpose, for instance to a child task.
        *services: up to eight classes or functions that take the session, or `inject`; the same
            one asked twice in a scope is the same instance.
        propagation: ``"required"`` joins the open scope or opens one; ``"nested"`` sets a savepoint
            inside it; ``"requires_new"`` opens an independent one; ``"mandatory"`` needs one;
            ``"never"`` refuses one.
        read_only: the database's own read-only transaction; writes raise `ReadOnlyScopeError`.
        isolation_level: as SQLAlchemy names it, such as ``"SERIALIZABLE"``.
        timeout: seconds for the whole transaction.

    Returns:
        A context manager. With no service it gives the scope itself, with one the service, with
        more a tuple of them.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker or scope.
        ScopeOptionError: an option that does not exist, or that joining cannot honour.
        ServiceBuildError: at entry, when a service needs more than a session.
        RollbackOnlyError: at the end, when nothing could be stored.
        CommitOutcomeUnknownError: at the end, when the answer to COMMIT was lost.
        ScopeTimeoutError: the time is up.

    Example:
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import Session, sessionmaker
        >>> class Users:
        ...     def __init__(self, session: Session) -> None:
        ...         self.session = session
        >>> class Avatars(Users): ...
        >>> with scoped_services(sessionmaker(create_engine("sqlite://")), Users, Avatars) as (
        ...     users,
        ...     avatars,
        ... ):
        ...     users.session is avatars.session
        True
    """
    plain = propagation == "required" and read_only is False
    if plain and isolation_level is None and timeout is None:
        options = DEFAULT
    else:
        options = make_options(propagation, read_only, isolation_level, timeout)
    frame = _getframe(1)
    code = frame.f_code
    place = Place((code, frame.f_lasti))
    if code.co_filename not in own_files and not is_own(code.co_filename):
        place = caller(1)
    if type(source) is sessionmaker:
        return ScopedServices(source, services, options, place)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(source, _ASYNC_SOURCES):
        return AsyncScopedServices(source, services, options, place)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if not isinstance(source, _SYNC_SOURCES):
        check_maker(source, OF_BLOCKS)
    return ScopedServices(source, services, options, place)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


@overload
def current_scope(source: async_sessionmaker[A], /) -> AsyncScope[A]: ...
@overload
def current_scope(source: sessionmaker[S], /) -> Scope[S]: ...
def current_scope(source: Any, /) -> Any:
    """Return the running task's innermost open scope for a sessionmaker.

    Args:
        source: the ``async_sessionmaker`` or ``sessionmaker`` that the scope was opened from.

    Raises:
        NoScopeError: none is open in this task; child tasks and threads inherit none.
        ScopeSourceError: ``source`` is not a sessionmaker.

    Example:
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import sessionmaker
        >>> Session = sessionmaker(create_engine("sqlite://"))
        >>> with scoped_services(Session) as scope:
        ...     current_scope(Session) is scope
        True
    """
    check_maker(source, "current_scope(Session)")
    scope = _ambient.find(source)
    if scope is None:
        wanted = f"current_scope() at {caller(1)} asks for an open scope"
        raise NoScopeError(wanted=wanted, asker=current_kind())
    return scope
