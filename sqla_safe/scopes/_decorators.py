"""The types of the decorators that `transactional` returns: the services go first, and go away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqla_safe.scopes._scope import AsyncScope, Scope

A = TypeVar("A", bound=AsyncSession)
S = TypeVar("S", bound=Session)
P = ParamSpec("P")
R = TypeVar("R")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")


class AsyncUnserved(Protocol[A]):
    """A decorator for functions that take the scope first, or nothing of it."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[AsyncScope[A], P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Callable[P, Awaitable[R]]: ...


class AsyncServed1(Protocol[T1]):
    """A decorator for functions that take 1 service first."""

    def __call__(
        self, function: Callable[Concatenate[T1, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class AsyncServed2(Protocol[T1, T2]):
    """A decorator for functions that take 2 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class AsyncServed3(Protocol[T1, T2, T3]):
    """A decorator for functions that take 3 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class AsyncServed4(Protocol[T1, T2, T3, T4]):
    """A decorator for functions that take 4 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class AsyncServed5(Protocol[T1, T2, T3, T4, T5]):
    """A decorator for functions that take 5 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class AsyncServed6(Protocol[T1, T2, T3, T4, T5, T6]):
    """A decorator for functions that take 6 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, T6, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class AsyncServed7(Protocol[T1, T2, T3, T4, T5, T6, T7]):
    """A decorator for functions that take 7 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, T6, T7, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class AsyncServed8(Protocol[T1, T2, T3, T4, T5, T6, T7, T8]):
    """A decorator for functions that take 8 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, T6, T7, T8, P], Awaitable[R]], /
    ) -> Callable[P, Awaitable[R]]: ...


class SyncUnserved(Protocol[S]):
    """A decorator for functions that take the scope first, or nothing of it."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Scope[S], P], R], /
    ) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


class SyncServed1(Protocol[T1]):
    """A decorator for functions that take 1 service first."""

    def __call__(
        self, function: Callable[Concatenate[T1, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed2(Protocol[T1, T2]):
    """A decorator for functions that take 2 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed3(Protocol[T1, T2, T3]):
    """A decorator for functions that take 3 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed4(Protocol[T1, T2, T3, T4]):
    """A decorator for functions that take 4 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed5(Protocol[T1, T2, T3, T4, T5]):
    """A decorator for functions that take 5 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed6(Protocol[T1, T2, T3, T4, T5, T6]):
    """A decorator for functions that take 6 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, T6, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed7(Protocol[T1, T2, T3, T4, T5, T6, T7]):
    """A decorator for functions that take 7 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, T6, T7, P], R], /
    ) -> Callable[P, R]: ...


class SyncServed8(Protocol[T1, T2, T3, T4, T5, T6, T7, T8]):
    """A decorator for functions that take 8 services first."""

    def __call__(
        self, function: Callable[Concatenate[T1, T2, T3, T4, T5, T6, T7, T8, P], R], /
    ) -> Callable[P, R]: ...
