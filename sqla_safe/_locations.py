"""Where in the user's own code something happened, as ``file:line``."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import greenlet
import sqlalchemy

if TYPE_CHECKING:
    import asyncio
    from types import CodeType, FrameType


def _folder(file: str | None) -> str:
    return os.path.dirname(file or "") + os.sep  # noqa: PTH120  (runs at import time)


_FOREIGN = (
    _folder(__file__),
    _folder(sqlalchemy.__file__),
    _folder(greenlet.__file__),
    "<",
)


_STDLIB = _folder(os.__file__)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_DRIVERS = (
    "psycopg",
    "psycopg2",
    "pymysql",
    "asyncpg",
    "aiosqlite",
    "asyncmy",
    "aiomysql",
    "anyio",
)


own_files: set[str] = set()
"""The files for which `is_own` said yes; a look-up without a call."""


@lru_cache(maxsize=4096)
def is_own(file: str) -> bool:
    """Say whether a file is the user's, and not a library's or generated."""
    if file.startswith(_FOREIGN):
        return False
    for folder in _INSTALLED:
        if folder in file:
            own = not file.rpartition(folder)[2].startswith(_DRIVERS)
            break
    else:
        own = not file.startswith(_STDLIB)
    if own:
        own_files.add(file)
    return own


class Place(tuple["CodeType", int]):
    """A line of code, made of the code and of a frame's last instruction in it.

    Its line and path are looked up only when somebody reads them; a bare tuple subclass is the
    quickest object to make, and every scope makes one.
    """

    __slots__ = ()

    def __str__(self) -> str:
        code, last = self
        lines = (line for start, end, line in code.co_lines() if start <= last < end)
        line = next(lines, None) or code.co_firstlineno
        path = Path(code.co_filename)
        with contextlib.suppress(ValueError):
            path = path.relative_to(Path.cwd())
        return f"{path}:{line}"


UNKNOWN = "an unknown line"


def caller(depth: int) -> Place:
    """Return the line of user code that called, skipping frames of libraries."""
    frame = sys._getframe(depth + 1)
    if is_own(frame.f_code.co_filename):
        return Place((frame.f_code, frame.f_lasti))
    return _first_own(frame) or Place((frame.f_code, frame.f_lasti))


def current_line() -> str:
    """Return the line of user code that is running now, also from inside a greenlet."""
    frame: FrameType | None = sys._getframe(1)
    runner = greenlet.getcurrent()
    while True:
        place = _first_own(frame)
        parent = runner.parent
        if place is not None:
            return str(place)
        if parent is None:
            return UNKNOWN
        runner, frame = parent, parent.gr_frame


def task_line(task: asyncio.Task[Any]) -> str:
    """Return the innermost line of user code at which a suspended task waits."""
    found = UNKNOWN
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None and is_own(frame.f_code.co_filename):
            found = str(Place((frame.f_code, frame.f_lasti)))
        awaited = getattr(awaited, "cr_await", None)
    return found


def thread_line(ident: int) -> str:
    """Return the line of user code that another thread is running."""
    frame = sys._current_frames().get(ident)
    return str(_first_own(frame) or UNKNOWN)


def _first_own(frame: FrameType | None) -> Place | None:
    while frame is not None:
        if is_own(frame.f_code.co_filename):
            return Place((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return None
