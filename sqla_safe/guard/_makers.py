"""The guard of one sessionmaker: the classes of the sessions that it makes are watched ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe.guard._async import guarded_async_class
from sqla_safe.guard._records import Guard
from sqla_safe.guard._session import guarded_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe.guard._records import Mode

_guards: WeakKeyDictionary[Any, Guard] = WeakKeyDictionary()
_left_alone: WeakSet[Any] = WeakSet()
"""Turned off while nothing was installed: only an installation makes a difference for them."""


def guard_maker(maker: Any, mode: Mode, idle: float | None) -> None:
    """Guard the sessions that a sessionmaker makes from now on, or change how they are guarded."""
    guard = _guards.get(maker)
    if guard is not None:
        guard.mode, guard.idle = mode, idle
    elif mode != "off" or hasattr(Session, "_sqs_guard"):  # "off" is an exception from install()
        _begin(maker, Guard(mode, idle))
    else:
        _left_alone.add(maker)


def except_left_alone() -> None:
    """Keep what is about to be installed away from the sessionmakers that were turned off."""
    while _left_alone:
        _begin(_left_alone.pop(), Guard("off", None))


def _begin(maker: Any, guard: Guard) -> None:
    _left_alone.discard(maker)
    _guards[maker] = guard
    _guard_classes(maker, guard)


def _guard_classes(maker: Any, guard: Guard) -> None:
    if issubclass(type(maker), async_sessionmaker):
        base = maker.kw.get("sync_session_class") or maker.class_.sync_session_class
        maker.kw["sync_session_class"] = _guarded_sync(base, guard)
        maker.class_ = guarded_async_class(maker.class_)
    else:
        maker.class_ = guarded_class(maker.class_, guard, is_async=False)


def _guarded_sync(base: Any, guard: Guard) -> Any:
    """Return the guarded form of the class, or sessionmaker, of an async session's sync half."""
    if issubclass(type(base), sessionmaker):  # SQLAlchemy allows one here, for its events
        return sessionmaker(class_=guarded_class(base.class_, guard, is_async=True), **base.kw)
    return guarded_class(base, guard, is_async=True)


def is_anything_guarded() -> bool:
    """Say whether a configured sessionmaker is still guarded."""
    return any(guard.mode != "off" for guard in _guards.values())


def is_anything_off() -> bool:
    """Say whether a sessionmaker was configured to be left alone."""
    return any(guard.mode == "off" for guard in _guards.values())


def turn_all(mode: Mode) -> Callable[[], None]:
    """Set the mode of every sessionmaker's guard that is not off; return how to undo it."""
    before: dict[Guard, Mode] = {guard: guard.mode for guard in _guards.values()}
    for guard, was in before.items():
        guard.mode = "off" if was == "off" else mode

    def undo() -> None:
        for guard, was in before.items():
            guard.mode = was

    return undo
