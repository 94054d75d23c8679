"""A program that writes in scopes without end, for tests that end it from outside.

    python -m tests.faults.program URL WAY [--bare]
    python -m tests.faults.program --fork

Each operation writes two rows in one transaction and says on stdout what it was told: ``began 7``,
then ``committed 7``, ``rolled_back 7`` or ``unknown 7``. A way is how the event loop is run and
what ends it. ``--bare`` does the same with SQLAlchemy alone, which can only say ``committed``.
``--fork`` reads lines of ``FOLDER URL WAY [--bare]``, runs each in a child that writes to the files
``out`` and ``errors`` of its folder, and says the child's number and, later, its exit code.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import count
from types import SimpleNamespace
from typing import Any

import anyio
import asyncpg  # noqa: F401  (here, so that children need not)
import psycopg  # noqa: F401
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

from sqla_safe import prepare_sqlite, scoped_services

INSERT = text("INSERT INTO part (op, n) VALUES (:op, :n)")
WORKERS = 4
numbers = count(1)


def say(what: str, op: int) -> None:
    """Write a line at once, whatever is going on."""
    os.write(1, f"{what} {op}\n".encode())


@asynccontextmanager
async def bare(maker: async_sessionmaker[AsyncSession]) -> Any:
    """Give a transaction of SQLAlchemy's own, with what a scope has."""
    async with maker() as session:
        scope = SimpleNamespace(session=session, outcome="undecided")
        async with session.begin():
            yield scope
        scope.outcome = "committed"


Begin = Callable[[Any], AbstractAsyncContextManager[Any]]


async def operation(begin: Begin, maker: Any, op: int) -> None:
    """Write two rows in a transaction, and say what became of them."""
    scope = None
    say("began", op)
    try:
        async with begin(maker) as scope:
            await scope.session.execute(INSERT, {"op": op, "n": 1})
            await asyncio.sleep(0.002)
            await scope.session.execute(INSERT, {"op": op, "n": 2})
    finally:
        say("undecided" if scope is None else str(scope.outcome), op)


async def worker(begin: Begin, maker: Any) -> None:
    """Write without end."""
    while True:
        await operation(begin, maker, next(numbers))


async def work(url: str, begin: Begin, gather: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Let some workers write, and put the engine away in the end."""
    engine = create_async_engine(url, pool_size=WORKERS)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    maker = async_sessionmaker(engine)
    try:
        await gather(*(worker(begin, maker) for _ in range(WORKERS)))
    finally:
        await engine.dispose()


async def in_task_group(*workers: Coroutine[Any, Any, None]) -> None:
    """What gather does, with a TaskGroup."""
    async with asyncio.TaskGroup() as group:
        for one in workers:
            group.create_task(one)


async def in_anyio_group(*workers: Coroutine[Any, Any, None]) -> None:
    """The same with anyio's."""
    async with anyio.create_task_group() as group:
        for one in workers:
            group.start_soon(lambda one=one: one)


async def gathered(*workers: Coroutine[Any, Any, None]) -> None:
    """The same with gather, which waits for all of them only when it is told so."""
    await asyncio.gather(*workers, return_exceptions=True)


def by_run(url: str, begin: Begin) -> None:
    """Ctrl-C or the like under `asyncio.run`."""
    asyncio.run(work(url, begin, gathered))


def by_runner(url: str, begin: Begin) -> None:
    """The same under `asyncio.Runner`."""
    with asyncio.Runner() as runner:
        runner.run(work(url, begin, in_task_group))


def by_anyio(url: str, begin: Begin) -> None:
    """The same under anyio."""
    anyio.run(work, url, begin, in_anyio_group)


def by_handler(url: str, begin: Begin) -> None:
    """A handler of SIGTERM that cancels the program's task, as servers have it."""

    async def main() -> None:
        task = asyncio.create_task(work(url, begin, in_task_group))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())


def by_hand(url: str, begin: Begin) -> None:
    """Ctrl-C as asyncio was run by hand: it strikes wherever the loop happens to be."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(work(url, begin, gathered))
    try:
        loop.run_until_complete(task)
    except KeyboardInterrupt:
        cancel_all(loop)
        raise
    finally:
        loop.close()


def by_stopping(url: str, begin: Begin) -> None:
    """A loop that is stopped in the midst of it, and cleaned up."""
    loop = asyncio.new_event_loop()
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    task = loop.create_task(work(url, begin, gathered))
    loop.run_forever()
    cancel_all(loop)
    assert task.cancelled()
    loop.close()


def by_closing(url: str, begin: Begin) -> None:
    """A loop that is stopped and closed, with everything still open."""
    loop = asyncio.new_event_loop()
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    task = loop.create_task(work(url, begin, gathered))
    loop.run_forever()
    loop.close()
    del loop, task
    gc.collect()


def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks of a loop and let them end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())


def without_loop(url: str, begin: Begin) -> None:
    """A sync program."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    maker = sessionmaker(engine)
    try:
        while True:
            sync_operation(maker, next(numbers), is_bare=begin is bare)
    finally:
        engine.dispose()


def sync_operation(maker: sessionmaker[Any], op: int, *, is_bare: bool) -> None:
    """Write two rows in a transaction, and say what became of them."""
    scope: Any = None
    say("began", op)
    try:
        if is_bare:
            with maker() as session, session.begin():
                write(session, op)
        else:
            with scoped_services(maker) as scope:
                write(scope.session, op)
    except BaseException:
        say("undecided" if scope is None else str(scope.outcome), op)
        raise
    say("committed", op)


def write(session: Any, op: int) -> None:
    """Write two rows."""
    for n in (1, 2):
        session.execute(INSERT, {"op": op, "n": n})


WAYS: dict[str, Callable[[str, Begin], None]] = {
    "run": by_run,
    "runner": by_runner,
    "anyio": by_anyio,
    "handler": by_handler,
    "hand": by_hand,
    "stopping": by_stopping,
    "closing": by_closing,
    "sync": without_loop,
}


def next_child() -> list[str]:
    """Have a child for each line of stdin; return, in the child, with its arguments."""
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            folder, *arguments = line.split()
            for number, name in ((1, "out"), (2, "errors")):
                os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_APPEND), number)
            return arguments
        os.write(1, f"{pid}\n".encode())
        os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    sys.exit()


def main(arguments: list[str]) -> None:
    """Run in the way that the arguments say."""
    url, way, *options = next_child() if arguments == ["--fork"] else arguments
    WAYS[way](url, bare if "--bare" in options else scoped_services)


if __name__ == "__main__":
    main(sys.argv[1:])
