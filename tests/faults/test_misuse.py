"""Sessions that are shared by tasks, outlive their scope, or are left open: nobody else is hit."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import (
    ConcurrentUseError,
    NoScopeError,
    ScopeClosedError,
    current_scope,
    prepare_sqlite,
    scoped_services,
)
from tests.integration.scopes.async_.support import until

INSERT = text("INSERT INTO part (op, n) VALUES (:op, :n)")
DRIVERS = ("asyncpg", "psycopg-async", "aiosqlite")
on_drivers = pytest.mark.parametrize("async_database", DRIVERS, indirect=True)


class BranchError(Exception):
    """What one of the branches raises."""


@pytest.fixture
def maker(async_database, make_async_engine):
    """Give a sessionmaker with a pool of five, and the table of parts."""
    async_database.probe.execute("CREATE TABLE part (op integer NOT NULL, n integer NOT NULL)")
    engine = make_async_engine(async_database, pool_size=5, max_overflow=0, pool_timeout=5)
    if async_database.dialect == "sqlite":
        prepare_sqlite(engine)
    return async_sessionmaker(engine)


async def branch(scope: Any, op: int, n: int, *, fails: bool) -> None:
    """Write a row, and fail after it if told so."""
    await scope.session.execute(INSERT, {"op": op, "n": n})
    if fails:
        raise BranchError
    await asyncio.sleep(0)
    await scope.session.execute(INSERT, {"op": op, "n": n + 10})


async def gathered(scope: Any, op: int, *, fails: bool) -> None:
    """Two branches, of which the second may fail while the first is at work."""
    await asyncio.gather(branch(scope, op, 1, fails=False), branch(scope, op, 2, fails=fails))


async def grouped(scope: Any, op: int, *, fails: bool) -> None:
    """The same in a TaskGroup."""
    async with asyncio.TaskGroup() as group:
        group.create_task(branch(scope, op, 1, fails=False))
        group.create_task(branch(scope, op, 2, fails=fails))


async def flushed(scope: Any, op: int, *, fails: bool) -> None:
    """Two branches that flush at once."""
    await scope.session.execute(INSERT, {"op": op, "n": 1})
    await asyncio.gather(scope.session.flush(), branch(scope, op, 2, fails=fails))


async def next_uses_hit(maker: Any, uses: int) -> int:
    """Count the errors of scopes that come afterwards."""
    hit = 0
    for _ in range(uses):
        try:
            async with scoped_services(maker) as scope:
                await scope.session.execute(text("SELECT 1"))
        except Exception:
            hit += 1
    return hit


@on_drivers
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("share", [gathered, grouped, flushed])
async def test_one_session_in_two_tasks(async_database, maker, figures, sized, *, share, warm):
    """Two tasks on one session store nothing of it, or all; the next users of the pool are well."""
    times, foreign, refused, hit = sized(25, 200), [], 0, 0
    for op in range(times):
        try:
            async with scoped_services(maker) as scope:
                if warm:
                    await scope.session.execute(text("SELECT 1"))
                await share(scope, op, fails=op % 2 == 0)
        except* (BranchError, ConcurrentUseError):
            refused += 1
        except* Exception as group:
            foreign.append(group.exceptions[0])
        hit += await next_uses_hit(maker, 2)
    parts = async_database.probe.rows("SELECT op, count(*) FROM part GROUP BY op")
    failing = [op for op, _ in parts if op % 2 == 0]
    figures(f"{times}", refused=refused, foreign=len(foreign), escaped=len(failing), next_hit=hit)
    assert foreign == []
    assert failing == [], "a block that raised has stored something"
    assert hit == 0
    assert refused >= times // 2
    assert maker.kw["bind"].pool.checkedout() == 0
    assert async_database.probe.idle_in_transaction() == 0


@on_drivers
@pytest.mark.timeout(600)
async def test_tasks_that_outlive_their_scope(async_database, maker, figures, sized):
    """Tasks that use a scope's session after its end get an error each, and hold no connection."""
    times, errors = sized(40, 400), []

    async def later(scope: Any, op: int) -> None:
        await asyncio.sleep(0.01)
        try:
            await scope.session.execute(INSERT, {"op": op, "n": 1})
        except ScopeClosedError as error:
            errors.append(error)

    async def handler(op: int) -> asyncio.Task[None]:
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("SELECT 1"))
            return asyncio.create_task(later(scope, op))

    tasks = await asyncio.gather(*(handler(op) for op in range(times)))
    await asyncio.gather(*tasks)
    stored = async_database.probe.scalar("SELECT count(*) FROM part")
    figures(f"{times} tasks", errors=len(errors), stored=stored)
    assert len(errors) == times
    assert stored == 0
    assert maker.kw["bind"].pool.checkedout() == 0
    assert await next_uses_hit(maker, 10) == 0


@on_drivers
@pytest.mark.timeout(600)
async def test_generators_left_by_break(async_database, maker, figures, sized):
    """A generator that is left by `break` inside its scope gives its connection back."""
    times = sized(20, 200)

    async def sessions() -> Any:
        async with scoped_services(maker) as scope:
            yield scope.session

    async def handler(op: int) -> None:
        async for session in sessions():
            await session.execute(INSERT, {"op": op, "n": 1})
            break

    for op in range(times):
        await asyncio.create_task(handler(op))
    gc.collect()
    await until(lambda: maker.kw["bind"].pool.checkedout() == 0)
    figures(f"{times} generators", checked_out=maker.kw["bind"].pool.checkedout())
    await until(lambda: async_database.probe.idle_in_transaction() == 0)
    assert async_database.probe.scalar("SELECT count(*) FROM part") == 0


@pytest.mark.parametrize("async_database", ["aiosqlite"], indirect=True)
async def test_scopes_of_many_tasks_do_not_meet(make_async_engine, async_database, figures, sized):
    """A task never finds another's scope, whatever the interleaving; nothing ambient is left."""
    maker, tasks, foreign = async_sessionmaker(make_async_engine(async_database)), 10_000, 0

    async def user(number: int) -> None:
        nonlocal foreign
        async with scoped_services(maker) as scope:
            for _ in range(number % 4):
                await asyncio.sleep(0)
                foreign += current_scope(maker) is not scope
            child = asyncio.create_task(looks())
            await asyncio.sleep(0)
            foreign += current_scope(maker) is not scope
            foreign += await child

    async def looks() -> bool:
        try:
            current_scope(maker)
        except NoScopeError:
            return False
        return True

    await asyncio.gather(*map(user, range(sized(2_000, tasks))))
    figures(f"{sized(2_000, tasks)} tasks", foreign=foreign)
    assert foreign == 0
    with pytest.raises(NoScopeError):
        current_scope(maker)
