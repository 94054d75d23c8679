"""Rule 12: SQLite with `prepare_sqlite` has the transactions that other databases have."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import StaticPool

from sqla_safe import SqliteNotPreparedError, prepare_sqlite, scoped_services
from tests.integration.scopes.models import Author, Note, SyncNotes, create_tables, stored

WRITERS, TIMES = 8, 25
only_sqlite3 = pytest.mark.parametrize("sync_database", ["sqlite3"], indirect=True)
only_aiosqlite = pytest.mark.parametrize("async_database", ["aiosqlite"], indirect=True)

PRAGMAS = {"foreign_keys": 1, "journal_mode": "wal", "busy_timeout": 5000}


@pytest.fixture
def bare(sync_database, make_engine):
    """Give a sessionmaker on a file whose engine was not prepared."""
    create_tables(sync_database)
    return sessionmaker(make_engine(sync_database))


@pytest.fixture
def bare_async(async_database, make_async_engine):
    """Give an async sessionmaker on a file whose engine was not prepared."""
    create_tables(async_database)
    return async_sessionmaker(make_async_engine(async_database))


# -- sync --------------------------------------------------------------------------------------


@only_sqlite3
def test_a_savepoint_as_the_first_write_is_undone_with_its_transaction(sync_maker, sync_database):
    """Inner work that was released is gone after the outer rollback."""
    with pytest.raises(KeyError), scoped_services(sync_maker):
        with scoped_services(sync_maker, SyncNotes, propagation="nested") as notes:
            notes.add("a")
        raise KeyError
    assert stored(sync_database) == []


@only_sqlite3
def test_a_services_own_savepoint_is_undone_with_its_transaction(sync_maker, sync_database):
    """The same for `session.begin_nested()`."""
    with pytest.raises(KeyError), scoped_services(sync_maker, SyncNotes) as notes:
        with notes.session.begin_nested():
            notes.add("a")
        raise KeyError
    assert stored(sync_database) == []


@only_sqlite3
def test_ddl_is_undone(sync_maker, sync_database):
    """A table that was created in a failed block is not there."""
    with pytest.raises(KeyError), scoped_services(sync_maker, SyncNotes) as notes:
        notes.session.execute(text("CREATE TABLE extra (id INTEGER)"))
        notes.add("a")
        raise KeyError
    assert sync_database.probe.rows("SELECT name FROM sqlite_master WHERE name = 'extra'") == []
    assert stored(sync_database) == []


@only_sqlite3
def test_two_selects_agree(sync_maker, sync_database):
    """What another connection commits in between is not seen by a scope that reads."""
    count = text("SELECT count(*) FROM note")
    with scoped_services(sync_maker, read_only=True) as scope:
        assert scope.session.scalar(count) == 0
        sync_database.probe.execute("INSERT INTO note (text) VALUES ('from outside')")
        assert scope.session.scalar(count) == 0
    with scoped_services(sync_maker, read_only=True) as scope:
        assert scope.session.scalar(count) == 1


@only_sqlite3
def test_no_update_is_lost(sync_maker, sync_database):
    """Eight threads that read, add one and write lose nothing, and none meets a locked database."""
    sync_database.probe.execute("INSERT INTO author (id, name) VALUES (1, '0')")

    def work() -> None:
        for _ in range(TIMES):
            with scoped_services(sync_maker) as scope:
                author = scope.session.get(Author, 1)
                author.name = str(int(author.name) + 1)

    with ThreadPoolExecutor(WRITERS) as threads:
        for done in [threads.submit(work) for _ in range(WRITERS)]:
            done.result(30)
    assert sync_database.probe.scalar("SELECT name FROM author") == str(WRITERS * TIMES)


@only_sqlite3
@pytest.mark.parametrize("pragma", PRAGMAS)
def test_every_connection_is_prepared(sync_maker, sync_engine, pragma):
    """Foreign keys, write-ahead log and waiting are set on each connection of the pool."""
    with sync_engine.connect() as first, sync_engine.connect() as second:
        drivers = [connection.connection.driver_connection for connection in (first, second)]
        found = [driver.execute(f"PRAGMA {pragma}").fetchone() for driver in drivers]
    assert found == [(PRAGMAS[pragma],)] * 2


@only_sqlite3
def test_foreign_keys_are_checked(sync_maker, sync_database):
    """A note of an author who does not exist is refused."""
    with pytest.raises(IntegrityError), scoped_services(sync_maker) as scope:
        scope.session.execute(insert(Note).values(text="a", author_id=4711))
    assert stored(sync_database) == []


@only_sqlite3
def test_the_busy_timeout_can_be_chosen(sync_database, make_engine):
    """Seconds in, milliseconds in the database."""
    engine = prepare_sqlite(make_engine(sync_database), busy_timeout=0.25)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA busy_timeout")) == 250


@only_sqlite3
def test_it_gives_the_engine_back(sync_database, make_engine):
    """So that it can be written around create_engine."""
    engine = make_engine(sync_database)
    assert prepare_sqlite(engine) is engine


@only_sqlite3
def test_preparing_twice_changes_nothing(sync_database, make_engine):
    """The second call does not begin every transaction twice."""
    create_tables(sync_database)
    engine = prepare_sqlite(prepare_sqlite(make_engine(sync_database)))
    with scoped_services(sessionmaker(engine), SyncNotes) as notes:
        notes.add("a")
    assert stored(sync_database) == ["a"]


def test_an_in_memory_database_can_be_prepared():
    """On a StaticPool, as tests have it, savepoints are right too."""
    engine = prepare_sqlite(create_engine("sqlite://", poolclass=StaticPool))
    Note.metadata.create_all(engine)
    maker = sessionmaker(engine)
    with pytest.raises(KeyError), scoped_services(maker):
        with scoped_services(maker, SyncNotes, propagation="nested") as notes:
            notes.add("a")
        raise KeyError
    with scoped_services(maker) as scope:
        assert scope.session.scalars(select(Note)).all() == []
    engine.dispose()


@only_sqlite3
def test_copies_of_the_engine_are_prepared_as_well(sync_database, make_engine):
    """`engine.execution_options()` shares the pool, and so the preparation."""
    create_tables(sync_database)
    engine = prepare_sqlite(make_engine(sync_database)).execution_options(logging_token="copy")
    maker = sessionmaker(engine)
    with scoped_services(maker), scoped_services(maker, SyncNotes, propagation="nested") as notes:
        notes.add("a")
    assert stored(sync_database) == ["a"]


@only_sqlite3
def test_autocommit_begins_no_transaction(sync_maker, sync_engine, sync_database):
    """Each statement is stored at once, and VACUUM may run; the next transaction is one again."""
    alone = sync_engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        connection.execute(insert(Note).values(text="a"))
        connection.rollback()
        connection.execute(text("VACUUM"))
    with sync_engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(insert(Note).values(text="b"))
        connection.rollback()
    with pytest.raises(KeyError), scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("c")
        raise KeyError
    assert stored(sync_database) == ["a", "b"]


@only_sqlite3
@pytest.mark.parametrize("after_a_statement", [False, True], ids=["at-once", "after-a-statement"])
def test_a_nested_scope_without_it_is_refused(bare, sync_database, after_a_statement):
    """The error names the call to add; the outer scope is not harmed."""
    with scoped_services(bare, SyncNotes) as notes:
        if after_a_statement:
            notes.add("a")
        with (
            pytest.raises(SqliteNotPreparedError, match=r"prepare_sqlite\(engine\)"),
            scoped_services(bare, propagation="nested"),
        ):
            pytest.fail("the block was entered")
    assert stored(sync_database) == (["a"] if after_a_statement else [])
    assert bare.kw["bind"].pool.checkedout() == 0


@only_sqlite3
def test_other_scopes_work_without_it(bare, sync_database):
    """Only savepoints need it: plain and joined scopes commit and roll back."""
    with scoped_services(bare, SyncNotes) as notes, scoped_services(bare):
        notes.add("a")
    with pytest.raises(KeyError), scoped_services(bare, SyncNotes) as notes:
        notes.add("b")
        raise KeyError
    assert stored(sync_database) == ["a"]


@only_sqlite3
def test_one_engine_without_it_is_enough_to_be_refused(sync_database, make_engine, tmp_path):
    """Of several databases in one scope each must be prepared for savepoints."""
    create_tables(sync_database)
    prepared = prepare_sqlite(make_engine(sync_database))
    forgotten = create_engine(f"sqlite:///{tmp_path / 'forgotten.db'}")
    Note.metadata.create_all(forgotten)
    maker = sessionmaker(binds={Note: prepared, Author: forgotten})
    with (
        pytest.raises(SqliteNotPreparedError),
        scoped_services(maker),
        scoped_services(maker, propagation="nested") as scope,
    ):
        scope.session.execute(select(Author))
    forgotten.dispose()


# -- async -------------------------------------------------------------------------------------


@only_aiosqlite
async def test_a_savepoint_as_the_first_write_is_undone_async(maker, async_database):
    """Inner work that was released is gone after the outer rollback."""
    with pytest.raises(KeyError):
        async with scoped_services(maker):
            async with scoped_services(maker, propagation="nested") as scope:
                scope.session.add(Note(text="a"))
            raise KeyError
    assert stored(async_database) == []


@only_aiosqlite
async def test_ddl_is_undone_async(maker, async_database):
    """A table that was created in a failed block is not there."""
    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("CREATE TABLE extra (id INTEGER)"))
            raise KeyError
    assert async_database.probe.rows("SELECT name FROM sqlite_master WHERE name = 'extra'") == []


@only_aiosqlite
async def test_two_selects_agree_async(maker, async_database):
    """What another connection commits in between is not seen by a scope that reads."""
    count = text("SELECT count(*) FROM note")
    async with scoped_services(maker, read_only=True) as scope:
        assert await scope.session.scalar(count) == 0
        async_database.probe.execute("INSERT INTO note (text) VALUES ('from outside')")
        assert await scope.session.scalar(count) == 0


@only_aiosqlite
async def test_no_update_is_lost_async(maker, async_database):
    """Eight tasks that read, add one and write lose nothing, and none meets a locked database."""
    async_database.probe.execute("INSERT INTO author (id, name) VALUES (1, '0')")

    async def work() -> None:
        for _ in range(TIMES):
            async with scoped_services(maker) as scope:
                author = await scope.session.get(Author, 1)
                await scope.session.execute(
                    update(Author).values(name=str(int(author.name) + 1)),
                    execution_options={"synchronize_session": False},
                )

    await asyncio.gather(*(work() for _ in range(WRITERS)))
    assert async_database.probe.scalar("SELECT name FROM author") == str(WRITERS * TIMES)


@only_aiosqlite
@pytest.mark.parametrize("pragma", PRAGMAS)
async def test_an_async_engine_is_prepared(maker, async_engine, pragma):
    """The same settings through aiosqlite."""
    async with async_engine.connect() as connection:
        assert await connection.scalar(text(f"PRAGMA {pragma}")) == PRAGMAS[pragma]


@only_aiosqlite
async def test_autocommit_begins_no_transaction_async(maker, async_engine, async_database):
    """The same with the async driver."""
    alone = async_engine.execution_options(isolation_level="AUTOCOMMIT")
    async with alone.connect() as connection:
        await connection.execute(insert(Note).values(text="a"))
        await connection.rollback()
        await connection.execute(text("VACUUM"))
    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            await scope.session.execute(insert(Note).values(text="b"))
            raise KeyError
    assert stored(async_database) == ["a"]


@only_aiosqlite
async def test_a_nested_scope_without_it_is_refused_async(bare_async, async_database):
    """The error names the call to add; the outer scope is not harmed."""
    async with scoped_services(bare_async) as scope:
        scope.session.add(Note(text="a"))
        with pytest.raises(SqliteNotPreparedError, match=r"prepare_sqlite\(engine\)"):
            async with scoped_services(bare_async, propagation="nested"):
                pytest.fail("the block was entered")
    assert stored(async_database) == ["a"]


async def test_an_async_engine_is_given_back(tmp_path):
    """So that it can be written around create_async_engine."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    assert prepare_sqlite(engine) is engine
    await engine.dispose()
