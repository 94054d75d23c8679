"""A svcs container whose services share a scope of sqla_safe."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe._locations import Place, caller
from sqla_safe.errors import ScopeSourceError
from sqla_safe.ext._extras import missing
from sqla_safe.scopes._async import AsyncScopedServices
from sqla_safe.scopes._options import ScopeOptions, make_options
from sqla_safe.scopes._scope import AsyncScope, BaseScope, Scope
from sqla_safe.scopes._source import check_maker, described
from sqla_safe.scopes._sync import ScopedServices
from sqla_safe.services._inject import Injected

try:
    from svcs import Container, Registry
except ModuleNotFoundError as _error:
    raise missing(_error, "svcs") from None

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

__all__ = ["add_scope", "scoped_container"]

A = TypeVar("A", bound=AsyncSession)
S = TypeVar("S", bound=Session)


@overload
def scoped_container(
    registry: Registry,
    source: async_sessionmaker[A],
    /,
    *services: Callable[[A], object],
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AbstractAsyncContextManager[Container]: ...
@overload
def scoped_container(
    registry: Registry,
    source: sessionmaker[S],
    /,
    *services: Callable[[S], object],
    read_only: bool = ...,
    isolation_level: str | None = ...,
    timeout: float | None = ...,
) -> AbstractContextManager[Container]: ...
def scoped_container(
    registry: Registry,
    source: Any,
    /,
    *services: Any,
    read_only: bool = False,
    isolation_level: str | None = None,
    timeout: float | None = None,
) -> Any:
    """Open a container inside a scope, so that its end is the scope's: it has stored, or raises.

    svcs logs what goes wrong while a container closes, and goes on. Here the scope is around the
    container: errors of COMMIT leave the block, and errors of the block roll back.

    Args:
        registry: the registry; what it makes can ask for the scope's session.
        source: the ``async_sessionmaker`` (use ``async with``) or ``sessionmaker`` (use ``with``).
        *services: classes or `inject`, to be given by their class.
        read_only: as for `scoped_services`.
        isolation_level: as for `scoped_services`.
        timeout: seconds for the whole transaction.

    Returns:
        A context manager that gives the container. It knows the scope, its session, the services,
        and all that the registry knows.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker.
        ScopeOptionError: an option that does not exist.

    Example:
        >>> import svcs
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import Session, sessionmaker
        >>> class Users:
        ...     def __init__(self, session: Session) -> None: ...
        >>> maker = sessionmaker(create_engine("sqlite://"))
        >>> with scoped_container(svcs.Registry(), maker, Users) as container:
        ...     users = container.get(Users)
    """
    check_maker(source, "scoped_container(registry, Session, ...)")
    options = make_options("required", read_only, isolation_level, timeout)
    opened = _opened_async if isinstance(source, async_sessionmaker) else _opened
    return opened(registry, source, services, options, caller(1))


@asynccontextmanager
async def _opened_async(
    registry: Registry, source: Any, services: Any, options: ScopeOptions, place: Place
) -> AsyncGenerator[Container]:
    async with (
        AsyncScopedServices[AsyncScope[Any]](source, (), options, place) as scope,
        Container(registry) as container,
    ):
        add_scope(container, scope, *services)
        yield container


@contextmanager
def _opened(
    registry: Registry, source: Any, services: Any, options: ScopeOptions, place: Place
) -> Generator[Container]:
    with (
        ScopedServices[Scope[Any]](source, (), options, place) as scope,
        Container(registry) as container,
    ):
        add_scope(container, scope, *services)
        yield container


def add_scope(
    container: Container, scope: AsyncScope[Any] | Scope[Any], /, *services: Callable[[Any], object]
) -> None:
    """Let a container know an open scope, its session, and its services.

    For containers that a framework's integration has made, where something else opens the scope.

    Args:
        container: it gives what belongs to the scope, and must be closed before it.
        scope: an open scope.
        *services: classes or `inject`, to be given by their class.

    Raises:
        ScopeSourceError: ``scope`` is no open scope, or ``container`` no container.
        ScopeClosedError: the scope has ended.
    """
    _check_scope(container, scope)
    local: Any = container  # svcs' own types are partly unknown
    session: Any = scope.session
    is_async = isinstance(scope, AsyncScope)
    local.register_local_value(AsyncScope if is_async else Scope, scope, enter=False)
    kinds: list[Any] = [AsyncSession if is_async else Session, scope._unit.source.class_]
    for kind in dict.fromkeys(kinds):
        local.register_local_value(kind, session, enter=False)
        if is_async:
            _know(local, kind)
    for service in services:
        cls: Any = cast("Any", service).cls if isinstance(service, Injected) else service
        local.register_local_factory(cls, _maker(scope, service), enter=False)


def _check_scope(container: Any, scope: Any) -> None:
    for got, kind, wanted in (
        (container, Container, "a container"),
        (scope, BaseScope, "an open scope"),
    ):
        if not isinstance(got, kind):
            raise ScopeSourceError(
                got=described(got),
                instead="add_scope(container, scope, ...)",
                expected=f"add_scope needs {wanted} here, not",
            )
    scope._require_active("add_scope()")


def _know(container: Any, kind: type) -> None:
    """Let `get()` find an async session, for factories that are plain functions.

    svcs refuses there what has an ``__aenter__``, asked to enter it or not, unless it is known.
    """
    asking = container.aget(kind)
    with suppress(StopIteration):  # there is nothing to wait for
        asking.send(None)
    asking.close()


def _maker(scope: Any, service: Any) -> Callable[[], Any]:
    return lambda: scope.get(service)
