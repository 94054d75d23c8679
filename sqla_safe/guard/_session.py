"""The methods of a guarded session: who is using it, and where it is opened and closed.

Each is wrapped around the method that was there, on a subclass of one sessionmaker's class, or on
`Session` itself for all of them.
"""

from __future__ import annotations

import functools
import sys
from asyncio import _get_running_loop, current_task
from threading import get_ident
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import inspect
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.orm import Session

from sqla_safe._owners import concurrent_use, current_owner
from sqla_safe._reading import READ, WATCHES, read
from sqla_safe.guard import _internals
from sqla_safe.guard._attributes import LOADED
from sqla_safe.guard._events import LISTENERS, listen, on_execute
from sqla_safe.guard._explain import of_concurrent_use
from sqla_safe.guard._records import Guard, Record
from sqla_safe.guard._sites import site
from sqla_safe.guard._statements import noticed, seen
from sqla_safe.guard._telling import attach, attached_to, log

if TYPE_CHECKING:
    from collections.abc import Callable


_PATIENCE = 5.0
"""Seconds that the second of two operations waits for the first one before it is refused."""


def known(session: Any) -> Record:
    """Return the record of a session; a new one when it is used again after its close."""
    record: Record | None = session._sqs_record
    if record is None:
        record = session._sqs_record = Record(session._sqs_guard, site())
        record.is_async = session._sqs_is_async
    return record


