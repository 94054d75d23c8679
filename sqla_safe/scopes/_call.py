"""One function that `transactional` decorates: each call is a scope, or several in turn."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from sqla_safe.scopes import _ambient
from sqla_safe.scopes._async import AsyncScopedServices
from sqla_safe.scopes._retry import retrying
from sqla_safe.scopes._scope import BaseScope
from sqla_safe.scopes._sync import ScopedServices

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe._locations import Place
    from sqla_safe.scopes._options import ScopeOptions


class Call:
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
            return retrying(self._attempts, is_async=False)(once, args, kwargs)

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
            return await retrying(self._attempts, is_async=True)(once, args, kwargs)

        return _without_first(call, function, len(self._services) or self._takes_scope)

    def _may_retry(self) -> bool:
        joins = self._options.propagation in ("required", "mandatory", "nested")
        return self._attempts > 1 and not (joins and _ambient.find(self._source) is not None)

    def _first(self, built: Any) -> tuple[Any, ...]:
        if not self._services:
            return (built,) if self._takes_scope else ()
        return built if len(self._services) > 1 else (built,)


def takes_scope(function: Callable[..., Any]) -> bool:
    """Tell whether a function without services wants the scope itself."""
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
