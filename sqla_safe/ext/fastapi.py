"""One scope for each FastAPI request, committed before the response leaves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, cast, get_origin

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe._locations import Place, caller
from sqla_safe.errors import ScopeSourceError
from sqla_safe.ext._extras import missing
from sqla_safe.ext._plain import is_plain, must_be_awaited, plain_refused
from sqla_safe.ext._served import note_served
from sqla_safe.guard._hooks import explaining
from sqla_safe.scopes import _ambient
from sqla_safe.scopes._async import AsyncScopedServices
from sqla_safe.scopes._options import ScopeOptions, make_options
from sqla_safe.scopes._scope import AsyncScope, BaseScope, Scope
from sqla_safe.scopes._source import check_maker, described
from sqla_safe.scopes._sync import ScopedServices
from sqla_safe.services._inject import Injected

try:
    from fastapi import Depends, FastAPI
    from fastapi.concurrency import run_in_threadpool
    from starlette.requests import HTTPConnection
except ModuleNotFoundError as _error:
    raise missing(_error, "fastapi") from None

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable

__all__ = ["Services", "StreamServices", "depends", "setup_scopes"]

A = TypeVar("A", bound=AsyncSession)
S = TypeVar("S", bound=Session)
T = TypeVar("T")

if TYPE_CHECKING:
    Services: TypeAlias = Annotated[T, "a service of the request's scope"]
    StreamServices: TypeAlias = Annotated[T, "a service of the stream's scope"]
else:

    class Services:
        """A parameter that is a service of the request's scope: ``users: Services[UserService]``.

        All parameters of a request, those of its other dependencies included, share one scope of
        the application's sessionmaker. It is committed when the endpoint has returned, before the
        response leaves, and rolled back when the endpoint raises. ``Services[AsyncScope]`` is the
        scope itself, ``Services[AsyncSession]`` its session.

        Example:
            >>> from fastapi import FastAPI
            >>> from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
            >>> class Users:
            ...     def __init__(self, session: AsyncSession) -> None: ...
            >>> app = FastAPI()
            >>> setup_scopes(app, async_sessionmaker())
            >>> @app.get("/")
            ... async def index(users: Services[Users]) -> None: ...
        """

        def __class_getitem__(cls, service: Any) -> Any:
            return Annotated[service, _depends(_of_app, service, "function")]

    class StreamServices:
        """A parameter for endpoints that stream: its scope ends when the response has been sent.

        The scope is read-only and independent of the request's own: what is written while the
        response is on its way can fail when nobody can be told any more.
        """

        def __class_getitem__(cls, service: Any) -> Any:
            return Annotated[service, _depends(_stream_of_app, service, "request")]


def setup_scopes(
    app: FastAPI,
    source: async_sessionmaker[Any] | sessionmaker[Any],
    /,
    *services: Callable[[Any], object],
) -> None:
    """Say which sessionmaker the `Services` of an application are made from.

    Args:
        app: the application.
        source: its ``async_sessionmaker``, or ``sessionmaker`` for endpoints that are plain ``def``
            functions and run in threads.
        *services: those that need more than a session, as `inject` makes them; ``Services[X]``
            finds them by their class.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker, or ``app`` not an application.
    """
    _check_app(app)
    check_maker(source, "setup_scopes(app, Session)")
    place = caller(1)
    app.state.sqla_safe = _AppScopes(
        _Opener(source, make_options("required", False, None, None), place),  # noqa: FBT003  (as its signature)
        _Opener(source, make_options("requires_new", True, None, None), place, is_stream=True),  # noqa: FBT003
        {s.cls: s for s in services if isinstance(s, Injected)},
    )


def _check_app(app: Any) -> None:
    if not isinstance(app, FastAPI):
        raise ScopeSourceError(
            got=described(app),
            instead="setup_scopes(app, Session)",
            expected="setup_scopes takes the FastAPI application first, not",
        )


def depends(
    source: async_sessionmaker[A] | sessionmaker[S],
    service: Callable[[A], object] | Callable[[S], object] | None = None,
    /,
    *,
    stream: bool = False,
    read_only: bool | None = None,
    isolation_level: str | None = None,
    timeout: float | None = None,
) -> Any:
    """Make a dependency of one sessionmaker, for the inside of ``Annotated``.

    Dependencies of the same sessionmaker and options share one scope in a request.

    Args:
        source: the ``async_sessionmaker`` or ``sessionmaker``.
        service: a class, function or `inject`; without it the parameter is the scope.
        stream: the scope ends when the response has been sent, not before; for endpoints that
            stream. It is independent of the request's other scopes.
        read_only: as for `scoped_services`; by default only streams are.
        isolation_level: as for `scoped_services`.
        timeout: seconds for the request.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker.
        ScopeOptionError: an option that does not exist.

    Example:
        >>> from typing import Annotated
        >>> from fastapi import FastAPI
        >>> from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
        >>> class Users:
        ...     def __init__(self, session: AsyncSession) -> None: ...
        >>> UsersOf = Annotated[Users, depends(async_sessionmaker(), Users, read_only=True)]
        >>> app = FastAPI()
        >>> @app.get("/")
        ... async def index(users: UsersOf) -> None: ...
    """
    check_maker(source, "depends(Session, ...)")
    propagation = "requires_new" if stream else "required"
    reads_only = stream if read_only is None else read_only
    options = make_options(propagation, reads_only, isolation_level, timeout)
    opener = _Opener(source, options, caller(1), is_stream=stream)
    return _depends(opener, service, "request" if stream else "function")


def _depends(opener: Any, service: Any, lifetime: Any) -> Any:
    asked = Depends(opener, scope=lifetime)
    kind = get_origin(service) or service
    if kind is None or (isinstance(kind, type) and issubclass(kind, BaseScope)):
        return asked

    async def give(connection: HTTPConnection, scope: Any = asked) -> Any:
        given = _given(scope, service, kind, connection)
        if isinstance(scope, AsyncScope) and lifetime == "function":
            _refuse_plain(connection.scope.get("route"), give, given)
        return given

    return Depends(give, scope=lifetime)


def _refuse_plain(route: Any, give: Any, given: object) -> None:
    """Refuse an endpoint that runs in a thread, where nothing of an async service can be awaited.

    One that streams may be such: it gives the service to a generator.
    """
    dependant = getattr(route, "dependant", None)
    if dependant is None or not is_plain(dependant.call) or not must_be_awaited(given):
        return
    for parameter in dependant.dependencies:
        if parameter.call is give and parameter.name is not None:
            sync = ", or a sessionmaker in place of the async_sessionmaker"
            raise plain_refused("endpoint", dependant.call, parameter.name, sync)


def _given(scope: Any, service: Any, kind: Any, connection: HTTPConnection) -> Any:
    if isinstance(kind, type) and issubclass(kind, (AsyncSession, Session)):
        return scope.session
    app: _AppScopes | None = getattr(connection.app.state, "sqla_safe", None)
    return scope.get(service if app is None else app.services.get(service, service))


class _Opener:
    """The dependency that opens a scope; FastAPI asks equal ones once for each request."""

    def __init__(
        self, source: Any, options: ScopeOptions, place: Place, *, is_stream: bool = False
    ) -> None:
        self._source = source
        self._options = options
        self._place = place
        self._is_stream = is_stream

    @property
    def _key(self) -> Hashable:
        return self._source, self._options, self._is_stream

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Opener) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[Any]:
        async with self.opened(connection) as scope:
            yield scope

    @asynccontextmanager
    async def opened(self, connection: HTTPConnection) -> AsyncGenerator[Any]:
        """Give the scope of a request."""
        is_over = False
        try:
            async with self._block() as scope:
                with explaining():
                    yield scope
                is_over = True
        except Exception as error:
            if is_over:
                note_served(error, connection.scope.get("endpoint"))
            raise

    @asynccontextmanager
    async def _block(self) -> AsyncGenerator[Any]:
        is_async = isinstance(self._source, async_sessionmaker)
        async with self._async() if is_async else self._sync() as scope:
            if self._is_stream:  # the endpoint's own blocks must not join what outlives them
                _ambient.pop(scope)
            yield scope

    def _async(self) -> AsyncScopedServices[AsyncScope[Any]]:
        return AsyncScopedServices(self._source, (), self._options, self._place)

    @asynccontextmanager
    async def _sync(self) -> AsyncGenerator[Scope[Any]]:
        """Open a sync scope, and end it in a thread: its COMMIT must not stop the event loop."""
        block = ScopedServices[Scope[Any]](self._source, (), self._options, self._place)
        scope = block.__enter__()
        scope._owner = _RequestOwner()
        try:
            yield scope
        except BaseException as error:
            await run_in_threadpool(block.__exit__, type(error), error, error.__traceback__)
            raise
        await run_in_threadpool(block.__exit__, None, None, None)


_Opener.__call__.__annotations__["connection"] = HTTPConnection
"""FastAPI reads names in the annotations of functions, and not of objects that can be called."""


class _RequestOwner:
    """Owns the sync scope of a request: its task, and the threads that its endpoint runs in.

    Threads see the scope only if they were given the request's context, as FastAPI's are. What has
    a loop of its own is another task, and joins nothing.
    """

    def __init__(self) -> None:
        self._task = asyncio.current_task()

    def __eq__(self, other: object) -> bool:
        return other is self._task or isinstance(other, int)

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class _AppScopes:
    """What `setup_scopes` keeps in the application's state."""

    def __init__(self, request: _Opener, stream: _Opener, services: dict[Any, Any]) -> None:
        self.request = request
        self.stream = stream
        self.services = services


async def _of_app(connection: HTTPConnection) -> AsyncIterator[Any]:
    async with _app_scopes(connection).request.opened(connection) as scope:
        yield scope


async def _stream_of_app(connection: HTTPConnection) -> AsyncIterator[Any]:
    async with _app_scopes(connection).stream.opened(connection) as scope:
        yield scope


def _app_scopes(connection: HTTPConnection) -> _AppScopes:
    found = getattr(connection.app.state, "sqla_safe", None)
    if found is None:
        raise ScopeSourceError(
            got="none",
            instead="setup_scopes(app, Session), for an application that is mounted as well",
            expected="Services are made from the application's sessionmaker, and this one has",
        )
    return cast("_AppScopes", found)
