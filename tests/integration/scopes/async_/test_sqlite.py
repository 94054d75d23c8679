"""Rule 12: SQLite with `prepare_sqlite`, and what is refused without it."""

from __future__ import annotations

import asyncio
import gc
import threading
from itertools import count

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.testing.cancellation import await_points

from sqla_safe import (
    ScopeSourceError,
    SqliteNotPreparedError,
    is_retryable,
    prepare_sqlite,
    scoped_services,
)
from tests.integration.scopes.async_.support import handed_over, on_sqlite, slow_select, until
from tests.integration.scopes.models import Author, Note, Notes, create_tables, stored
from tests.patience import SLOW, ends_within


@pytest.fixture
async def unprepared(async_database, make_async_engine):
    """Give a sessionmaker on an engine in the driver's legacy mode."""
    create_tables(async_database)
    engine = make_async_engine(async_database)
    yield async_sessionmaker(engine)
    assert engine.pool.checkedout() == 0


@on_sqlite
@pytest.mark.parametrize("prelude", ["nothing before", "a statement before"])
async def test_nested_without_preparation_is_refused(unprepared, async_database, prelude):
    """A nested scope on an engine in legacy mode raises and names the call to add."""
    with pytest.raises(SqliteNotPreparedError, match="prepare_sqlite"):
        async with scoped_services(unprepared) as outer:
            if prelude == "a statement before":
                await outer.session.execute(select(Note))
            async with scoped_services(unprepared, Notes, propagation="nested") as notes:
                await notes.add("a")
    assert stored(async_database) == []


@on_sqlite
async def test_plain_scopes_need_no_preparation(unprepared, async_database):
    """Without a savepoint, a scope on an unprepared engine stores and rolls back."""
    async with scoped_services(unprepared, Notes) as notes:
        await notes.add("a")
    with pytest.raises(KeyError):
        async with scoped_services(unprepared, Notes) as notes:
            await notes.add("b")
            raise KeyError
    assert stored(async_database) == ["a"]


@on_sqlite
async def test_savepoint_dies_with_its_transaction(maker, async_database):
    """A savepoint that was the first write of a transaction does not outlive its rollback."""
    with pytest.raises(KeyError):
        async with scoped_services(maker):
            async with scoped_services(maker, Notes, propagation="nested") as notes:
                await notes.add("a")
            raise KeyError
    assert stored(async_database) == []


@on_sqlite
async def test_ddl_is_part_of_the_transaction(maker, async_database):
    """A table that was created in a scope that failed is not there."""
    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("CREATE TABLE late (id INTEGER)"))
            raise KeyError
    tables = async_database.probe.rows("SELECT name FROM sqlite_master WHERE name = 'late'")
    assert tables == []


@on_sqlite
async def test_settings(maker):
    """Write-ahead logging, a busy timeout of five seconds and foreign keys are on."""
    async with scoped_services(maker) as scope:
        values = [
            await scope.session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "busy_timeout", "foreign_keys")
        ]
    assert values == ["wal", 5000, 1]


@on_sqlite
async def test_foreign_keys_are_checked(maker, async_database):
    """A note of an author that does not exist is refused."""
    with pytest.raises(IntegrityError):
        async with scoped_services(maker) as scope:
            scope.session.add(Note(text="a", author_id=4711))
    assert stored(async_database) == []


@on_sqlite
async def test_busy_timeout_can_be_set(async_database, make_async_engine):
    """prepare_sqlite(engine, busy_timeout=...) sets the seconds that a writer waits."""
    engine = prepare_sqlite(make_async_engine(async_database), busy_timeout=0.25)
    async with scoped_services(async_sessionmaker(engine)) as scope:
        assert await scope.session.scalar(text("PRAGMA busy_timeout")) == 250


@on_sqlite
async def test_preparing_twice_changes_nothing(maker, async_engine, async_database):
    """An engine that is prepared twice works as before."""
    assert prepare_sqlite(async_engine) is async_engine
    async with (
        scoped_services(maker),
        scoped_services(maker, Notes, propagation="nested") as notes,
    ):
        await notes.add("a")
    assert stored(async_database) == ["a"]


@on_sqlite
async def test_writers_wait_for_each_other(maker, async_database):
    """Scopes that read, think and write at the same time lose no update."""
    async with scoped_services(maker) as scope:
        scope.session.add(Author(id=1, name="0"))

    async def increment() -> None:
        async with scoped_services(maker) as scope:
            author = await scope.session.get(Author, 1)
            await asyncio.sleep(0.002)
            author.name = str(int(author.name) + 1)

    await asyncio.gather(*(increment() for _ in range(20)))
    assert async_database.probe.scalar("SELECT name FROM author") == "20"


@on_sqlite
async def test_writer_takes_the_lock_at_its_first_statement(maker, async_database):
    """A scope that may write has the write lock from its first statement on, a reader has not."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(select(Note))
        assert async_database.probe.idle_in_transaction() == 1
    async with scoped_services(maker, read_only=True) as scope:
        await scope.session.execute(select(Note))
        assert async_database.probe.idle_in_transaction() == 0


@on_sqlite
async def test_lock_that_cannot_be_had_raises(async_database, maker, make_async_engine):
    """A writer that waited in vain gets the database's error, which can be retried."""
    engine = prepare_sqlite(make_async_engine(async_database), busy_timeout=0.02)
    hasty = async_sessionmaker(engine)
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(DBAPIError) as caught:
            async with scoped_services(hasty, Notes) as late:
                await late.add("b")
        assert is_retryable(caught.value)
        assert engine.pool.checkedout() == 0
    assert stored(async_database) == ["a"]


async def test_other_engines_are_refused():
    """prepare_sqlite says that an engine for another database is none of its business."""
    engine = create_async_engine("postgresql+asyncpg://nobody@localhost/nothing")
    with pytest.raises(ScopeSourceError, match="prepare_sqlite"):
        prepare_sqlite(engine)


async def test_sessionmaker_is_refused():
    """prepare_sqlite wants the engine, not the sessionmaker."""
    with pytest.raises(ScopeSourceError):
        prepare_sqlite(async_sessionmaker())


@on_sqlite
async def test_select_cancelled_while_it_has_rows(maker, async_database):
    """A SELECT that is cancelled with a row at hand frees the locks, garbage collected or not."""

    async def read() -> None:
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("SELECT 1"))

    gc.disable()
    try:
        for moment in count(1):
            with await_points((moment,)) as points:
                await asyncio.wait([points.create_task(read())])
            await until(lambda: async_database.probe.idle_in_transaction() == 0, 1)
            if not points.cancelled_at:
                break
    finally:
        gc.enable()


@on_sqlite
async def test_statement_cancelled_before_its_turn(maker, async_engine, async_database):
    """A statement is cut off although aiosqlite's thread had not begun it when it was cancelled."""
    slow = slow_select(async_database, SLOW)
    begun, go_on = handed_over(async_engine, slow), threading.Event()

    async def work() -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            connection = await (await notes.session.connection()).get_raw_connection()
            driver = connection.driver_connection
            await driver.create_function("wait", 0, go_on.wait)
            busy.append(asyncio.create_task(driver.execute_fetchall("SELECT wait()")))
            await notes.session.execute(slow)

    busy: list[asyncio.Task] = []
    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with ends_within(1):
        await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.gather(*busy, return_exceptions=True)
    assert stored(async_database) == []
