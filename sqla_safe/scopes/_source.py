"""What a scope can be opened from, and how its session is made from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

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
from sqla_safe.scopes._session import managed_class

if TYPE_CHECKING:
    from collections.abc import Callable

_INSTEAD: tuple[tuple[tuple[type, ...], str], ...] = (
    ((AsyncEngine, AsyncConnection), "Session = async_sessionmaker(engine); scoped_services(Session, ...)"),
    ((Engine, Connection), "Session = sessionmaker(engine); scoped_services(Session, ...)"),
    ((AsyncSession,), "pass the async_sessionmaker that made the session"),
    ((Session,), "pass the sessionmaker that made the session"),
    ((scoped_session, async_scoped_session), "pass its session_factory"),
)
_SESSION_CLASS = "pass sessionmaker(engine) or async_sessionmaker(engine)"


def check_maker(source: Any) -> None:
    """Refuse what is not a sessionmaker, naming what to write.

    Raises:
        ScopeSourceError: ``source`` is an engine, a session, a registry or something else.
    """
    if isinstance(source, sessionmaker | async_sessionmaker):
        return
    raise ScopeSourceError(got=_described(source), instead=_instead(source))


def _described(source: Any) -> str:
    return f"the class {source.__name__}" if isinstance(source, type) else type(source).__name__


def _instead(source: Any) -> str:
    for types, instead in _INSTEAD:
        if isinstance(source, types):
            return instead
    return _SESSION_CLASS


_async_factories: WeakKeyDictionary[Any, dict[bool, Callable[..., Session]]] = WeakKeyDictionary()


def make_session(source: sessionmaker[Any], unit: Any, **options: Any) -> Session:
    """Make the session of a sync scope with the sessionmaker's own options."""
    for name, value in source.kw.items():
        if name == "info" and "info" in options:
            options["info"] = {**value, **options["info"]}
        else:
            options.setdefault(name, value)
    session: Session = managed_class(source.class_, steered=unit.steered)(**options)
    session._sqs_unit = unit  # type: ignore[attr-defined]  # the managed class has it
    return session


def make_async_session(
    source: async_sessionmaker[Any], unit: Any, **options: Any
) -> AsyncSession:
    """Make the session of an async scope with the sessionmaker's own options."""
    by_kind = _async_factories.get(source)
    if by_kind is None:
        by_kind = _async_factories[source] = {}
    factory = by_kind.get(unit.steered)
    if factory is None:
        factory = by_kind[unit.steered] = _managed_factory(source, steered=unit.steered)
    session: AsyncSession = source(sync_session_class=factory, **options)
    session.sync_session._sqs_unit = unit  # type: ignore[attr-defined]  # the managed class has it
    return session


def _managed_factory(source: async_sessionmaker[Any], *, steered: bool) -> Callable[..., Session]:
    base = source.kw.get("sync_session_class") or source.class_.sync_session_class
    if not isinstance(base, sessionmaker):
        return managed_class(base, steered=steered)
    inner: sessionmaker[Any] = base  # SQLAlchemy allows a sessionmaker here, for its events

    def make(**options: Any) -> Session:
        merged = {**inner.kw, **options}
        return managed_class(inner.class_, steered=steered)(**merged)

    return make
