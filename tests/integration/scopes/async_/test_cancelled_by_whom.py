"""Rule 8: whoever cancels, asyncio or anyio, from outside or from inside."""

from __future__ import annotations

import asyncio
import contextlib
import time

import anyio
import pytest
from sqlalchemy import event

from sqla_safe import current_scope, scoped_services
from tests.integration.scopes.async_.cancelled import at_work, idle, slow_statement
from tests.integration.scopes.async_.support import (
    handed_over,
    on_servers,
    on_two,
    only_on,
    slow_select,
)
from tests.integration.scopes.models import Note, Notes, stored


async def test_by_asyncio_timeout(maker, async_engine, async_database):
    """asyncio.timeout around a scope raises TimeoutError, and nothing is stored."""
    slow = await slow_statement(async_database)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            await slow(scope)
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


async def test_by_asyncio_timeout_inside(maker, async_engine, async_database):
    """A statement that asyncio.timeout cut off inside the block leaves nothing half-written."""
    slow = slow_select(async_database, 0.3)
    with contextlib.suppress(Exception):
        async with scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await scope.session.execute(slow)
            scope.session.add(Note(text="b"))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) in ([], ["a", "b"])
    assert (scope.outcome == "committed") == (stored(async_database) == ["a", "b"])


async def test_by_a_task_group(maker, async_engine, async_database):
    """A scope in a TaskGroup whose other task fails is rolled back."""
    slow = await slow_statement(async_database)
    begun = handed_over(async_engine, "SELECT")

    async def fail() -> None:
        await at_work(begun)
        raise KeyError

    async def victim() -> None:
        async with scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            await slow(scope)

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(victim())
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@pytest.mark.parametrize("where", ["in a statement", "between statements"])
async def test_by_an_anyio_scope(maker, async_engine, async_database, where):
    """A scope inside anyio.move_on_after is rolled back, and the block ends there."""
    slow = await slow_statement(async_database) if where == "in a statement" else idle
    with anyio.move_on_after(0.05) as limit:
        async with scoped_services(maker) as scope:
            await scope.get(Notes).add("a")
            await slow(scope)
    assert limit.cancelled_caught
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


@on_two
async def test_by_an_anyio_scope_cancelled_inside(maker, async_engine, async_database):
    """A block that cancels the anyio scope around it and ends normally is not torn."""
    with anyio.CancelScope() as limit:
        async with scoped_services(maker, Notes) as notes:
            scope = current_scope(maker)
            await notes.add("a")
            limit.cancel()
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome in ("committed", "rolled_back")
    assert stored(async_database) == (["a"] if scope.outcome == "committed" else [])


@on_two
async def test_anyio_shield_inside_is_respected(maker, async_database):
    """A scope inside an anyio shield is stored although the scope around it is cancelled."""
    with anyio.CancelScope() as limit:
        limit.cancel()
        with anyio.CancelScope(shield=True):
            async with scoped_services(maker, Notes) as notes:
                await notes.add("a")
    assert stored(async_database) == ["a"]


@only_on("aiosqlite", "asyncpg", "psycopg-async", "asyncmy")
async def test_anyio_cancellation_keeps_the_connection(maker, async_engine, async_database):
    """A scope that anyio cancels between statements gives its connection back unharmed."""
    made = []
    event.listen(async_engine.sync_engine, "connect", lambda *args: made.append(args))
    for _ in range(5):
        with anyio.CancelScope() as limit:
            async with scoped_services(maker, Notes) as notes:
                await notes.add("a")
                limit.cancel()
                await asyncio.sleep(30)
    assert len(made) == 1
    assert stored(async_database) == []


@on_servers
async def test_anyio_cancellation_does_not_spin(proxied):
    """While ROLLBACK takes its time in a cancelled anyio scope, the processor rests."""
    proxied.proxy.delay = 0.5
    with anyio.CancelScope() as limit:
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add("a")
            proxied.proxy.at("ROLLBACK", "slow")
            passed, used = time.monotonic(), time.process_time()
            limit.cancel()
            await asyncio.sleep(30)
    assert time.monotonic() - passed >= 0.5
    assert time.process_time() - used < 0.25
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []
