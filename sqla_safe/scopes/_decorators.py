"""The types of the decorators that `transactional` returns: the services go first, and go away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sqla_safe.scopes._scope import AsyncScope, Scope

A = TypeVar("A", bound=AsyncSession)
S = TypeVar("S", bound=Session)
P = ParamSpec("P")
R = TypeVar("R")
T1_co = TypeVar("T1_co", covariant=True)
T2_co = TypeVar("T2_co", covariant=True)
T3_co = TypeVar("T3_co", covariant=True)
T4_co = TypeVar("T4_co", covariant=True)
T5_co = TypeVar("T5_co", covariant=True)
T6_co = TypeVar("T6_co", covariant=True)
T7_co = TypeVar("T7_co", covariant=True)
T8_co = TypeVar("T8_co", covariant=True)


class AsyncUnserved(Protocol[A]):
    """A decorator for functions that take the scope first, or nothing of it."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[AsyncScope[A], P], Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(
        self, function: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed1(Protocol[T1_co]):
    """A decorator for functions that take 1 service first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, P], Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed2(Protocol[T1_co, T2_co]):
    """A decorator for functions that take 2 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, P], Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed3(Protocol[T1_co, T2_co, T3_co]):
    """A decorator for functions that take 3 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, T3_co, P], Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed4(Protocol[T1_co, T2_co, T3_co, T4_co]):
    """A decorator for functions that take 4 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, T3_co, T4_co, P], Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed5(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co]):
    """A decorator for functions that take 5 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, P], Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed6(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co]):
    """A decorator for functions that take 6 services first."""

    def __call__(
        self,
        function: Callable[Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, P], Awaitable[R]],
        /,
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed7(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co]):
    """A decorator for functions that take 7 services first."""

    def __call__(
        self,
        function: Callable[
            Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co, P], Awaitable[R]
        ],
        /,
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class AsyncServed8(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co, T8_co]):
    """A decorator for functions that take 8 services first."""

    def __call__(
        self,
        function: Callable[
            Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co, T8_co, P], Awaitable[R]
        ],
        /,
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...


class SyncUnserved(Protocol[S]):
    """A decorator for functions that take the scope first, or nothing of it."""

    @overload
    def __call__(self, function: Callable[Concatenate[Scope[S], P], R], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


class SyncServed1(Protocol[T1_co]):
    """A decorator for functions that take 1 service first."""

    def __call__(self, function: Callable[Concatenate[T1_co, P], R], /) -> Callable[P, R]: ...


class SyncServed2(Protocol[T1_co, T2_co]):
    """A decorator for functions that take 2 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed3(Protocol[T1_co, T2_co, T3_co]):
    """A decorator for functions that take 3 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, T3_co, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed4(Protocol[T1_co, T2_co, T3_co, T4_co]):
    """A decorator for functions that take 4 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, T3_co, T4_co, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed5(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co]):
    """A decorator for functions that take 5 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed6(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co]):
    """A decorator for functions that take 6 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed7(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co]):
    """A decorator for functions that take 7 services first."""

    def __call__(
        self,
        function: Callable[Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co, P], R],
        /,
    ) -> Callable[P, R]: ...


class SyncServed8(Protocol[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co, T8_co]):
    """A decorator for functions that take 8 services first."""

    def __call__(
        self,
        function: Callable[
            Concatenate[T1_co, T2_co, T3_co, T4_co, T5_co, T6_co, T7_co, T8_co, P], R
        ],
        /,
    ) -> Callable[P, R]: ...
