"""A dishka provider whose request scope is a scope of sqla_safe."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator  # noqa: TC003  (dishka reads them)
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe._locations import caller
from sqla_safe.ext._extras import missing
from sqla_safe.scopes._async import AsyncScopedServices
from sqla_safe.scopes._options import make_options
from sqla_safe.scopes._scope import AsyncScope, Scope
from sqla_safe.scopes._source import check_maker
from sqla_safe.scopes._sync import ScopedServices
from sqla_safe.services._inject import Injected

try:
    from dishka import BaseScope, Provider
    from dishka import Scope as Lifetime
except ModuleNotFoundError as _error:
    raise missing(_error, "dishka") from None

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ScopeProvider"]

A = TypeVar("A", bound=AsyncSession)
S = TypeVar("S", bound=Session)


class ScopeProvider(Provider):
    """Gives a scope, its session, and its services to whatever a request container makes.

    The scope is opened when something first asks for it, and ends with the container: it commits,
    or rolls back when the container is left with an exception. An error of COMMIT leaves the
    container in dishka's ``ExitError``. Other providers need not know about it: a class that takes
    a session gets the scope's.

    Args:
        source: the ``async_sessionmaker``, or the ``sessionmaker`` for a sync container.
        *services: classes or `inject`, to be given by their class.
        lifetime: dishka's scope; by default its ``REQUEST``.
        component: dishka's component, for a second database.
        read_only: as for `scoped_services`.
        isolation_level: as for `scoped_services`.
        timeout: seconds for the whole transaction.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker.
        ScopeOptionError: an option that does not exist.

    Example:
        >>> from dishka import make_async_container
        >>> from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
        >>> class Users:
        ...     def __init__(self, session: AsyncSession) -> None: ...
        >>> container = make_async_container(ScopeProvider(async_sessionmaker(), Users))
    """

    def __init__(
        self,
        source: async_sessionmaker[A] | sessionmaker[S],
        /,
        *services: Callable[[A], object] | Callable[[S], object],
        lifetime: BaseScope = Lifetime.REQUEST,
        component: str | None = None,
        read_only: bool = False,
        isolation_level: str | None = None,
        timeout: float | None = None,
    ) -> None:
        check_maker(source, "ScopeProvider(Session, ...)")
        super().__init__(scope=lifetime, component=component)
        self._source: Any = source
        self._options = make_options("required", read_only, isolation_level, timeout)
        self._place = caller(1)
        is_async = isinstance(source, async_sessionmaker)
        kind: Any = AsyncScope if is_async else Scope
        self.provide(self._open_async if is_async else self._open_sync, provides=kind)
        for session in dict.fromkeys((AsyncSession if is_async else Session, self._source.class_)):
            self.provide(_same(kind), provides=kind[session])
            self.provide(_session(kind), provides=session)
        for service in services:
            cls: Any = service.cls if isinstance(service, Injected) else service
            self.provide(_maker(kind, service), provides=cls)

    async def _open_async(self) -> AsyncGenerator[Any, BaseException | None]:
        block = AsyncScopedServices[Any](self._source, (), self._options, self._place)
        error = yield await block.__aenter__()
        await block.__aexit__(*_facts(error))

    def _open_sync(self) -> Generator[Any, BaseException | None, None]:
        block = ScopedServices[Any](self._source, (), self._options, self._place)
        error = yield block.__enter__()
        block.__exit__(*_facts(error))


def _facts(error: BaseException | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


# dishka reads what its factories take and give from their annotations, the class alone.


def _annotated(function: Callable[[Any], Any], kind: Any) -> Callable[[Any], Any]:
    function.__annotations__["scope"] = kind
    return function


def _maker(kind: Any, service: Any) -> Callable[[Any], Any]:
    def make(scope: Any) -> Any:
        return scope.get(service)

    return _annotated(make, kind)


def _same(kind: Any) -> Callable[[Any], Any]:
    def same(scope: Any) -> Any:
        return scope

    return _annotated(same, kind)


def _session(kind: Any) -> Callable[[Any], Any]:
    def session(scope: Any) -> Any:
        return scope.session

    return _annotated(session, kind)
