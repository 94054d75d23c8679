"""Functions that could not use what they are given: plain ones in a thread, and generators."""

from __future__ import annotations

import inspect
from functools import partial
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


def without_partials(function: Any) -> Any:
    """Return the function that `functools.partial` was given."""
    while isinstance(function, partial):
        function = function.func
    return function


def is_generator(function: Any) -> bool:
    """Say whether a function runs only when what it returned is read; not what it wraps."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def generator_refused(function: Any, parameter: str, service: str) -> ScopeOptionError:
    """Return the error for a generator and a service whose scope ends before it runs."""
    name = without_partials(function).__name__
    return ScopeOptionError(
        problem=f"the endpoint {name} is a generator function: it runs when the scope "
        f"of its parameter {parameter} has ended",
        instead=f"{parameter}: StreamServices[{service}], or depends(..., stream=True)",
    )
