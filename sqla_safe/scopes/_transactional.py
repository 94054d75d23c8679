"""`transactional`: a function that is a scope, and is run again when the database says so."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe._locations import caller
from sqla_safe.errors import ScopeOptionError
from sqla_safe.scopes._call import Call, takes_scope
from sqla_safe.scopes._options import Propagation, make_options
from sqla_safe.scopes._source import check_maker
from sqla_safe.services._build import is_async_callable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe.scopes._decorators import (
        AsyncServed1,
        AsyncServed2,
        AsyncServed3,
        AsyncServed4,
        AsyncServed5,
        AsyncServed6,
        AsyncServed7,
        AsyncServed8,
        AsyncUnserved,
        SyncServed1,
        SyncServed2,
        SyncServed3,
        SyncServed4,
        SyncServed5,
        SyncServed6,
        SyncServed7,
        SyncServed8,
        SyncUnserved,
    )

A = TypeVar("A", bound=AsyncSession)
S = TypeVar("S", bound=Session)
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")


@overload
def transactional(
    source: async_sessionmaker[A],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncUnserved[A]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
    _t1: Callable[[A], T1],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed1[T1]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed2[T1, T2]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed3[T1, T2, T3]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed4[T1, T2, T3, T4]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    _t5: Callable[[A], T5],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed5[T1, T2, T3, T4, T5]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    _t5: Callable[[A], T5],
    _t6: Callable[[A], T6],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed6[T1, T2, T3, T4, T5, T6]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
    _t1: Callable[[A], T1],
    _t2: Callable[[A], T2],
    _t3: Callable[[A], T3],
    _t4: Callable[[A], T4],
    _t5: Callable[[A], T5],
    _t6: Callable[[A], T6],
    _t7: Callable[[A], T7],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed7[T1, T2, T3, T4, T5, T6, T7]: ...
@overload
def transactional(
    source: async_sessionmaker[A],
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
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AsyncServed8[T1, T2, T3, T4, T5, T6, T7, T8]: ...
@overload
def transactional(
    source: sessionmaker[S],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncUnserved[S]: ...
@overload
def transactional(
    source: sessionmaker[S],
    _t1: Callable[[S], T1],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed1[T1]: ...
@overload
def transactional(
    source: sessionmaker[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed2[T1, T2]: ...
@overload
def transactional(
    source: sessionmaker[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed3[T1, T2, T3]: ...
@overload
def transactional(
    source: sessionmaker[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed4[T1, T2, T3, T4]: ...
@overload
def transactional(
    source: sessionmaker[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    _t5: Callable[[S], T5],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed5[T1, T2, T3, T4, T5]: ...
@overload
def transactional(
    source: sessionmaker[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    _t5: Callable[[S], T5],
    _t6: Callable[[S], T6],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed6[T1, T2, T3, T4, T5, T6]: ...
@overload
def transactional(
    source: sessionmaker[S],
    _t1: Callable[[S], T1],
    _t2: Callable[[S], T2],
    _t3: Callable[[S], T3],
    _t4: Callable[[S], T4],
    _t5: Callable[[S], T5],
    _t6: Callable[[S], T6],
    _t7: Callable[[S], T7],
    /,
    *,
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed7[T1, T2, T3, T4, T5, T6, T7]: ...
@overload
def transactional(
    source: sessionmaker[S],
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
    attempts: int = ...,
    propagation: Propagation = ...,
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> SyncServed8[T1, T2, T3, T4, T5, T6, T7, T8]: ...
def transactional(
    source: Any,
    /,
    *services: Any,
    attempts: int = 1,
    propagation: Propagation = "required",
    read_only: bool = False,
    isolation_level: str | None = None,
    timeout: float | None = None,
) -> Any:
    """Make each call of a function a scope of its own, run again when that can help.

    The function gets the services as its first arguments. With no service it gets the scope if its
    first parameter is annotated as one (or named ``scope``), and nothing otherwise. When it fails
    with an error that `is_retryable` accepts, the whole function is run again on a fresh session
    with fresh services, after a pause with jitter. Inside an open scope it joins, and is never run
    again there: what came before it in that transaction could not be.

    Args:
        source: the ``async_sessionmaker`` (for coroutine functions) or ``sessionmaker``.
        *services: up to eight services, as for `scoped_services`.
        attempts: how often the function is run at the most.
        propagation: as for `scoped_services`.
        read_only: as for `scoped_services`.
        isolation_level: as for `scoped_services`.
        timeout: seconds for each attempt.

    Returns:
        A decorator. The last error leaves the call unchanged, with a note that counts the attempts.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker.
        ScopeOptionError: an option that does not exist, a plain function with an
            ``async_sessionmaker`` (or the other way round), a generator function, or a method that
            would get the services in the place of ``self``.

    Example:
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import Session, sessionmaker
        >>> class Users:
        ...     def __init__(self, session: Session) -> None: ...
        >>> @transactional(sessionmaker(create_engine("sqlite://")), Users, attempts=3)
        ... def greet(users: Users, name: str) -> str:
        ...     return f"Hello, {name}"
        >>> greet("Vanya")
        'Hello, Vanya'
    """
    check_maker(source, "@transactional(Session, ...)")
    options = make_options(propagation, read_only, isolation_level, timeout)
    if type(attempts) is not int or attempts < 1:
        raise ScopeOptionError(problem="attempts is not a positive integer", instead="attempts=5")
    place = caller(1)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        _check_function(function, has_services=bool(services))
        call = Call(source, services, options, place, attempts, takes_scope=takes_scope(function))
        is_async = isinstance(source, async_sessionmaker)
        if is_async_callable(function) != is_async:
            raise _wrong_kind(function, is_async=is_async)
        return call.wrap_async(function) if is_async else call.wrap(function)

    return decorate


def _check_function(function: Callable[..., Any], *, has_services: bool) -> None:
    name = _name(function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ScopeOptionError(
            problem=f"{name} is a generator function: it runs when the scope has ended",
            instead="return a list, or open scoped_services(...) inside the generator",
        )
    first = next(iter(inspect.signature(function).parameters), None)
    if has_services and first in ("self", "cls"):
        raise ScopeOptionError(
            problem=f"{name} is a method: the services are passed first, in the place of `{first}`",
            instead="a function outside of the class, or scoped_services(...) inside the method",
        )


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _wrong_kind(function: Callable[..., Any], *, is_async: bool) -> ScopeOptionError:
    name = _name(function)
    if not inspect.isroutine(function) and not isinstance(function, partial):
        return ScopeOptionError(
            problem=f"{name} is an object of the class {type(function).__name__}, such as another "
            f"decorator makes of a function, and not a {'coroutine ' * is_async}function",
            instead="@transactional(...) below that decorator, next to `def`",
        )
    if is_async:
        return ScopeOptionError(
            problem=f"{name} is a plain function, and an async_sessionmaker needs a coroutine one",
            instead=f"async def {name}(...), or @transactional with a sessionmaker",
        )
    return ScopeOptionError(
        problem=f"{name} is a coroutine function, and a sessionmaker needs a plain one",
        instead=f"def {name}(...), or @transactional with an async_sessionmaker",
    )
