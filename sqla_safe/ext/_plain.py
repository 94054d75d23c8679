"""Plain functions that a framework runs in a thread: nothing can be awaited there."""

from __future__ import annotations

import inspect
from typing import Any

from sqla_safe.errors import ScopeOptionError


def is_plain(function: Any) -> bool:
    """Say whether a function is no coroutine function, nor made of one by a decorator."""
    inner = inspect.unwrap(function)
    is_async = any(map(inspect.iscoroutinefunction, (function, inner)))
    return inspect.isfunction(inner) and not (is_async or inspect.isasyncgenfunction(inner))


def must_be_awaited(service: object) -> bool:
    """Say whether an object has methods that give coroutines, as one of an async session."""
    kind: type[object] = type(service)
    members = (inspect.getattr_static(kind, name, None) for name in dir(kind))
    return any(inspect.iscoroutinefunction(member) for member in members)


def plain_refused(what: str, function: Any, parameter: str, otherwise: str) -> ScopeOptionError:
    """Return the error for a plain function that was to be given a service which is awaited."""
    name = function.__name__
    return ScopeOptionError(
        problem=f"the {what} {name} is a plain function with the parameter {parameter}, "
        "and a service of an async_sessionmaker needs a coroutine one",
        instead=f"async def {name}(...){otherwise}",
    )
