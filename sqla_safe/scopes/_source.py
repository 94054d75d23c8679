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
    (
        (AsyncEngine, AsyncConnection),
        "Session = async_sessionmaker(engine); scoped_services(Session, ...)",
    ),
    ((Engine, Connection), "Session = sessionmaker(engine); scoped_services(Session, ...)"),
    ((AsyncSession,), "pass the async_sessionmaker that made the session"),
    ((Session,), "pass the sessionmaker that made the session"),
    ((scoped_session, async_scoped_session), "pass its session_factory"),
)
_DECORATED = "@transactional(Session, ...), with your sessionmaker"
_SESSION_CLASS = "pass sessionmaker(engine) or async_sessionmaker(engine)"


def check_maker(source: Any) -> None:
    """Refuse what is not a sessionmaker, naming what to write.

    Raises:
        ScopeSourceError: ``source`` is an engine, a session, a registry or something else.
    """
    if isinstance(source, (sessionmaker, async_sessionmaker)):
        return
    raise ScopeSourceError(got=_described(source), instead=_instead(source))


def _described(source: Any) -> str:
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
