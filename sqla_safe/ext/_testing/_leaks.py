"""What a test has begun and not ended: scopes, connections, tasks."""

from __future__ import annotations

import asyncio
import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from sqlalchemy import event
from sqlalchemy.pool import Pool

from sqla_safe._locations import current_line, task_line
from sqla_safe.scopes import _sync
from sqla_safe.scopes._scope import BaseScope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

_GRACE = 3
"""How often the loop may turn before a task that was just cancelled counts as left behind."""


class Watch:
    """Sees scopes and connections from now until `stop`, and says which of them are still open."""

    def __init__(self) -> None:
        self._scopes: WeakSet[BaseScope[Any]] = WeakSet()
        self._left: list[str] = []
        self._connections: dict[int, tuple[ref[Any], str]] = {}
        self._excused = 0
        self.tasks: list[str] = []
        event.listen(Pool, "checkout", self._checkout)
        event.listen(Pool, "checkin", self._checkin)
        self._unwatch = _watch_scopes(self._opened, self._abandoned)

    def stop(self) -> None:
        """See nothing any more."""
        event.remove(Pool, "checkout", self._checkout)
        event.remove(Pool, "checkin", self._checkin)
        self._unwatch()

    @contextmanager
    def excuse(self) -> Generator[None]:
        """What is opened meanwhile belongs to somebody who will close it later."""
        self._excused += 1
        try:
            yield
        finally:
            self._excused -= 1

    def found(self) -> list[str]:
        """Return a line for each thing that is open, and forget them."""
        scopes = [s.opened_at for s in self._scopes if s.is_active]
        lines = [f"a scope, opened at {opened_at}" for opened_at in (*scopes, *self._left)]
        lines += [
            f"a connection, taken from its pool at {place}"
            for record, place in self._connections.values()
            if record() is not None
        ]
        lines += self.tasks
        self._scopes.clear()
        self._left.clear()
        self._connections.clear()
        self.tasks = []
        return lines

    def _opened(self, scope: BaseScope[Any]) -> None:
        if not self._excused:
            self._scopes.add(scope)

    def _abandoned(self, scope: BaseScope[Any]) -> None:
        if scope in self._scopes and scope.is_active:
            self._left.append(scope.opened_at)

    def _checkout(self, _driver: object, record: Any, _proxy: object) -> None:
        if not self._excused:
            self._connections[id(record)] = ref(record), current_line()

    def _checkin(self, _driver: object, record: Any) -> None:
        self._connections.pop(id(record), None)


def _watch_scopes(
    opened: Callable[[BaseScope[Any]], None], abandoned: Callable[[BaseScope[Any]], None]
) -> Callable[[], None]:
    """Hear of each scope that is made or given up; scopes pay nothing while nobody listens."""
    cls: Any = BaseScope
    module: Any = _sync
    original, abandon = cls.__init__, module.abandon

    def init(self: BaseScope[Any], *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        opened(self)

    def note(scope: BaseScope[Any], *, is_outermost: bool) -> None:
        abandoned(scope)
        abandon(scope, is_outermost=is_outermost)

    cls.__init__, module.abandon = init, note

    def unwatch() -> None:
        cls.__init__, module.abandon = original, abandon

    return unwatch


def watched(
    function: Callable[..., Coroutine[Any, Any, Any]], watch: Watch
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a coroutine function that notes the tasks which it leaves behind."""

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        before = _tasks()
        result = await function(*args, **kwargs)
        if left := _tasks() - before:
            for _ in range(_GRACE):
                await asyncio.sleep(0)
            watch.tasks += [_line(task) for task in left if not task.done()]
        return result

    return run


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:  # trio
        return set()


def _line(task: asyncio.Task[Any]) -> str:
    return f"the task {task.get_name()!r}, waiting at {task_line(task)}"
