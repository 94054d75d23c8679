"""Rule 6: one session is used by one task at a time, and no pool is poisoned."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from sqla_safe import ConcurrentUseError, RollbackOnlyError, configure, scoped_services
from tests.integration.scopes.async_.support import (
    Gate,
    handed_over,
    make_inserts_slow,
    on_postgres,
    on_two,
    slow_select,
)
from tests.integration.scopes.models import Note, Notes, stored
from tests.patience import SLOW, in_time


@pytest.fixture(params=["cold", "warm"])
async def pool_of(request, maker):
    """Leave the pool cold, or put a connection into it."""
    if request.param == "warm":
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("SELECT 1"))
    return request.param


@pytest.fixture(params=["nothing before", "a statement before"])
def prelude(request):
    """Say whether the session has a connection before the tasks meet."""
    return request.param


async def begin(notes: Notes, prelude: str) -> None:
    """Run a statement first if the test is to have one."""
    if prelude == "a statement before":
        await notes.session.execute(text("SELECT 1"))


async def test_gather_on_one_session_is_refused(
    maker, async_engine, async_database, pool_of, prelude
):
    """Two branches of gather on one session raise ConcurrentUseError, and nothing is stored."""
    with pytest.raises(ConcurrentUseError):
        async with scoped_services(maker, Notes) as notes:
            await begin(notes, prelude)
            await asyncio.gather(notes.add("one"), notes.add("two"))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_gather_of_core_statements_is_refused(maker, async_engine, pool_of):
    """Two statements in gather on one session raise ConcurrentUseError."""
    with pytest.raises(ConcurrentUseError):
        async with scoped_services(maker, Notes) as notes:
            session = notes.session
            await asyncio.gather(*(session.execute(text("SELECT 1")) for _ in range(2)))
    assert async_engine.pool.checkedout() == 0


async def test_gather_that_swallows_stores_no_half(maker, async_engine, async_database, pool_of):
    """With return_exceptions=True the refused branch is not left out: the end raises."""
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            results = await asyncio.gather(
                notes.add("one"), notes.add("two"), return_exceptions=True
            )
            assert any(isinstance(result, ConcurrentUseError) for result in results)
    assert isinstance(caught.value.__cause__, ConcurrentUseError)
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_task_group_on_one_session_is_refused(maker, async_engine, async_database, pool_of):
    """Two tasks of a TaskGroup on one session raise ConcurrentUseError in its group."""
    with pytest.raises(ExceptionGroup) as caught:
        async with scoped_services(maker, Notes) as notes, asyncio.TaskGroup() as group:
            group.create_task(notes.add("one"))
            group.create_task(notes.add("two"))
    assert caught.group_contains(ConcurrentUseError)
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


async def read(session, statement):
    """Run a statement."""
    await session.execute(statement)


async def write(session):
    """Insert a note."""
    await session.execute(insert(Note).values(text="a"))


def line_of(function) -> str:
    """Return the line of the only statement of a function."""
    return f"test_concurrent_use.py:{function.__code__.co_firstlineno + 2}"


@on_two
async def test_error_names_both_tasks_and_lines(maker, async_engine, pool_of):
    """ConcurrentUseError names both tasks, and the line at which each of them uses the session."""
    gate = Gate(async_engine)
    with pytest.raises(ConcurrentUseError) as caught:
        async with scoped_services(maker) as scope:
            reader = asyncio.create_task(read(scope.session, gate.statement), name="the reader")
            await gate.reached.wait()
            writer = asyncio.create_task(write(scope.session), name="the writer")
            await asyncio.wait([writer])
            gate.open()
            await writer
    await reader
    error = caught.value
    assert "the reader" in error.first_task
    assert "the writer" in error.second_task
    assert error.first_at.endswith(line_of(read))
    assert error.second_at.endswith(line_of(write))
    for fact in (error.first_task, error.second_task, error.first_at, error.second_at):
        assert fact in str(error)
    assert async_engine.pool.checkedout() == 0


@on_two
async def test_one_after_the_other_is_allowed(maker, async_database):
    """Tasks that use the session one after the other are no concurrent use."""
    async with scoped_services(maker, Notes) as notes:
        for name in ("one", "two"):
            await asyncio.create_task(notes.add(name))
    assert stored(async_database) == ["one", "two"]


@on_two
async def test_wait_for_is_allowed(maker, async_database):
    """asyncio.wait_for, which runs its coroutine in a task of its own, is no concurrent use."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("one")
        await asyncio.wait_for(notes.add("two"), timeout=5)
        await notes.add("three")
    assert stored(async_database) == ["one", "two", "three"]


