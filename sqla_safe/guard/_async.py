"""The few methods of an async session that its sync half cannot see."""

from __future__ import annotations

import asyncio
import sys
import weakref
from asyncio import _get_running_loop
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from sqla_safe._locations import Place
from sqla_safe.guard._records import Record
from sqla_safe.guard._session import wrapped
from sqla_safe.guard._sites import site

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncSession

_PATIENCE = 5.0
"""Seconds that the end of a block waits for another task's operation."""


def opening(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``__init__``: the sync half learns what it is."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        inner(self, *args, **kwargs)
        session = self.sync_session
        guard = getattr(session, "_sqs_guard", None)
        if guard is None:
            return
        session._sqs_is_async = True
        if guard.mode != "off":
            record = session._sqs_record = Record(guard, site(sys._getframe(1)))
            record.is_async = True
            loop = _get_running_loop()
            task = None if loop is None else asyncio.current_task(loop)
            record.opener = None if task is None else weakref.ref(task)

    return __init__


def leaving(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``__aexit__``, which closes in another task: note where the block ends."""

    def __aexit__(self: Any, *args: Any) -> Any:  # noqa: N807  (no coroutine around the coroutine)
        record = getattr(self.sync_session, "_sqs_record", None)
        if record is not None:
            frame = sys._getframe(1)
            code, opened = frame.f_code, record.opened
            if opened and opened[-1][0] is code:  # as most often, by the block that opened it
                record.leaving = (Place((code, frame.f_lasti)),)
            else:
                record.leaving = site(frame)
        return inner(self, *args)

    return __aexit__


def closing(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``close``: another task's operation comes to its end first.

    Closing under it would leave its connection in the pool half used, and hide why it failed.
    """

    async def patiently(self: Any) -> Any:
        session, due = self.sync_session, monotonic() + _PATIENCE
        while session._sqs_busy is not None and monotonic() < due:  # noqa: ASYNC110  (no event)
            await asyncio.sleep(0.001)
        return await inner(self)

    def close(self: Any) -> Any:
        session = self.sync_session
        if getattr(session, "_sqs_busy", None) is None or session._sqs_unit is not None:
            return inner(self)
        return patiently(self) if session._sqs_guard.raises else inner(self)

    return close


WRAPPERS: dict[str, Any] = {"__init__": opening, "__aexit__": leaving, "close": closing}


def guarded_async_class(base: Any) -> type[AsyncSession]:
    """Return a subclass of an async session class that the guard watches."""
    members = {**wrapped(base, WRAPPERS), "__module__": base.__module__, "__doc__": base.__doc__}
    return cast("type[AsyncSession]", type(base.__name__, (base,), members))
