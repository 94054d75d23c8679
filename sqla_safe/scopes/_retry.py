"""`transactional`: a function that is a scope, and is run again when the database says so."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import _dbapi
from sqla_safe._locations import Place, caller
from sqla_safe.errors import (
    CommitCallbackError,
    CommitOutcomeUnknownError,
    RollbackOnlyError,
    ScopeOptionError,
)
from sqla_safe.scopes import _ambient
from sqla_safe.scopes._async import AsyncScopedServices
from sqla_safe.scopes._options import Propagation, ScopeOptions, make_options
from sqla_safe.scopes._scope import BaseScope
from sqla_safe.scopes._source import check_maker
from sqla_safe.scopes._sync import ScopedServices

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import AsyncRetrying, Retrying

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

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 2.0
"""Seconds: pauses grow from the first to the longest, each drawn at random below its bound."""


def is_retryable(error: BaseException) -> bool:
    """Say whether the same work, done again in a new transaction, may well succeed.

    That is so when the database gave this transaction up for the sake of another one (SQLSTATE
    40001 and 40P01, MySQL 1213 and 1205, SQLite busy), and when the connection was lost before
    COMMIT was sent. It is never so when the answer to COMMIT was lost or anything was stored.

    Args:
        error: what left the scope; SQLAlchemy's wrapper or the driver's own exception.

    Example:
        >>> is_retryable(ValueError())
        False
    """
    if isinstance(error, (CommitOutcomeUnknownError, CommitCallbackError)):
        return False
    if _dbapi.is_marked_stored(error):  # scope.commit() had stored a part of the work
        return False
    if isinstance(error, RollbackOnlyError):
        return error.__cause__ is not None and is_retryable(error.__cause__)
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_retryable, error.exceptions))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return _dbapi.is_conflict(error) or _dbapi.is_lost_connection(error)


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
        ScopeOptionError: an option that does not exist, or a plain function with an
            ``async_sessionmaker`` (or the other way round).

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
    check_maker(source)
    options = make_options(propagation, read_only, isolation_level, timeout)
    if type(attempts) is not int or attempts < 1:
        raise ScopeOptionError(problem="attempts is not a positive integer", instead="attempts=5")
    place = caller(1)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        call = _Call(source, services, options, place, attempts, takes_scope=_takes_scope(function))
        is_async = isinstance(source, async_sessionmaker)
        if inspect.iscoroutinefunction(function) != is_async:
            raise _wrong_kind(function, is_async=is_async)
        return call.wrap_async(function) if is_async else call.wrap(function)

    return decorate


class _Call:
    """How one decorated function is called."""

    def __init__(
        self,
        source: Any,
        services: tuple[Any, ...],
        options: ScopeOptions,
        place: Place,
        attempts: int,
        *,
        takes_scope: bool,
    ) -> None:
        self._source = source
        self._services = services
        self._options = options
        self._place = place
        self._attempts = attempts
        self._takes_scope = takes_scope

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as a sync scope."""

        def once(args: Any, kwargs: Any) -> Any:
            with ScopedServices[Any](
                self._source, self._services, self._options, self._place
            ) as built:
                return function(*self._first(built), *args, **kwargs)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._may_retry():
                return once(args, kwargs)
            return _retrying(self._attempts, is_async=False)(once, args, kwargs)

        return _without_first(call, function, len(self._services) or self._takes_scope)

    def wrap_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the coroutine function as an async scope."""

        async def once(args: Any, kwargs: Any) -> Any:
            async with AsyncScopedServices[Any](
                self._source, self._services, self._options, self._place
            ) as built:
                return await function(*self._first(built), *args, **kwargs)

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            if not self._may_retry():
                return await once(args, kwargs)
            return await _retrying(self._attempts, is_async=True)(once, args, kwargs)

        return _without_first(call, function, len(self._services) or self._takes_scope)

    def _may_retry(self) -> bool:
        joins = self._options.propagation in ("required", "mandatory", "nested")
        return self._attempts > 1 and not (joins and _ambient.find(self._source) is not None)

    def _first(self, built: Any) -> tuple[Any, ...]:
        if not self._services:
            return (built,) if self._takes_scope else ()
        return built if len(self._services) > 1 else (built,)


def _retrying(attempts: int, *, is_async: bool) -> Any:
    import tenacity  # noqa: PLC0415  (only who retries pays for the import)

    kind: type[AsyncRetrying | Retrying]
    kind = tenacity.AsyncRetrying if is_async else tenacity.Retrying
    return kind(
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
        retry=tenacity.retry_if_exception(is_retryable),
        after=_count,
        reraise=True,
    )


def _count(state: Any) -> None:
    error = state.outcome.exception()
    if error is not None and state.attempt_number > 1:
        error.add_note(f"sqla_safe: this was attempt {state.attempt_number}")


def _takes_scope(function: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return False
    return parameters[0].name == "scope" or _is_scope(parameters[0].annotation)


def _is_scope(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[")[0].rpartition(".")[2] in ("Scope", "AsyncScope")
    origin = getattr(annotation, "__origin__", annotation)
    return isinstance(origin, type) and issubclass(origin, BaseScope)


def _without_first(
    call: Callable[..., Any], function: Callable[..., Any], given: int
) -> Callable[..., Any]:
    """Show the signature that callers see, without the services; frameworks read it."""
    signature = inspect.signature(function)
    rest = list(signature.parameters.values())[given:]
    call.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]  # read by inspect
    return call


def _wrong_kind(function: Callable[..., Any], *, is_async: bool) -> ScopeOptionError:
    name = getattr(function, "__qualname__", repr(function))
    if is_async:
        return ScopeOptionError(
            problem=f"{name} is a plain function, and an async_sessionmaker needs a coroutine one",
            instead=f"async def {name}(...), or @transactional with a sessionmaker",
        )
    return ScopeOptionError(
        problem=f"{name} is a coroutine function, and a sessionmaker needs a plain one",
        instead=f"def {name}(...), or @transactional with an async_sessionmaker",
    )