@on_two
async def test_guard_owner_refuses_another_task(maker, async_engine, async_database):
    """With guard_owner=True another task is refused although nothing overlaps."""
    configure(maker, guard_owner=True)
    with pytest.raises(ConcurrentUseError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("one")
            await asyncio.create_task(notes.add("two"))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_guard_owner_allows_the_owner(maker, async_database):
    """With guard_owner=True the task that opened the scope works as always."""
    configure(maker, guard_owner=True)
    async with scoped_services(maker, Notes) as notes:
        await notes.add("one")
    assert stored(async_database) == ["one"]


async def test_own_error_of_a_branch_wins(maker, async_engine, async_database, pool_of):
    """The error of one branch leaves the block while the statement of another still runs."""
    slow = slow_select(async_database, 0.2)
    begun = handed_over(async_engine, slow)
    own = KeyError("own")

    async def fail() -> None:
        await begun.wait()
        raise own

    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await asyncio.gather(read(notes.session, slow), fail())
    assert caught.value is own
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


async def test_own_error_of_a_task_group_wins(maker, async_engine, async_database, pool_of):
    """A TaskGroup whose task fails cancels the statement of another, and its error leaves alone."""
    slow = slow_select(async_database, 0.2)
    begun = handed_over(async_engine, slow)

    async def fail() -> None:
        await begun.wait()
        raise KeyError

    with pytest.raises(ExceptionGroup) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            async with asyncio.TaskGroup() as group:
                group.create_task(read(notes.session, slow))
                group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_own_error_of_an_anyio_group_wins(maker, async_engine, async_database):
    """An anyio task group whose task fails cancels the statement of another all the same."""
    slow = slow_select(async_database, 0.2)
    begun = handed_over(async_engine, slow)

    async def fail() -> None:
        await begun.wait()
        raise KeyError

    with pytest.raises(ExceptionGroup) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            async with anyio.create_task_group() as group:
                group.start_soon(read, notes.session, slow)
                group.start_soon(fail)
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


# --- a task that was forgotten ----------------------------------------------------------------


async def test_forgotten_statement_is_awaited(maker, async_engine, async_database, pool_of):
    """The end of a scope waits for another task's statement, and then stores everything."""
    configure(maker, drain_timeout=60)
    slow = slow_select(async_database, 0.2)
    begun = handed_over(async_engine, slow)

    async def forgotten(session) -> str:
        await session.execute(slow)
        return "done"

    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        task = asyncio.create_task(forgotten(notes.session))
        await begun.wait()
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["a"]
    assert await task == "done"


@on_two
async def test_forgotten_task_goes_no_further(maker, async_engine, async_database):
    """A forgotten task may end its statement, but not begin another one in the scope's session."""
    configure(maker, drain_timeout=60)
    gate = Gate(async_engine)

    async def forgotten(notes: Notes) -> None:
        await notes.session.execute(gate.statement)
        await notes.add("late")

    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        task = asyncio.create_task(forgotten(notes))
        await gate.reached.wait()
        asyncio.get_running_loop().call_later(0.05, gate.open)  # when the end waits for it
    [error] = await asyncio.gather(task, return_exceptions=True)
    assert type(error).__name__ == "ScopeClosedError"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["a"]


async def test_forgotten_statement_that_takes_too_long(
    maker, async_engine, async_database, pool_of
):
    """After drain_timeout the end raises ConcurrentUseError, stores nothing, and is free again."""
    configure(maker, drain_timeout=0.1, cleanup_timeout=0.5)
    slow = slow_select(async_database, SLOW)
    begun = handed_over(async_engine, slow)
    with pytest.raises(ConcurrentUseError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            task = asyncio.create_task(read(notes.session, slow), name="the forgotten one")
            await begun.wait()
            before = time.monotonic()
    in_time(before, 0.6)
    assert "the forgotten one" in str(caught.value)
    assert line_of(read) in str(caught.value)
    assert async_engine.pool.checkedout() == 0
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.done()
    if not task.cancelled():
        task.exception()
    assert stored(async_database) == []


async def test_forgotten_statement_and_an_error(maker, async_engine, async_database):
    """The body's error wins over the statement of a forgotten task."""
    slow = slow_select(async_database, 0.2)
    begun = handed_over(async_engine, slow)
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            task = asyncio.create_task(read(notes.session, slow))
            await begun.wait()
            raise own
    assert caught.value is own
    assert async_engine.pool.checkedout() == 0
    await asyncio.gather(task, return_exceptions=True)
    assert stored(async_database) == []


async def test_forgotten_statement_that_fails(maker, async_engine, async_database):
    """A forgotten statement that fails while the scope ends leaves nothing half-written."""
    configure(maker, drain_timeout=60)
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
    make_inserts_slow(async_database, 0.1)
    begun = handed_over(async_engine, "INSERT INTO note")
    with pytest.raises((RollbackOnlyError, IntegrityError)):
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("INSERT INTO author (id, name) VALUES (1, 'Vanya')"))
            scope.session.add(Note(text="a"))
            task = asyncio.create_task(scope.session.flush())
            await begun.wait()
    await asyncio.gather(task, return_exceptions=True)
    assert async_engine.pool.checkedout() == 0
    assert async_database.probe.scalar("SELECT count(*) FROM author") == 0


@on_postgres
async def test_pool_survives_many_forgotten_statements(maker, async_engine, async_database):
    """After many scopes that ended over a running statement every connection still works."""
    slow = slow_select(async_database, 0.05)
    tasks = []

    async def handler(number: int) -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add(str(number))
            tasks.append(asyncio.create_task(read(notes.session, slow)))
            await asyncio.sleep(0)  # its first step sends the statement

    await asyncio.gather(*map(handler, range(20)))
    await asyncio.gather(*tasks)
    assert async_engine.pool.checkedout() == 0
    assert len(stored(async_database)) == 20
