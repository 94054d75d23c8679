"""Who is using a session: a task or a thread, its name, and its line."""

from __future__ import annotations

import asyncio
import threading
from asyncio import _get_running_loop
from threading import get_ident
from typing import Any

from sqla_safe._locations import UNKNOWN, current_line, task_line, thread_line
from sqla_safe.errors import ConcurrentUseError


def current_owner() -> Any:
    """Return who is running: the asyncio task, or the thread's number outside a loop."""
    loop = _get_running_loop()
    return get_ident() if loop is None else asyncio.current_task(loop)


def current_kind() -> str:
    """Return what is running: a task, or a thread outside a loop."""
    return "thread" if _get_running_loop() is None else "task"


def owner_name(owner: object) -> str:
    """Return the name of a task or thread."""
    if isinstance(owner, asyncio.Task):
        return f"task {owner.get_name()!r}"
    names = [thread.name for thread in threading.enumerate() if thread.ident == owner]
    return f"thread {names[0] if names else owner!r}"


def owner_line(owner: Any, *, is_current: bool = False) -> str:
    """Return the line of user code at which a task waits, or that a thread runs."""
    if is_current:
        return current_line()
    if isinstance(owner, asyncio.Task):
        return task_line(owner)  # pyright: ignore[reportUnknownArgumentType]
    return thread_line(owner)


def concurrent_use(
    opened_at: str, first: Any, second: Any, situation: str, *, current: Any, opener: Any
) -> ConcurrentUseError:
    """Return the error for two owners that use one session.

    A task made of SQLAlchemy's own coroutine, as in ``gather(session.get(...), ...)``, has no line
    of the user's; the line at which the session's opener waits for it stands in.
    """

    def line(owner: Any) -> str:
        found = owner_line(owner, is_current=owner == current)
        return owner_line(opener) if found == UNKNOWN and opener is not None else found

    return ConcurrentUseError(
        opened_at=opened_at,
        first_task=owner_name(first),
        first_at=line(first),
        second_task=owner_name(second),
        second_at=line(second),
        situation=situation,
    )
