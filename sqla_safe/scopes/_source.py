"""What a scope can be opened from, and how its session is made from that."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_safe.errors import ScopeSourceError
from sqla_safe.scopes._calm import calm_class
from sqla_safe.scopes._session import managed_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INSTEAD: tuple[tuple[tuple[type, ...], str], ...] = (
    ((AsyncEngine, AsyncConnection), "Session = async_sessionmaker(engine); {call}"),
    ((Engine, Connection), "Session = sessionmaker(engine); {call}"),
    ((AsyncSession,), "pass the async_sessionmaker that made the session: {call}"),
    ((Session,), "pass the sessionmaker that made the session: {call}"),
    ((scoped_session, async_scoped_session), "pass its session_factory for Session: {call}"),
)
_DECORATED = "{call}, with your sessionmaker"
_SESSION_CLASS = "pass sessionmaker(engine) or async_sessionmaker(engine) for Session: {call}"
OF_BLOCKS = "scoped_services(Session, ...)"


def check_maker(source: Any, call: str) -> None:
    """Refuse what is not a sessionmaker, naming what to write.

    Args:
        source: what was given.
        call: the line to write, in which ``Session`` is the sessionmaker.

    Raises:
        ScopeSourceError: ``source`` is an engine, a session, a registry or something else.
    """
    if isinstance(source, (sessionmaker, async_sessionmaker)):
        return
    raise no_maker(source, call, described(source))


def no_maker(source: Any, call: str, got: str) -> ScopeSourceError:
    """Return the error for something that is not a sessionmaker."""
    instead = _instead(source).format(call=call)
    if call == OF_BLOCKS:
        return ScopeSourceError(got=got, instead=instead)
    name = call.partition("(")[0].removeprefix("@")
    expected = f"{name} takes a sessionmaker or an async_sessionmaker, not"
    return ScopeSourceError(got=got, instead=instead, expected=expected)


def described(source: Any) -> str:
    """Say what was given, without its value."""
    return f"the class {source.__name__}" if isinstance(source, type) else type(source).__name__


def _instead(source: Any) -> str:
    for types, instead in _INSTEAD:
        if isinstance(source, types):
            return instead
    return _DECORATED if isinstance(source, FunctionType) else _SESSION_CLASS


def make_async_session(
    source: async_sessionmaker[Any], unit: Any, options: Mapping[str, Any]
) -> AsyncSession:
    """Make the session of an async scope with the sessionmaker's own options."""
    base: Any = source.kw.get("sync_session_class") or source.class_.sync_session_class
    is_maker = isinstance(base, sessionmaker)  # SQLAlchemy allows one here, for its events
    factory = (_managed_factory if is_maker else managed_class)(base, unit.is_steered)
    options = {**source.kw, **options, "sync_session_class": factory}
    calm: Any = source.class_
    session: AsyncSession = calm_class(calm)(**options)
    managed: Any = session.sync_session
    managed._sqs_unit = unit
    return session


def _managed_factory(inner: sessionmaker[Any], is_steered: bool) -> Callable[..., Session]:  # noqa: FBT001  (as managed_class)
    base: Any = inner.class_

    def make(**options: Any) -> Session:
        return managed_class(base, is_steered)(**{**inner.kw, **options})

    return make
