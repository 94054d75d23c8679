"""Finding the session in what a view is asked to load with: a session, a scope or a registry."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from sqla_safe.errors import ViewSourceError


def sync_session(source: Any, name: str) -> Session:
    """Return the `Session` of a session or scope.

    Raises:
        ViewSourceError: it is asynchronous, or something else.
    """
    found = _session(source)
    if isinstance(found, Session):
        return found
    if isinstance(found, AsyncSession):
        raise ViewSourceError(
            problem=f"{name} was given an asynchronous {type(source).__name__}",
            instead=f"await a{name}(...)",
        )
    raise _no_session(source, name)


def async_session(source: Any, name: str) -> AsyncSession:
    """Return the `AsyncSession` of a session or scope.

    Raises:
        ViewSourceError: it is synchronous, or something else.
    """
    found = _session(source)
    if isinstance(found, AsyncSession):
        return found
    if isinstance(found, Session):
        raise ViewSourceError(
            problem=f"{name} was given a synchronous {type(source).__name__}",
            instead=f"{name.removeprefix('a')}(...), without await",
        )
    raise _no_session(source, name)


def _session(source: Any) -> Any:
    if isinstance(source, (Session, AsyncSession)):
        return source
    if _is_registry(source):
        return source()
    return None if isinstance(source, type) else getattr(source, "session", None)


def _is_registry(source: Any) -> bool:
    return isinstance(source, (scoped_session, async_scoped_session))


def _no_session(source: Any, name: str) -> ViewSourceError:
    kind = source.__name__ if isinstance(source, type) else type(source).__name__
    return ViewSourceError(
        problem=f"{name} loads with a session or a scope, and was given {kind}",
        instead=f"{name}(scope, ...) with what scoped_services(...) opened, or a session",
    )
