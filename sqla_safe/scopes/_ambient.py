"""Which scopes the running task has open, innermost first.

A context variable holds the innermost scope; each scope knows the one around it. Child tasks and
threads copy the variable, so every look-up also asks who opened the scope. Nothing is ever reset
by token: a scope may be left in another task or context than the one it was entered in, and a
closed scope is simply skipped.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqla_safe._owners import current_owner

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sqla_safe.scopes._scope import BaseScope

_innermost: ContextVar[BaseScope[Any] | None] = ContextVar("sqla_safe_scope", default=None)


def push(scope: BaseScope[Any]) -> None:
    """Make a scope the innermost one of the running task."""
    around = _innermost.get()
    while around is not None and not around.is_active:
        around = around._around
    scope._around = around
    _innermost.set(scope)


def pop(scope: BaseScope[Any]) -> None:
    """Undo `push`; in another context than the scope's own this changes nothing."""
    if _innermost.get() is scope:
        _innermost.set(scope._around)


@contextmanager
def hidden() -> Generator[None, None, None]:
    """Let nothing be open for a while."""
    scope = _innermost.get()
    _innermost.set(None)
    try:
        yield
    finally:
        _innermost.set(scope)


def open_scopes() -> Iterator[BaseScope[Any]]:
    """Yield the running task's open scopes, innermost first."""
    scope = _innermost.get()
    if scope is None:
        return
    owner = current_owner()
    while scope is not None:
        if scope.is_active and scope._owner == owner:
            yield scope
        scope = scope._around


def find(source: Any) -> BaseScope[Any] | None:
    """Return the running task's innermost open scope for a sessionmaker."""
    return next((scope for scope in open_scopes() if scope._unit.source is source), None)


innermost = _innermost.get
set_innermost = _innermost.set
"""None says quickly that the running task has certainly no scope open; a call without a frame."""
