"""`install`: guard every session there is, for applications that cannot change their makers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from sqla_safe.guard import _async, _errors, _makers, _session
from sqla_safe.guard._events import LISTENERS, listen, stop_listening
from sqla_safe.guard._records import Guard, check_mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe.guard._records import Mode

_everywhere = Guard("off")
"""The guard of all sessions; those of a configured sessionmaker have their own."""
_own: list[tuple[type, dict[str, Any]]] = []
"""What the classes were before: empty while nothing is installed."""
_active: list[Installation] = []
"""What is not undone, the last one in force."""
_ABSENT = object()


class Installation:
    """What `install` returns: a context manager, or something to `undo` by hand."""

    def __init__(self, mode: Mode) -> None:
        self.mode: Mode = mode
        """What was asked for."""

    def undo(self) -> None:
        """Go back to what else is installed, or take the guard out altogether."""
        if self not in _active:
            return
        _active.remove(self)
        if _active:
            _everywhere.mode = _active[-1].mode
        else:
            _take_out()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


def install(mode: Mode) -> Installation:
    """Guard every session of this process, whoever makes it.

    For applications that cannot call ``configure(Session, guard=...)``. What is configured for a
    sessionmaker wins over this, ``guard="off"`` included.

    Args:
        mode: ``"report"`` logs each site once, to the logger ``sqla_safe.guard``; ``"raise"`` puts
            explanations on exceptions and raises before SQLAlchemy touches the connection;
            ``"strict"``, for tests, lets every read of an entity after its session fail;
            ``"off"`` does nothing.

    Returns:
        Something to undo it with: ``install(mode).undo()``, or ``with install(mode): ...``.

    Raises:
        ScopeOptionError: there is no such mode.

    Example:
        >>> with install("report"):
        ...     pass
    """
    check_mode(mode, "mode")
    installation = Installation(mode)
    _active.append(installation)
    if not _own:
        _put_in()
    _everywhere.mode = mode
    if mode != "off":
        _errors.watch()
    return installation


def _put_in() -> None:
    _makers.except_left_alone()
    members = {**_session.DEFAULTS, **_session.wrapped(Session, _session.WRAPPERS)}
    _replace(Session, {**members, "_sqs_guard": _everywhere})
    _replace(AsyncSession, _session.wrapped(AsyncSession, _async.WRAPPERS))
    listen(Session, _LISTENERS)


def _take_out() -> None:
    stop_listening(Session, _LISTENERS)
    while _own:
        cls, members = _own.pop()
        for name, member in members.items():
            if member is _ABSENT:
                delattr(cls, name)
            else:
                setattr(cls, name, member)
    if not _makers.is_anything_guarded():
        _errors.stop()


def _replace(cls: type, members: dict[str, Any]) -> None:
    _own.append((cls, {name: cls.__dict__.get(name, _ABSENT) for name in members}))
    for name, member in members.items():
        setattr(cls, name, member)


def _unless_configured(function: Callable[..., Any]) -> Callable[..., Any]:
    """Leave the sessions of configured sessionmakers to their own guard."""

    def listener(target: Any, *args: Any) -> Any:
        session = getattr(target, "session", target)
        return function(target, *args) if session._sqs_guard is _everywhere else None

    return listener


_LISTENERS = {name: _unless_configured(function) for name, function in LISTENERS.items()}
