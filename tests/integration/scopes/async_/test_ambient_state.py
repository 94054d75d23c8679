"""Rule 14: two databases never mix, and nothing else is shared."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import NoScopeError, current_scope, prepare_sqlite, scoped_services
from tests import databases
from tests.integration.scopes.async_.support import on_two
from tests.integration.scopes.models import Notes, create_tables, stored


@pytest.fixture
async def other(tmp_path, make_async_engine):
    """Give a sessionmaker on a second database, and that database."""
    with databases.sqlite_database("aiosqlite", tmp_path) as database:
        create_tables(database)
        yield async_sessionmaker(prepare_sqlite(make_async_engine(database))), database


async def test_two_databases_do_not_mix(maker, async_database, other):
    """A scope on one database inside a scope on another is a transaction of its own."""
    other_maker, other_database = other
    async with scoped_services(maker, Notes) as here:
        await here.add("here")
        async with scoped_services(other_maker, Notes) as there:
            await there.add("there")
            async with scoped_services(maker, Notes) as here_again:
                assert here_again is here
        assert stored(other_database) == ["there"]
        assert stored(async_database) == []
    assert stored(async_database) == ["here"]


@on_two
async def test_error_in_one_database_leaves_the_other_alone(maker, async_database, other):
    """A failed scope on one database does not doom the scope on another around it."""
    other_maker, other_database = other
    async with scoped_services(maker, Notes) as here:
        await here.add("here")
        with pytest.raises(KeyError):
            async with scoped_services(other_maker, Notes) as there:
                await there.add("there")
                raise KeyError
    assert stored(async_database) == ["here"]
    assert stored(other_database) == []


@on_two
async def test_current_scope_is_by_sessionmaker(maker, other):
    """current_scope of each sessionmaker is its own scope, or none."""
    other_maker, _ = other
    async with scoped_services(maker) as here:
        with pytest.raises(NoScopeError):
            current_scope(other_maker)
        async with scoped_services(other_maker) as there:
            assert current_scope(maker) is here
            assert current_scope(other_maker) is there


@on_two
async def test_mandatory_asks_for_its_own_sessionmaker(maker, other):
    """An open scope of another sessionmaker does not count for mandatory."""
    other_maker, _ = other
    async with scoped_services(maker):
        with pytest.raises(NoScopeError):
            async with scoped_services(other_maker, propagation="mandatory"):
                pytest.fail("entered")


async def test_unrelated_tasks_are_isolated(maker, async_engine, async_database):
    """Of many tasks at the same time, exactly those that ended well are stored."""

    async def handler(number: int) -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add(str(number))
            if number % 3 == 0:
                raise KeyError(number)

    results = await asyncio.gather(*map(handler, range(15)), return_exceptions=True)
    assert [result.args[0] for result in results if result] == [0, 3, 6, 9, 12]
    assert async_engine.pool.checkedout() == 0
    assert sorted(map(int, stored(async_database))) == [n for n in range(15) if n % 3]


@on_two
async def test_interleaved_tasks_have_their_own_scope(maker):
    """Tasks whose scopes are open at the same time see each their own."""
    everybody = asyncio.Barrier(4)

    async def handler() -> int:
        async with scoped_services(maker) as scope:
            await everybody.wait()
            assert current_scope(maker) is scope
            await everybody.wait()
            return id(scope.session)

    sessions = await asyncio.gather(*(handler() for _ in range(4)))
    assert len(set(sessions)) == 4


@on_two
async def test_no_state_on_service_objects(maker):
    """A service has what its constructor gave it, and nothing more."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        assert vars(notes) == {"session": notes.session}
    assert set(vars(notes)) == {"session"}


@on_two
async def test_shared_factory_serves_tasks_at_the_same_time(maker, async_database):
    """One callable used by two tasks at once gives each of them its own session."""
    made = []

    def service(session) -> Notes:
        made.append(session)
        return Notes(session)

    async def handler(name: str) -> None:
        async with scoped_services(maker, service) as notes:
            await asyncio.sleep(0)
            await notes.add(name)
            if name == "fails":
                raise KeyError

    await asyncio.gather(handler("works"), handler("fails"), return_exceptions=True)
    assert len({id(session) for session in made}) == 2
    assert stored(async_database) == ["works"]


async def test_scopes_after_cancelled_ones_work(maker, async_engine, async_database):
    """After tasks that were cancelled twice, every later scope is stored."""

    async def victim() -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("victim")
            await asyncio.sleep(30)

    tasks = [asyncio.create_task(victim()) for _ in range(3)]
    await asyncio.sleep(0.05)
    for _ in range(2):
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait(tasks)
    for name in ("b", "c", "d"):
        async with scoped_services(maker, Notes) as notes:
            await notes.add(name)
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["b", "c", "d"]