def opening(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``__init__``: note where the session was made."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        if self._sqs_record is None and self._sqs_guard.mode != "off":
            self._sqs_record = Record(self._sqs_guard, site(sys._getframe(1)))
        inner(self, *args, **kwargs)

    return __init__


def using(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an operation: one at a time."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        guard = self._sqs_guard
        if self._sqs_unit is not None or guard.mode == "off":
            return inner(self, *args, **kwargs)
        loop = _get_running_loop()  # `current_owner` written out: each query flushes first
        me, busy = get_ident() if loop is None else current_task(loop), self._sqs_busy
        if busy is not None:
            if busy != me:
                _overlap(self, busy, me)
            return inner(self, *args, **kwargs)
        if guard.idle is not None:
            self._sqs_known().come(self)
        self._sqs_busy = me
        try:
            return inner(self, *args, **kwargs)
        finally:
            self._sqs_busy = None
            if guard.idle is not None:
                self._sqs_known().rest()

    return method


def executing(inner: Callable[..., Any], look: Callable[..., Any] = seen) -> Callable[..., Any]:
    """Wrap an operation that executes a statement: one at a time, and marked."""

    def method(self: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        guard = self._sqs_guard
        if guard.mode == "off":
            return inner(self, statement, *args, **kwargs)
        busy = self._sqs_busy
        if busy is not None:
            within = functools.partial(_within, self, busy, functools.partial(inner, self), look)
            return within(statement, *args, **kwargs)
        if guard.idle is not None:
            self._sqs_known().come(self)
        # A call of its own for each of these would cost what they do.
        loop = _get_running_loop()
        self._sqs_busy = get_ident() if loop is None else current_task(loop)
        try:
            caller = sys._getframe().f_back if self._sqs_is_async else sys._getframe(1)
            statement = look(self, statement, caller)
            return inner(self, statement, *args, **kwargs)
        except StatementError as error:
            wrapped = _missing_greenlet(error) if self._sqs_guard.raises else None
            if wrapped is None:
                raise
            raise wrapped from None  # SQLAlchemy 2.1 wraps it, and `except` would miss it
        finally:
            self._sqs_busy = None
            if guard.idle is not None:
                self._sqs_known().rest()

    setattr(method, WATCHES, inner)
    return method


def _within(
    session: Any,
    busy: Any,
    inner: Callable[..., Any],
    look: Callable[..., Any],
    statement: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Another operation is going on: that of somebody else, or the one that brought this about."""
    me = current_owner()
    if busy != me and session._sqs_unit is None:
        _overlap(session, busy, me)
    place = session._sqs_place
    try:
        return inner(look(session, statement, sys._getframe(1).f_back), *args, **kwargs)
    finally:
        session._sqs_place = place  # the first one may not have come to its own statement yet


def _missing_greenlet(error: StatementError) -> MissingGreenlet | None:
    """Return what an error wraps, if that was explained."""
    orig = error.orig
    if isinstance(orig, MissingGreenlet) and attached_to(orig) is not None:
        return orig
    return None


def _overlap(session: Any, first: Any, second: Any) -> None:
    """Refuse the second of two operations, or tell of it and let SQLAlchemy decide."""
    record: Record = session._sqs_known()
    situation, opener = "Two operations at the same time", record.opener and record.opener()
    error = concurrent_use(
        record.opened_at, first, second, situation, current=second, opener=opener
    )
    explanation = of_concurrent_use(error)
    if not record.guard.raises:
        log(record.guard, explanation)
        return
    attach(error, explanation)
    if record.is_async:  # or what ends the block would meet the first one in the middle
        _internals.wait_in_greenlet(lambda: session._sqs_busy is None, _PATIENCE)
    raise error


def closing(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``close``, ``reset`` and ``invalidate``: note where the session ended."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        record: Record | None = self._sqs_record
        if record is None:
            return inner(self, *args, **kwargs)
        if record.idle is not None:
            record.come(self, "its end")
        if record.guard.mode == "strict":
            record.was_strict = True
            _expire_all(self)
        record.closed, record.is_closed = record.leaving or site(), True
        self._sqs_record, self._sqs_last = None, record
        return inner(self, *args, **kwargs)

    return method


def _expire_all(session: Any) -> None:
    """Throw all values away, for strict mode; what there was is known afterwards."""
    for entity in session.identity_map.values():
        state = inspect(entity)
        state.info[LOADED] = frozenset(state.dict)
    session.expire_all()


def discarding(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wrap what throws values or entities away by hand: note where."""

    def wrap(inner: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = inner(self, *args, **kwargs)
            if self._sqs_record is None:
                return result
            record: Record = self._sqs_record
            if record.guard.mode != "off" and not record.was_strict:
                entity, keys, *_ = (*args, *kwargs.values(), None, None)
                record.note("by hand", f"{what}()", entity, keys)
            return result

        return method

    return wrap


def refreshing(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``refresh``, which drops the relationships that were loaded because they were read."""

    def method(self: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        if self._sqs_guard.mode == "off":
            return inner(self, instance, *args, **kwargs)
        before = unloaded(instance)
        result = inner(self, instance, *args, **kwargs)
        dropped = unloaded(instance) - before
        if dropped:
            self._sqs_known().note("by hand", "refresh()", instance, dropped)
        return result

    return method


def unloaded(entity: object) -> set[str]:
    """Return the attributes of an entity that are not loaded; none where it is no entity."""
    state: Any = inspect(entity, raiseerr=False)
    return set(getattr(state, "unloaded", ()))


WRAPPERS: dict[str, Any] = {
    "__init__": opening,
    **dict.fromkeys(("execute", "scalar", "scalars"), executing),
    **dict.fromkeys(("flush", "connection", "commit", "rollback"), using),
    **dict.fromkeys(("close", "reset", "invalidate"), closing),
    "refresh": refreshing,
    "expire": discarding("expire"),
    "expire_all": discarding("expire_all"),
    "expunge": discarding("expunge"),
    "expunge_all": discarding("expunge_all"),
}
DEFAULTS: dict[str, Any] = {
    "_sqs_record": None,
    "_sqs_last": None,
    "_sqs_busy": None,
    "_sqs_place": None,
    "_sqs_unit": None,
    "_sqs_is_async": False,
    "_sqs_known": known,
    READ: executing(read, look=noticed),
}


def wrapped(base: Any, wrappers: dict[str, Any]) -> dict[str, Any]:
    """Return the wrapped methods of a class."""
    members: dict[str, Any] = {}
    for name, wrap in wrappers.items():
        inner = getattr(base, name)
        method = members[name] = wrap(inner)
        method.__name__, method.__doc__ = name, inner.__doc__
        method.__qualname__, method.__module__ = inner.__qualname__, inner.__module__
        method.__wrapped__ = inner
    return members


def guarded_class(base: Any, guard: Guard, *, is_async: bool) -> type[Session]:
    """Return a subclass of a session class that the guard watches."""
    wrappers = {name: wrap for name, wrap in WRAPPERS.items() if not is_async or name != "__init__"}
    members = {
        **DEFAULTS,
        **wrapped(base, wrappers),  # of an async one, the async session notes where it is opened
        "_sqs_guard": guard,
        "_sqs_is_async": is_async,
        "__module__": base.__module__,
        "__doc__": base.__doc__,
    }
    cls = cast("type[Session]", type(base.__name__, (base,), members))
    listen(cls, LISTENERS)
    if _has_methods_of_its_own(base):  # they may call super().execute(), around ours
        listen(cls, {"do_orm_execute": on_execute})
    return cls


def _has_methods_of_its_own(base: Any) -> bool:
    """Say whether somebody has extended SQLAlchemy's session, as SQLModel does with ``exec``."""
    classes: tuple[type, ...] = base.__mro__
    extensions = classes[: classes.index(Session)]
    return any(callable(member) for cls in extensions for member in vars(cls).values())
