"""Rule 8: scopes inside of async generators, closed or left."""

from __future__ import annotations

import asyncio
import gc

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from sqla_safe import NoScopeError, current_scope, prepare_sqlite, scoped_services
from tests.integration.scopes.async_.support import on_two, only_on, until
from tests.integration.scopes.models import Notes, create_tables, stored


async def names(maker):
    """Yield inside a scope, as careless code does."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        yield "a"
        yield "b"


@on_two
async def test_closed_generator(maker, async_engine, async_database):
    """An async generator that is closed inside its scope is rolled back."""
    generator = names(maker)
    assert await anext(generator) == "a"
    await generator.aclose()
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


async def test_abandoned_generator(maker, async_engine, async_database):
    """An async generator left open by `break` gives its connection back when collected."""
    async for _ in names(maker):
        break
    gc.collect()
    await until(lambda: async_engine.pool.checkedout() == 0)
    assert stored(async_database) == []
    with pytest.raises(NoScopeError):
        current_scope(maker)


@on_two
async def test_scope_beside_an_open_generator(maker, async_engine, async_database):
    """A scope opened while a generator is suspended in another one ends well."""
    generator = names(maker)
    await anext(generator)
    await generator.aclose()
    async with scoped_services(maker, Notes) as notes:
        await notes.add("b")
    assert stored(async_database) == ["b"]


@only_on("aiosqlite", "asyncpg", "psycopg-async")
def test_generator_at_the_end_of_the_loop(async_database):
    """An async generator that is open when the loop shuts down is rolled back."""
    create_tables(async_database)
    loop = asyncio.new_event_loop()
    engine = create_async_engine(async_database.url)
    if async_database.dialect == "sqlite":
        prepare_sqlite(engine)
    maker = async_sessionmaker(engine)
    generator = names(maker)

    async def begin() -> None:
        await anext(generator)

    loop.run_until_complete(begin())
    assert async_database.probe.idle_in_transaction() == 1
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert engine.pool.checkedout() == 0
    assert async_database.probe.idle_in_transaction() == 0
    loop.run_until_complete(engine.dispose())
    loop.close()
    assert stored(async_database) == []


@pytest.fixture
def collected():
    """Collect the garbage of a test while its warnings are still its own."""
    yield
    gc.collect()


@only_on("aiosqlite", "asyncpg", "psycopg-async")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's own, of a loop closed like this
def test_closed_after_its_loop(async_database, collected):
    """A block whose event loop was closed under it is undone when it is collected."""
    create_tables(async_database)
    loop = asyncio.new_event_loop()
    engine = create_async_engine(async_database.url)
    if async_database.dialect == "sqlite":
        prepare_sqlite(engine)
    maker = async_sessionmaker(engine)
    loop.set_exception_handler(lambda *_: None)  # it complains about the task, and may
    began, scopes = loop.create_future(), []

    async def work() -> None:
        async with scoped_services(maker) as scope:
            scopes.append(scope)
            await scope.get(Notes).add("a")
            began.set_result(None)
            await loop.create_future()

    running = work()
    task = loop.create_task(running)
    loop.run_until_complete(began)
    assert async_database.probe.idle_in_transaction() == 1
    loop.close()
    running.close()
    assert not task.done()
    assert scopes[0].outcome == "rolled_back"
    assert not scopes[0].is_active
    assert engine.pool.checkedout() == 0
    assert stored(async_database) == []
