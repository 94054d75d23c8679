"""aiogram 3: one scope for each update, and its services as arguments of the handlers."""

from __future__ import annotations

import copy
import inspect
import re
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, cast, get_args, get_origin
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from sqla_safe._locations import caller
from sqla_safe.errors import FsmDataError, ScopeSourceError
from sqla_safe.ext._extras import missing
from sqla_safe.ext._owned import first_owned
from sqla_safe.ext._plain import is_plain, must_be_awaited, plain_refused
from sqla_safe.ext._served import note_served
from sqla_safe.guard._hooks import explaining
from sqla_safe.scopes._async import AsyncScopedServices
from sqla_safe.scopes._options import make_options
from sqla_safe.scopes._scope import AsyncScope
from sqla_safe.scopes._source import check_maker
from sqla_safe.services._build import parameters_of
from sqla_safe.services._inject import Injected

try:
    from aiogram import BaseMiddleware
    from aiogram.dispatcher.event.bases import CancelHandler, SkipHandler
    from aiogram.fsm.storage.base import BaseStorage, StateType, StorageKey
except ModuleNotFoundError as _error:
    raise missing(_error, "aiogram") from None

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

    from aiogram import Router
    from aiogram.types import TelegramObject

__all__ = ["ScopeMiddleware"]

A = TypeVar("A", bound=AsyncSession)
_ABSENT = object()
OPTIONAL = re.compile(r"\b(?:typing\.)?Optional\[(.*)\]")
STEERING = (SkipHandler, CancelHandler)


class ScopeMiddleware(BaseMiddleware):
    """Runs the handling of each update in one scope.

    Every ``scoped_services`` in the handlers joins it. It is committed when the handler returns,
    also with ``SkipHandler`` or ``CancelHandler``, and rolled back when the handler raises.
    Handlers get what they name or annotate: the scope, its session, its services. Error handlers
    run after the rollback and get a scope of their own. No connection is taken before the first
    statement.

    FSM data that holds an entity, a snapshot, a session or a scope is refused with `FsmDataError`.

    Args:
        source: the ``async_sessionmaker``.
        *services: classes or `inject`, given to the parameters that are annotated with the class.
        scope_name: the parameter by which handlers get the scope.
        read_only: as for `scoped_services`.
        isolation_level: as for `scoped_services`.
        timeout: seconds for the handling of one update.
        **named: services given to the parameters of these names, in filters too.

    Raises:
        ScopeSourceError: ``source`` is not an ``async_sessionmaker``.
        ScopeOptionError: an option that does not exist.

    Example:
        >>> from aiogram import Dispatcher
        >>> from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
        >>> class Users:
        ...     def __init__(self, session: AsyncSession) -> None: ...
        >>> dispatcher = Dispatcher()
        >>> middleware = ScopeMiddleware(async_sessionmaker(), Users)
        >>> _ = dispatcher.update.outer_middleware(middleware)
    """

    def __init__(
        self,
        source: async_sessionmaker[A],
        /,
        *services: Callable[[A], object],
        scope_name: str = "scope",
        read_only: bool = False,
        isolation_level: str | None = None,
        timeout: float | None = None,
        **named: Callable[[A], object],
    ) -> None:
        _check_async(source)
        self._place = caller(1)
        self._source: Any = source
        self._options = make_options("required", read_only, isolation_level, timeout)
        self._scope_name = scope_name
        self._named: dict[str, Any] = named
        self._by_class: dict[Any, Any] = {_class_of(s): s for s in (*named.values(), *services)}
        self._plans: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
        self._installed: WeakSet[Router] = WeakSet()
        self._served: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Handle one event in a scope."""
        self._install(_root_of(handler, data))
        result: Any = None
        control: Exception | None = None
        if "handler" in data:  # an inner middleware: the handler is chosen, and can be served
            handler = partial(self._inject, handler)
        async with self._opened() as scope:
            with _lent(data, self._keys(scope, data)):
                try:
                    result = await handler(event, data)
                except STEERING as raised:
                    control = raised
        if control is not None:
            raise control
        return result

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[AsyncScope[Any]]:
        served: AsyncScope[Any] | None = None
        try:
            async with self._block() as scope:
                scope._unit.steering = STEERING
                with explaining():
                    yield scope
                served = scope
        except Exception as error:
            if served is not None:
                note_served(error, self._served.get(served))
            raise

    def _block(self) -> AsyncScopedServices[AsyncScope[Any]]:
        return AsyncScopedServices(self._source, (), self._options, self._place)

    def _install(self, root: Router | None) -> None:
        """See to what an update's own middleware cannot: annotations, and error handlers."""
        if root is None or root in self._installed:
            return
        self._installed.add(root)
        for name, observer in root.observers.items():
            if name != "update":
                observer.middleware(self._inject)
        if self not in root.errors.outer_middleware:
            root.errors.outer_middleware(self)

    def _keys(self, scope: AsyncScope[Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return what filters and handlers are given by name."""
        keys = {name: scope.get(service) for name, service in self._named.items()}
        keys[self._scope_name] = scope
        if (state := data.get("state")) is not None:
            keys["state"] = copy.copy(state)
            keys["state"].storage = _checked(state.storage)
        if (storage := data.get("fsm_storage")) is not None:
            keys["fsm_storage"] = _checked(storage)
        return keys

    async def _inject(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Give a handler what its annotations ask for."""
        scope = data.get(self._scope_name)
        if not isinstance(scope, AsyncScope) or scope._unit.source is not self._source:
            return await handler(event, data)
        self._served[scope] = callback = data["handler"].callback
        given = {name: give(scope) for name, give in self._plan_of(callback).items()}
        if is_plain(callback):
            named = {name: data[name] for name in self._named.keys() & parameters_of(callback)}
            _refuse_plain(callback, {**named, **given})
        return await handler(event, {**data, **given})

    def _plan_of(self, callback: Callable[..., Any]) -> dict[str, Any]:
        """Return how to make each annotated argument from a scope; read once for a handler."""
        try:
            known = self._plans.get(callback)
        except TypeError:  # neither hashable nor weakly referenced: read each time
            return self._read(callback)
        if known is None:
            known = self._plans[callback] = self._read(callback)
        return known

    def _read(self, callback: Callable[..., Any]) -> dict[str, Any]:
        function = inspect.unwrap(callback)
        raw = _raw_annotations(function)
        givers = {
            name: self._giver(parameter.annotation, raw.get(name))
            for name, parameter in parameters_of(function).items()
        }
        return {name: giver for name, giver in givers.items() if giver is not None}

    def _giver(self, annotation: Any, raw: Any) -> Callable[[AsyncScope[Any]], Any] | None:
        if annotation is inspect.Parameter.empty and isinstance(raw, str):
            annotation = self._by_class_name(raw)
        annotation = _bare(annotation)
        kind = get_origin(annotation) or annotation
        if kind is AsyncScope:
            return _itself
        if isinstance(kind, type) and issubclass(kind, AsyncSession):
            return _session_of
        return _getter(self._by_class.get(kind)) if isinstance(kind, type) else None

    def _by_class_name(self, raw: str) -> Any:
        """Return the class that a name stands for which is imported only for type checkers."""
        known = [AsyncScope, AsyncSession, self._source.class_, *self._by_class]
        name = _class_name(raw)
        found = {cls for cls in known if getattr(cls, "__name__", None) == name}
        return found.pop() if len(found) == 1 else None


def _class_name(raw: str) -> str:
    """Return the name in an annotation such as `models.Users[int] | None`."""
    inside = OPTIONAL.sub(r"\1", raw)
    names = [part.strip() for part in inside.split("|")]
    [name, *others] = [name for name in names if name != "None"] or [""]
    return "" if others else name.partition("[")[0].rpartition(".")[2]


def _bare(annotation: Any) -> Any:
    """Return what an annotation says beside `None` and notes for others."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        left = [part for part in get_args(annotation) if part is not NoneType]
        return _bare(left[0]) if len(left) == 1 else annotation
    return annotation


def _check_async(source: object) -> None:
    check_maker(source, "ScopeMiddleware(Session, ...)")
    if not isinstance(source, async_sessionmaker):
        raise ScopeSourceError(
            got="a sync sessionmaker",
            instead="ScopeMiddleware(async_sessionmaker(create_async_engine(...)), ...)",
            expected="ScopeMiddleware takes an async_sessionmaker, not",
        )


def _class_of(service: Any) -> Any:
    return cast("Any", service).cls if isinstance(service, Injected) else service


def _root_of(handler: Any, data: dict[str, Any]) -> Router | None:
    """Return the dispatcher; before aiogram 3.29 or so, only its handler leads to it."""
    router = data.get("dispatcher") or data.get("event_router")
    if router is None:
        while isinstance(handler, partial):  # the middlewares behind this one
            handler = handler.args[-1]
        trigger = getattr(handler, "__wrapped__", None)
        router = getattr(getattr(trigger, "__self__", None), "router", None)
    return None if router is None else tuple(router.chain_head)[-1]


def _refuse_plain(callback: Any, given: dict[str, Any]) -> None:
    """Refuse a handler that runs in a thread, where nothing of an async service can be awaited."""
    for name, value in given.items():
        if not isinstance(value, AsyncScope) and must_be_awaited(value):
            raise plain_refused("handler", callback, name, "")


def _itself(scope: AsyncScope[Any]) -> AsyncScope[Any]:
    return scope


def _session_of(scope: AsyncScope[Any]) -> Any:
    return scope.session


def _getter(service: Any) -> Callable[[AsyncScope[Any]], Any] | None:
    return None if service is None else partial(_get, service=service)


def _get(scope: AsyncScope[Any], *, service: Any) -> Any:
    return scope.get(service)


def _raw_annotations(function: Any) -> dict[str, Any]:
    while isinstance(function, partial):
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    return getattr(function, "__annotations__", {})


@contextmanager
def _lent(data: dict[str, Any], keys: dict[str, Any]) -> Generator[None]:
    """Put keys into aiogram's dictionary, which error handlers get as well, and take them out."""
    before = {name: data.get(name, _ABSENT) for name in keys}
    data.update(keys)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                data.pop(name, None)
            else:
                data[name] = value


def _checked(storage: BaseStorage) -> BaseStorage:
    return storage if isinstance(storage, _CheckedStorage) else _CheckedStorage(storage)


class _CheckedStorage(BaseStorage):
    """A storage that refuses what belongs to a session."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def set_state(self, key: StorageKey, state: StateType = None) -> None:
        await self._storage.set_state(key=key, state=state)

    async def get_state(self, key: StorageKey) -> str | None:
        return await self._storage.get_state(key=key)

    async def set_data(self, key: StorageKey, data: Mapping[str, Any]) -> None:
        _refuse_owned(data)
        await self._storage.set_data(key=key, data=data)

    async def get_data(self, key: StorageKey) -> dict[str, Any]:
        return await self._storage.get_data(key=key)

    async def update_data(self, key: StorageKey, data: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_owned(data)
        return await self._storage.update_data(key=key, data=data)

    async def close(self) -> None:
        await self._storage.close()


def _refuse_owned(data: Mapping[str, Any]) -> None:
    """Raise if a value is, or contains, what cannot leave its session or this process."""
    for name, value in data.items():
        if (found := first_owned(value)) is not None:
            kind, what = found
            raise FsmDataError(name=str(name), kind=kind, what=what)
