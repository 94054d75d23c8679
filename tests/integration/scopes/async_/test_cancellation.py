"""Rule 8: cancelled at any point, once or often, by whom it may be."""

from __future__ import annotations

import asyncio

import anyio
import psycopg
import pytest
from packaging.version import Version
from sqlalchemy import text

from sqla_safe import NoScopeError, current_scope, scoped_services
from tests.integration.scopes.async_.cancelled import Work, at_work, idle, nothing, slow_statement
from tests.integration.scopes.async_.support import (
    handed_over,
    make_inserts_slow,
    on_postgres,
    on_servers,
    on_two,
    until,
)
from tests.integration.scopes.models import Note, Notes, stored
from tests.integration.scopes.watching import is_running, make_commits_slow


async def while_committing(database, act) -> None:
    """Do something as soon as the server is at a COMMIT."""
    await until(lambda: is_running(database, "COMMIT"))
    act()


async def test_between_statements(maker, async_engine, async_database):
    """A scope that is cancelled between two statements is rolled back."""
    work = Work(maker, idle)
    await work.began.wait()
    work.task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


async def test_during_a_statement(maker, async_engine, async_database):
    """A scope that is cancelled during a statement is rolled back."""
    begun = handed_over(async_engine, "SELECT")
    work = Work(maker, await slow_statement(async_database))
    await at_work(begun)
    work.task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


@pytest.mark.parametrize("pause", [0, 0.001, 0.01], ids=str)
async def test_several_times_during_a_statement(maker, async_engine, async_database, pause):
    """A scope that is cancelled again and again while it is being undone is rolled back."""
    begun = handed_over(async_engine, "SELECT")
    work = Work(maker, await slow_statement(async_database))
    await at_work(begun)
    while not work.task.done():
        work.task.cancel()
        await asyncio.sleep(pause)
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


async def test_during_the_flush_at_the_end(maker, async_engine, async_database):
    """A scope that is cancelled while its last changes are written is rolled back."""

    async def body(scope) -> None:
        scope.session.add(Note(text="b"))

    make_inserts_slow(async_database, 0.5)
    work = Work(maker, body)
    await work.began.wait()
    await until(lambda: not work.scope.is_active)
    await asyncio.sleep(0.03)
    work.task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert stored(async_database) == []


@on_postgres
@pytest.mark.parametrize("times", [1, 3])
async def test_during_commit(maker, async_engine, async_database, times):
    """A cancellation during COMMIT waits for it, and leaves with a note that says "stored"."""
    make_commits_slow(async_database, 0.6)
    work = Work(maker, nothing)
    await until(lambda: is_running(async_database, "COMMIT"))
    for _ in range(times):
        work.task.cancel()
        await asyncio.sleep(0.01)
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert any("stored" in note for note in error.__notes__)
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "committed"
    assert work.ran == ["commit"]
    assert stored(async_database) == ["a"]


@on_postgres
async def test_all_tasks_cancelled_during_commit(maker, async_engine, async_database):
    """Whoever cancels all tasks of the loop, as it ends, does not tear a COMMIT."""
    others = asyncio.all_tasks()
    make_commits_slow(async_database, 0.6)
    work = Work(maker, nothing)
    await until(lambda: is_running(async_database, "COMMIT"))
    tasks = asyncio.all_tasks() - others
    for task in tasks:
        task.cancel()
    assert isinstance(await work.result(), asyncio.CancelledError)
    assert async_engine.pool.checkedout() == 0
    # On CPython 3.11 older releases of psycopg 3 wait in a task of their own, which is torn.
    is_whole = tasks == {work.task}
    assert is_whole or Version(psycopg.__version__) < Version("3.3.6")
    assert work.scope.outcome == ("committed" if stored(async_database) else "rolled_back")
    assert stored(async_database) == ["a"] or not is_whole


async def test_all_tasks_cancelled_as_the_end_begins(maker, async_engine, async_database):
    """A loop that ends while a scope is just being left leaves no connection out."""
    others = asyncio.all_tasks()
    work = Work(maker, nothing)
    await until(lambda: work.scope is not None and not work.scope.is_active)
    for task in asyncio.all_tasks() - others:
        task.cancel()
    await work.result()
    assert work.scope.outcome == ("committed" if stored(async_database) else "rolled_back")
    assert async_engine.pool.checkedout() == 0


@on_postgres
async def test_during_a_commit_that_fails(maker, async_engine, async_database):
    """A cancellation during a COMMIT that the database refuses leaves without "stored"."""
    make_commits_slow(async_database, 0.6)

    async def body(scope) -> None:
        await scope.session.execute(text("INSERT INTO comment (id, note_id) VALUES (1, 4711)"))

    work = Work(maker, body)
    await until(lambda: is_running(async_database, "COMMIT"))
    work.task.cancel()
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert not any("is stored" in note for note in getattr(error, "__notes__", ()))
    assert async_engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(async_database) == []


