"""Where something happened, in the user's own code."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from pathlib import Path

import greenlet
import pytest
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import _locations, scoped_services

Maker = sessionmaker[Session]
HERE = Path(__file__)


def line_before(frame_line: int) -> str:
    """Return this file's name with a line number, relative to the working directory."""
    return f"{HERE.relative_to(Path.cwd())}:{frame_line}"


def this_line() -> int:
    """Return the caller's line number."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_a_scope_knows_its_line(maker: Maker) -> None:
    """`opened_at` is the line that calls scoped_services, relative to the working directory."""
    with scoped_services(maker) as scope:
        assert scope.opened_at == line_before(this_line() - 1)


def test_a_path_outside_the_working_directory_stays_whole(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another directory the whole path is shown."""
    monkeypatch.chdir(tmp_path)
    with scoped_services(maker) as scope:
        assert scope.opened_at == f"{HERE}:{this_line() - 1}"


def test_frames_of_contextlib_are_skipped(maker: Maker) -> None:
    """A scope opened through an ExitStack belongs to the caller's line."""
    with contextlib.ExitStack() as stack:
        scope = stack.enter_context(scoped_services(maker))
        assert scope.opened_at == line_before(this_line() - 1)


def test_generated_code_is_skipped(maker: Maker) -> None:
    """Code without a file is nobody's; who called it is named."""
    names = {"scoped_services": scoped_services, "maker": maker}
    exec("def open_it(): return scoped_services(maker)", names)  # noqa: S102 - this is the case
    with names["open_it"]() as scope:
        assert scope.opened_at == line_before(this_line() - 1)


def test_the_current_line_is_found_from_a_greenlet() -> None:
    """Inside a greenlet, as SQLAlchemy's asyncio side has them, the line outside is found."""
    inside = greenlet.greenlet(lambda: found.append(_locations.current_line()))
    found: list[str] = []
    inside.switch()
    assert found[0].startswith(f"{HERE.relative_to(Path.cwd())}:")


async def test_a_waiting_task_is_found_at_its_innermost_line() -> None:
    """The line at which a suspended task waits is that of the deepest user code."""

    async def deep() -> None:
        await asyncio.sleep(60)

    async def shallow() -> None:
        await deep()

    task = asyncio.create_task(shallow())
    await asyncio.sleep(0)
    line = deep.__code__.co_firstlineno + 1
    assert _locations.task_line(task) == line_before(line)
    task.cancel()


async def test_a_task_that_has_not_begun_has_a_line() -> None:
    """A task that was only created waits at its first line."""

    async def work() -> None: ...

    task = asyncio.create_task(work())
    assert _locations.task_line(task) == line_before(work.__code__.co_firstlineno)
    await task


def test_a_running_thread_is_found() -> None:
    """Another thread's line of user code is found, below the library code it waits in."""
    go_on, started = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        go_on.wait(5)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait(5)
    found = _locations.thread_line(thread.ident or 0)
    go_on.set()
    thread.join()
    first = wait.__code__.co_firstlineno
    assert found in {line_before(first + 1), line_before(first + 2)} or "threading.py" in found


def test_a_thread_that_is_gone_has_an_unknown_line() -> None:
    """Nobody can say where a thread is that has ended."""
    assert _locations.thread_line(-1) == _locations.UNKNOWN
