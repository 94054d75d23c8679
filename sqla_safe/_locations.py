"""Where in the user's own code something happened, as ``file:line``."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import greenlet
import sqlalchemy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType


_getcurrent: Callable[[], Any] = greenlet.getcurrent


def _folder(file: str | None) -> str:
    return os.path.dirname(file or "") + os.sep  # noqa: PTH120  (runs at import time)


_FOREIGN = (
    _folder(__file__),
    _folder(sqlalchemy.__file__),
    _folder(greenlet.__file__),
    "<",
)


_TEMPLATES = (".html", ".htm", ".xml", ".txt", ".jinja", ".jinja2", ".j2", ".mako", ".tmpl")
"""Their lines are those of the generated code; the line that renders them tells more."""
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


_LOOPS = tuple(
    f"{_STDLIB}asyncio{os.sep}{name}.py" for name in ("base_events", "events", "runners")
)
"""What runs a task: the code below it started the loop, and has nothing to do with the task."""
own_files: set[str] = set()
"""The files for which `is_own` said yes; a look-up without a call."""


@lru_cache(maxsize=4096)
def is_own(file: str) -> bool:
    """Say whether a file is the user's, and not a library's or generated."""
    if file.startswith(_FOREIGN) or file.endswith(_TEMPLATES):
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


Kind = Literal["project", "library", "loop", ""]
FOREIGN: Final = ""
"""Files of no interest: false, because most frames are theirs and each of them is asked."""


def _kind(file: str) -> Kind:
    if file in _LOOPS or f"{os.sep}uvloop{os.sep}" in file:
        return "loop"
    if not is_own(file):
        return FOREIGN
    return "library" if any(folder in file for folder in _INSTALLED) else "project"


class _Kinds(dict[str, Kind]):
    """Remembers what files are; asking a dictionary is the quickest of all ways."""

    def __missing__(self, file: str) -> Kind:
        kind = self[file] = _kind(file)
        return kind


KINDS = _Kinds()


def kind_of(file: str) -> Kind:
    """Say whose a file is: the project's, another library's, of no interest, or the event loop."""
    return KINDS[file]


class Place(tuple["CodeType", int]):
    """A line of code, made of the code and of a frame's last instruction in it.

    Its line and path are looked up only when somebody reads them; a bare tuple subclass is the
    quickest object to make, and every scope makes one.
    """

    __slots__ = ()

    @property
    def line(self) -> int:
        """The number of the line."""
        code, last = self
        lines = (line for start, end, line in code.co_lines() if start <= last < end)
        return next(lines, None) or code.co_firstlineno

    def is_on(self, other: Place) -> bool:
        """Say whether two places are on one line, as the beginning and the end of a block are."""
        return self[0] is other[0] and self.line == other.line

    def __str__(self) -> str:
        path = Path(self[0].co_filename)
        with contextlib.suppress(ValueError):
            path = path.relative_to(Path.cwd())
        return f"{path}:{self.line}"


UNKNOWN = "an unknown line"


def caller(depth: int) -> Place:
    """Return the line of user code that called, skipping frames of libraries."""
    frame = sys._getframe(depth + 1)
    if is_own(frame.f_code.co_filename):
        return Place((frame.f_code, frame.f_lasti))
    return _first_own(frame) or Place((frame.f_code, frame.f_lasti))


def current_line() -> str:
    """Return the line of user code that is running now, also from inside a greenlet."""
    return str(here() or UNKNOWN)


def here(frame: FrameType | None = None) -> Place | None:
    """Return the line of user code that is running in this task, the project's before a library's.

    None when no user code is there, as in a task that SQLAlchemy made for itself.

    Args:
        frame: where to begin; by default the caller's frame.
    """
    if frame is None:
        frame = sys._getframe(1)
    runner = library = None
    while True:  # `stack` written out, because every statement of a guarded session asks
        while frame is not None:
            code = frame.f_code
            kind = KINDS[code.co_filename]
            if kind:
                if kind == "project":
                    return Place((code, frame.f_lasti))
                if kind == "loop":
                    return library
                library = library or Place((code, frame.f_lasti))
            frame = frame.f_back
        runner = (runner or _getcurrent()).parent
        if runner is None:
            return library
        frame = runner.gr_frame


def awaiting_frame() -> FrameType | None:
    """Return the frame that waits for the running greenlet, such as that of an async session."""
    parent = _getcurrent().parent
    return None if parent is None else parent.gr_frame


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames from one outwards, out of greenlets too, as far as the task reaches."""
    runner = greenlet.getcurrent()
    while True:
        while frame is not None:
            if KINDS[frame.f_code.co_filename] == "loop":
                return
            yield frame
            frame = frame.f_back
        parent = runner.parent
        if parent is None:
            return
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