@on_postgres
async def test_timeout_during_commit(maker, async_engine, async_database):
    """asyncio.timeout that runs out during COMMIT raises TimeoutError; the outcome is committed."""
    make_commits_slow(async_database, 0.6)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            group.create_task(while_committing(async_database, lambda: limit.reschedule(0)))
            async with scoped_services(maker) as scope:
                scope.session.add(Note(text="a"))
    assert any("stored" in note for note in caught.value.__cause__.__notes__)
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "committed"
    assert stored(async_database) == ["a"]


@on_postgres
async def test_anyio_scope_during_commit(maker, async_engine, async_database):
    """An anyio scope that is cancelled during COMMIT waits for it; the outcome is committed."""
    make_commits_slow(async_database, 0.6)
    ran = []
    async with anyio.create_task_group() as group:
        group.start_soon(while_committing, async_database, lambda: limit.cancel())  # noqa: PLW0108  (it is made below)
        with anyio.CancelScope() as limit:
            async with scoped_services(maker) as scope:
                scope.session.add(Note(text="a"))
                scope.on_commit(lambda: ran.append("commit"))
    assert limit.cancelled_caught
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "committed"
    assert ran == ["commit"]
    assert stored(async_database) == ["a"]


@on_postgres
async def test_during_scope_commit(maker, async_engine, async_database):
    """A cancellation during scope.commit() waits for it: what was done until then is stored."""
    make_commits_slow(async_database, 0.6)
    work = Work(maker, lambda scope: scope.commit())
    await until(lambda: is_running(async_database, "COMMIT"))
    work.task.cancel()
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert any("stored" in note for note in error.__notes__)
    assert async_engine.pool.checkedout() == 0
    assert work.ran == ["commit"]
    assert stored(async_database) == ["a"]


async def test_during_a_callback(maker, async_engine, async_database):
    """A cancellation during on_commit lets every callback end, and leaves saying "stored"."""
    ran = []
    running = asyncio.Event()

    async def slow() -> None:
        running.set()
        await asyncio.sleep(0.05)
        ran.append("slow")

    async def body(scope) -> None:
        scope.on_commit(slow)
        scope.on_commit(lambda: ran.append("second"))

    work = Work(maker, body)
    await running.wait()
    work.task.cancel()
    error = await work.result()
    assert isinstance(error, asyncio.CancelledError)
    assert any("stored" in note for note in error.__notes__)
    assert ran == ["slow", "second"]
    assert work.scope.outcome == "committed"
    assert stored(async_database) == ["a"]


@on_servers
@pytest.mark.parametrize("times", [1, 3])
async def test_during_rollback(proxied, times):
    """A cancellation during ROLLBACK waits for it; the connection is as good as before."""
    async with scoped_services(proxied.maker) as scope:
        before = await scope.session.scalar(text(WHO[proxied.database.dialect]))
    proxied.proxy.delay = 0.2
    proxied.proxy.at("ROLLBACK", "slow")

    async def fail(_scope) -> None:
        raise KeyError("own")

    work = Work(proxied.maker, fail)
    await proxied.proxy.hit.wait()
    for _ in range(times):
        work.task.cancel()
        await asyncio.sleep(0.01)
    assert isinstance(await work.result(), asyncio.CancelledError | KeyError)
    assert proxied.engine.pool.checkedout() == 0
    assert work.scope.outcome == "rolled_back"
    assert work.ran == ["rollback"]
    assert stored(proxied.database) == []
    async with scoped_services(proxied.maker) as scope:
        assert await scope.session.scalar(text(WHO[proxied.database.dialect])) == before


WHO = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}


@on_two
async def test_error_leaves_unchanged(maker):
    """The very CancelledError, with its message, leaves the block."""
    work = Work(maker, idle)
    await work.began.wait()
    work.task.cancel("the user went away")
    error = await work.result()
    assert error.args == ("the user went away",)
    assert not hasattr(error, "__notes__")


@on_two
async def test_number_of_cancellations_is_kept(maker):
    """The task's own count of cancellations is left as it is, for whoever comes after."""
    counted = []

    async def victim() -> None:
        try:
            async with scoped_services(maker, Notes) as notes:
                await notes.add("a")
                await asyncio.sleep(30)
        finally:
            counted.append(asyncio.current_task().cancelling())

    task = asyncio.create_task(victim())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert counted == [1]


@on_two
async def test_ambient_state_is_undone(maker, async_database):
    """After a cancelled scope its task has no current scope, and its next one is stored."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await asyncio.sleep(30)
    with pytest.raises(NoScopeError):
        current_scope(maker)
    async with scoped_services(maker, Notes) as notes:
        await notes.add("b")
    assert stored(async_database) == ["b"]
