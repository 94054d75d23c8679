"""Operations of an async session that meet one cancellation at a time.

When a statement is cancelled, the driver cancels the query on the server and SQLAlchemy closes the
connection. A second cancellation in the middle of that (anyio sends one on every turn of the loop)
leaves a half-closed connection and a task that never ends. Here the first cancellation is passed
on, and those after it are held back until the clean-up is done, which is bounded.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.ext.asyncio import AsyncSession

from sqla_safe.scopes import _connections
from sqla_safe.scopes._errand import shielded_from_anyio

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from sqla_safe.scopes._boundary import Ended
    from sqla_safe.scopes._unit import Unit

_GRACE = 0.1
"""Seconds that a driver has to notice that its connection was cut off."""


class Calm:
    """Awaits a coroutine; after the first cancellation nothing disturbs it any more."""

    __slots__ = ("_operation", "_session")

    def __init__(self, operation: Coroutine[Any, Any, Any], session: AsyncSession) -> None:
        self._operation = operation
        self._session = session

    def __await__(self) -> Generator[Any, Any, Any]:
        operation = self._operation
        before = _cancellations()
        try:
            awaited = operation.send(None)
            while True:
                try:
                    value = yield awaited
                except asyncio.CancelledError as cancelled:
                    is_over, result = yield from self._end_calmly(cancelled, before)
                    if is_over:
                        return result
                    awaited = result
                except BaseException as error:  # noqa: BLE001  (handed on to the operation)
                    awaited = operation.throw(error)
                else:
                    awaited = operation.send(value)
        except StopIteration as stop:
            return stop.value

    def _end_calmly(
        self, cancelled: asyncio.CancelledError, before: int
    ) -> Generator[Any, Any, tuple[bool, Any]]:
        """Let the operation deal with its cancellation, then raise it in any case.

        Only what the operation has asked for itself, by a timeout of the pool or of the driver, is
        its own affair: return whether it is over, and its result or what it waits for next.
        """
        operation = self._operation
        session: Any = self._session.sync_session
        unit: Unit | Ended = session._sqs_unit
        is_sqlite = unit.cancelled()
        due = inf if is_sqlite else monotonic() + unit.policy.cleanup_timeout
        with shielded_from_anyio():
            try:
                awaited = operation.throw(cancelled)
                while True:
                    if _cancellations() <= before:
                        return False, awaited
                    if (yield from _done_by(awaited, due)):
                        awaited = operation.send(None)
                        continue
                    unit.sever()
                    yield from _done_by(awaited, monotonic() + _GRACE)
                    due = inf
                    awaited = operation.throw(asyncio.CancelledError())
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                if is_sqlite:
                    _connections.forget_cursors(cancelled)
                if error is cancelled:
                    raise
                if _cancellations() <= before:
                    return _result_of(error)
                raise cancelled from (None if isinstance(error, StopIteration) else error)


def _cancellations() -> int:
    """Return how many cancellations of this task have been asked for and not been taken back."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _result_of(error: BaseException) -> tuple[bool, Any]:
    if isinstance(error, StopIteration):
        return True, error.value
    raise error


def _done_by(awaited: Any, due: float) -> Generator[Any, Any, bool]:
    """Wait for what the operation waits for, whoever cancels; say whether it came in time."""
    if awaited is None:  # asyncio.sleep(0)
        awaited = asyncio.ensure_future(asyncio.sleep(0))
    while not awaited.done():
        left = due - monotonic()
        if left <= 0:
            return False
        try:
            timeout = None if left == inf else left
            yield from asyncio.wait([awaited], timeout=timeout).__await__()
        except asyncio.CancelledError:
            continue
    return True


class CalmSession(AsyncSession):
    """Mixed into the sessionmaker's own async class."""


def _calm(name: str) -> Any:
    inherited = getattr(AsyncSession, name)

    async def method(self: CalmSession, *args: Any, **kwargs: Any) -> Any:
        operation = getattr(super(CalmSession, self), name)(*args, **kwargs)
        return await Calm(operation, self)

    method.__name__, method.__doc__ = name, inherited.__doc__
    method.__qualname__ = f"AsyncSession.{name}"  # what Python calls a coroutine nobody awaited
    return method


for _name in (
    "connection",
    "delete",
    "execute",
    "flush",
    "get",
    "get_one",
    "merge",
    "refresh",
    "run_sync",
    "scalar",
    "scalars",
    "stream",
    "stream_scalars",
):
    setattr(CalmSession, _name, _calm(_name))


@lru_cache(maxsize=256)
def calm_class(base: Any) -> type[AsyncSession]:
    """Return the calm subclass of an async session class, made once."""
    members = {"__module__": base.__module__}
    return cast("type[AsyncSession]", type(base.__name__, (CalmSession, base), members))
