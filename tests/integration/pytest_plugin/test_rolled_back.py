"""One transaction around a test: what is committed inside is seen there, and never stored."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import sessionmaker

from sqla_safe import (
    OuterTransactionError,
    ReadOnlyScopeError,
    RollbackOnlyError,
    ScopeOptionError,
    ScopeSourceError,
    configure,
    prepare_sqlite,
    scoped_services,
)
from sqla_safe.ext.pytest import rolled_back
from tests.conftest import MakeEngine
from tests.databases import Database
from tests.integration.scopes.models import Note, Notes, SyncNotes, stored

TEXTS = select(Note.text).order_by(Note.id)


def test_nothing_of_a_test_is_stored(sync_database, sync_engine, sync_sessions) -> None:
    """Joined, independent and plain transactions commit; afterwards the database is as before."""
    with rolled_back(sync_sessions) as test:
        with scoped_services(sync_sessions, SyncNotes) as notes:
            notes.add("a")
            with scoped_services(sync_sessions, SyncNotes) as joined:
                joined.add("b")
        with scoped_services(sync_sessions, SyncNotes, propagation="requires_new") as notes:
            notes.add("c")
        with sync_sessions.begin() as session:
            session.add(Note(text="d"))
        assert list(test.connection.scalars(TEXTS)) == ["a", "b", "c", "d"]
    assert stored(sync_database) == []
    assert sync_engine.pool.checkedout() == 0


async def test_nothing_of_an_async_test_is_stored(async_database, async_engine, sessions) -> None:
    """The same with an `async_sessionmaker`."""
    async with rolled_back(sessions) as test:
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("a")
            async with scoped_services(sessions, Notes) as joined:
                await joined.add("b")
        async with scoped_services(sessions, Notes, propagation="requires_new") as notes:
            await notes.add("c")
        async with sessions.begin() as session:
            session.add(Note(text="d"))
        assert list(await test.connection.scalars(TEXTS)) == ["a", "b", "c", "d"]
    assert stored(async_database) == []
    assert async_engine.pool.checkedout() == 0


def test_failures_undo_what_they_would_in_production(sync_database, sync_sessions) -> None:
    """A failed scope undoes itself, a failed nested one only itself, and the test goes on."""
    if sync_database.dialect == "sqlite":
        prepare_sqlite(sync_sessions.kw["bind"])
    with rolled_back(sync_sessions) as test:
        with scoped_services(sync_sessions, SyncNotes) as notes:
            notes.add("a")
            with (
                pytest.raises(KeyError),
                scoped_services(sync_sessions, SyncNotes, propagation="nested") as nested,
            ):
                nested.add("b")
                raise KeyError
        with pytest.raises(KeyError), scoped_services(sync_sessions, SyncNotes) as notes:
            notes.add("c")
            raise KeyError
        assert list(test.connection.scalars(TEXTS)) == ["a"]
    assert stored(sync_database) == []


async def test_failures_undo_what_they_would_in_production_in_async_scopes(
    async_database, sessions
) -> None:
    """The same with an `async_sessionmaker`."""
    if async_database.dialect == "sqlite":
        prepare_sqlite(sessions.kw["bind"])
    async with rolled_back(sessions) as test:
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("a")
            with pytest.raises(KeyError):
                async with scoped_services(sessions, Notes, propagation="nested") as nested:
                    await nested.add("b")
                    raise KeyError
        with pytest.raises(KeyError):
            async with scoped_services(sessions, Notes) as notes:
                await notes.add("c")
                raise KeyError
        assert list(await test.connection.scalars(TEXTS)) == ["a"]
    assert stored(async_database) == []


def test_sqlite_needs_no_preparation(sqlite_sessions) -> None:
    """A savepoint as the first write does not escape the rollback, prepared or not."""
    database, sessions = sqlite_sessions
    with rolled_back(sessions), scoped_services(sessions, SyncNotes) as notes:
        notes.add("a")
    assert stored(database) == []


def test_without_it_a_savepoint_escapes_on_sqlite(sync_database, sync_sessions) -> None:
    """The bug that `rolled_back` is for: SQLAlchemy's own recipe stores the note."""
    if sync_database.dialect != "sqlite":
        pytest.skip("the driver of SQLite begins transactions too late")
    with sync_sessions.kw["bind"].connect() as connection:
        transaction = connection.begin()
        maker = sessionmaker(connection, join_transaction_mode="create_savepoint")
        with maker.begin() as session:
            session.execute(text("INSERT INTO note (text) VALUES ('a')"))
        transaction.rollback()
    assert stored(sync_database) == ["a"]


def test_the_engine_is_left_as_it_was(sqlite_sessions) -> None:
    """After a test the sessionmaker stores again, in the driver's own transaction mode."""
    database, sessions = sqlite_sessions
    before = dict(sessions.kw)
    with rolled_back(sessions):
        pass
    assert sessions.kw == before
    with scoped_services(sessions, SyncNotes) as notes:
        notes.add("a")
    assert stored(database) == ["a"]


def test_an_independent_scope_inside_another_is_covered(sync_database, sync_sessions) -> None:
    """It needs no second connection, and its commit is seen."""
    with rolled_back(sync_sessions) as test:
        with scoped_services(sync_sessions, SyncNotes) as outer:
            outer.add("a")
            with scoped_services(sync_sessions, SyncNotes, propagation="requires_new") as inner:
                inner.add("b")
            outer.add("c")
        assert list(test.connection.scalars(TEXTS)) == ["a", "b", "c"]
    assert stored(sync_database) == []


def test_an_independent_scope_that_fails_leaves_the_one_around_it(sync_sessions) -> None:
    """Its savepoint alone is undone."""
    with rolled_back(sync_sessions) as test:
        with scoped_services(sync_sessions, SyncNotes) as outer:
            outer.add("a")
            with (
                pytest.raises(KeyError),
                scoped_services(sync_sessions, SyncNotes, propagation="requires_new") as inner,
            ):
                inner.add("b")
                raise KeyError
        assert list(test.connection.scalars(TEXTS)) == ["a"]


def test_independent_work_that_is_lost_here_only_fails_the_test(sync_sessions) -> None:
    """Production stores it, one connection cannot: the end of the test says so, with both lines."""
    with (
        pytest.raises(OuterTransactionError, match="in production it stays stored") as raised,
        rolled_back(sync_sessions),
        pytest.raises(KeyError),
        scoped_services(sync_sessions, SyncNotes) as outer,
    ):
        outer.add("a")
        with scoped_services(sync_sessions, SyncNotes, propagation="requires_new") as new:
            new.add("b")
        raise KeyError
    assert str(raised.value).count(f"{__name__.rpartition('.')[2]}.py:") == 2


def test_the_tests_own_error_wins_over_that(sync_sessions) -> None:
    """A test that fails anyway fails with its own error."""
    with (
        pytest.raises(ZeroDivisionError),
        rolled_back(sync_sessions),
        scoped_services(sync_sessions, SyncNotes) as outer,
    ):
        outer.add("a")
        with scoped_services(sync_sessions, SyncNotes, propagation="requires_new") as new:
            new.add("b")
        raise ZeroDivisionError


async def test_an_async_tests_own_error_wins_too(sessions) -> None:
    """The same with an `async_sessionmaker`."""
    with pytest.raises(ZeroDivisionError):
        async with rolled_back(sessions), scoped_services(sessions, Notes) as outer:
            await outer.add("a")
            async with scoped_services(sessions, Notes, propagation="requires_new") as new:
                await new.add("b")
            raise ZeroDivisionError


async def test_tasks_that_overlap_are_refused(sessions) -> None:
    """Two transactions at once on one connection would undo each other; one of them raises."""
    first, second = asyncio.Event(), asyncio.Event()

    async def begin_first() -> None:
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("a")
            first.set()
            await second.wait()

    async def begin_second() -> None:
        await first.wait()
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("b")
            second.set()
            await asyncio.sleep(0.05)

    async with rolled_back(sessions):
        ended = await asyncio.gather(begin_first(), begin_second(), return_exceptions=True)
    assert OuterTransactionError in map(type, ended)


async def test_tasks_that_overlap_and_fail_fail_with_their_own_errors(sessions) -> None:
    """Whichever is undone first takes the other along; nothing of either was to be stored."""
    first, second = asyncio.Event(), asyncio.Event()

    async def begin_first() -> None:
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("a")
            first.set()
            await second.wait()
            raise KeyError

    async def begin_second() -> None:
        await first.wait()
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("b")
            second.set()
            await asyncio.sleep(0.05)
            raise ZeroDivisionError

    async with rolled_back(sessions):
        ended = await asyncio.gather(begin_first(), begin_second(), return_exceptions=True)
    assert list(map(type, ended)) == [KeyError, ZeroDivisionError]


def test_two_sessionmakers_have_two_transactions(sync_database, sync_sessions, make_engine) -> None:
    """Each its own; sessions of a third one are left alone."""
    if sync_database.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    other, third = (sessionmaker(make_engine(sync_database)) for _ in range(2))
    with rolled_back(other):
        with rolled_back(sync_sessions) as test:
            with scoped_services(sync_sessions, SyncNotes) as notes:
                notes.add("a")
            with scoped_services(other, SyncNotes) as notes:
                notes.add("b")
            assert list(test.connection.scalars(TEXTS)) == ["a"]
        with scoped_services(third, SyncNotes) as notes:
            notes.add("c")
    assert stored(sync_database) == ["c"]


async def test_tasks_one_after_the_other_are_fine(sessions) -> None:
    """Each may have its own transaction, in its own task."""

    async def add(note: str) -> None:
        async with scoped_services(sessions, Notes) as notes:
            await notes.add(note)

    async with rolled_back(sessions) as test:
        await asyncio.create_task(add("a"))
        await asyncio.create_task(add("b"))
        assert list(await test.connection.scalars(TEXTS)) == ["a", "b"]


def test_other_threads_take_part(sync_database, sync_sessions) -> None:
    """As a test client's worker threads do."""

    def add() -> None:
        with scoped_services(sync_sessions, SyncNotes) as notes:
            notes.add("a")

    with rolled_back(sync_sessions) as test:
        thread = threading.Thread(target=add)
        thread.start()
        thread.join()
        assert list(test.connection.scalars(TEXTS)) == ["a"]
    assert stored(sync_database) == []


async def test_it_may_be_entered_and_left_in_different_tasks(async_database, sessions) -> None:
    """As fixtures are."""
    test = rolled_back(sessions)
    await asyncio.create_task(test.__aenter__())
    async with scoped_services(sessions, Notes) as notes:
        await notes.add("a")
    await asyncio.create_task(test.__aexit__(None, None, None))
    assert stored(async_database) == []


def test_read_only_and_isolation_can_be_asked_for(sync_sessions) -> None:
    """They work as far as they can inside a transaction: reading does, writing is refused."""
    with rolled_back(sync_sessions) as test:
        with scoped_services(sync_sessions, SyncNotes, isolation_level="SERIALIZABLE") as notes:
            notes.add("a")
        with scoped_services(sync_sessions, read_only=True) as scope:
            assert list(scope.session.scalars(TEXTS)) == ["a"]
        with (
            pytest.raises(ReadOnlyScopeError),
            scoped_services(sync_sessions, SyncNotes, read_only=True) as notes,
        ):
            notes.add("b")
        with scoped_services(sync_sessions, SyncNotes) as notes:
            notes.add("c")
        assert list(test.connection.scalars(TEXTS)) == ["a", "c"]


async def test_async_scopes_can_be_read_only(sessions) -> None:
    """The same with an `async_sessionmaker`."""
    async with rolled_back(sessions) as test:
        async with scoped_services(sessions, read_only=True) as scope:
            assert list(await scope.session.scalars(TEXTS)) == []
        with pytest.raises(ReadOnlyScopeError):
            async with scoped_services(sessions, Notes, read_only=True) as notes:
                await notes.add("b")
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("c")
        assert list(await test.connection.scalars(TEXTS)) == ["c"]


def test_the_replica_of_read_only_scopes_is_left_out(sync_sessions, make_engine, sync_database):
    """What a test has stored can be read in read-only scopes too."""
    replica = make_engine(sync_database)
    configure(sync_sessions, read_only_bind=replica)
    with rolled_back(sync_sessions):
        with scoped_services(sync_sessions, SyncNotes) as notes:
            notes.add("a")
        with scoped_services(sync_sessions, read_only=True) as scope:
            assert list(scope.session.scalars(TEXTS)) == ["a"]
    assert replica.pool.checkedout() == 0


def test_a_timeout_ends_with_its_scope(pg_sync, pg_sync_engine: Engine) -> None:
    """PostgreSQL's limit for statements does not stay on the connection of the test."""
    sessions = sessionmaker(pg_sync_engine)
    with rolled_back(sessions) as test:
        before = test.connection.scalar(text("SHOW statement_timeout"))
        with scoped_services(sessions, timeout=5) as scope:
            scope.session.execute(text("SELECT 1"))
        assert test.connection.scalar(text("SHOW statement_timeout")) == before


def test_a_swallowed_error_is_noticed_there_too(sync_sessions) -> None:
    """Success means stored, in tests as well."""
    with (
        rolled_back(sync_sessions),
        pytest.raises(RollbackOnlyError),
        scoped_services(sync_sessions) as scope,
    ):
        with pytest.raises(KeyError), scoped_services(sync_sessions, SyncNotes) as notes:
            notes.add("a")
            raise KeyError
        assert scope.is_active


def test_callbacks_run_when_a_scope_ends_well(sync_sessions) -> None:
    """As in production, and not when it is undone."""
    ran: list[str] = []
    with rolled_back(sync_sessions) as test:
        with scoped_services(sync_sessions) as scope:
            scope.on_commit(lambda: ran.append("stored"))
        with pytest.raises(KeyError), scoped_services(sync_sessions) as scope:
            scope.on_commit(lambda: ran.append("undone"))
            raise KeyError
    assert ran == ["stored"]
    assert test.callbacks == []


def test_callbacks_can_be_captured(sync_sessions) -> None:
    """They are kept, in order, and run when the test says so; rollbacks leave none."""
    ran: list[str] = []
    with rolled_back(sync_sessions, on_commit="capture") as test:
        with scoped_services(sync_sessions) as scope:
            scope.on_commit(lambda: ran.append("a"))
            scope.on_commit(lambda: ran.append("b"))
        with pytest.raises(KeyError), scoped_services(sync_sessions) as scope:
            scope.on_commit(lambda: ran.append("c"))
            raise KeyError
        assert (ran, len(test.callbacks)) == ([], 2)
        test.run_callbacks()
        assert (ran, test.callbacks) == (["a", "b"], [])


async def test_async_callbacks_can_be_captured(sessions) -> None:
    """Coroutine functions are awaited, plain ones are called."""
    ran: list[str] = []

    async def callback() -> None:
        ran.append("a")

    async with rolled_back(sessions, on_commit="capture") as test:
        assert test.callbacks == []
        async with scoped_services(sessions) as scope:
            scope.on_commit(callback)
            scope.on_commit(lambda: ran.append("b"))
        assert ran == []
        await test.run_callbacks()
    assert ran == ["a", "b"]


def test_capturing_ends_with_the_test(sync_sessions) -> None:
    """Afterwards callbacks run again."""
    ran: list[str] = []
    with rolled_back(sync_sessions, on_commit="capture"):
        pass
    with scoped_services(sync_sessions) as scope:
        scope.on_commit(lambda: ran.append("a"))
    assert ran == ["a"]


def test_a_broken_transaction_can_still_be_left(sync_engine: Engine, sync_sessions) -> None:
    """A connection that died in the test does not hide the test's own error."""
    with pytest.raises(ZeroDivisionError), rolled_back(sync_sessions) as test:
        test.connection.invalidate()
        raise ZeroDivisionError
    assert sync_engine.pool.checkedout() == 0


def test_a_connection_that_cannot_begin_goes_back(sync_engine: Engine, sync_sessions) -> None:
    """What fails at the beginning leaves nothing behind."""
    before = dict(sync_sessions.kw)

    def fail(_connection: object) -> None:
        raise ZeroDivisionError

    event.listen(sync_engine, "begin", fail)
    with pytest.raises(ZeroDivisionError), rolled_back(sync_sessions):
        pass
    assert (sync_engine.pool.checkedout(), sync_sessions.kw) == (0, before)


async def test_an_async_connection_that_cannot_begin_goes_back(
    async_engine: AsyncEngine, sessions
) -> None:
    """The same with an `async_sessionmaker`."""
    before = dict(sessions.kw)

    def fail(_connection: object) -> None:
        raise ZeroDivisionError

    event.listen(async_engine.sync_engine, "begin", fail)
    with pytest.raises(ZeroDivisionError):
        async with rolled_back(sessions):
            pass
    assert (async_engine.pool.checkedout(), sessions.kw) == (0, before)


def test_only_a_sessionmaker_with_an_engine_can_be_rolled_back(sync_engine: Engine) -> None:
    """Anything else is refused, and the text says what to write."""
    with pytest.raises(ScopeSourceError, match=r"sessionmaker\(engine\)"):
        rolled_back(sync_engine)
    with pytest.raises(ScopeSourceError, match="no engine"), rolled_back(sessionmaker()):
        pass
    with (
        sync_engine.connect() as connection,
        pytest.raises(ScopeSourceError, match="Connection"),
        rolled_back(sessionmaker(connection)),
    ):
        pass


async def test_only_an_async_sessionmaker_with_an_engine_can_be_rolled_back(sessions) -> None:
    """The same with an `async_sessionmaker`."""
    sessions.configure(bind=None)
    with pytest.raises(ScopeSourceError, match="no engine"):
        async with rolled_back(sessions):
            pass


def test_an_engine_that_stores_at_once_cannot_be_rolled_back(
    pg_sync: Database, make_engine: MakeEngine
) -> None:
    """What the test wrote would stay, so the block is not entered."""
    engine = make_engine(pg_sync, isolation_level="AUTOCOMMIT")
    with (
        pytest.raises(ScopeOptionError, match="AUTOCOMMIT"),
        rolled_back(sessionmaker(engine)),
    ):
        pytest.fail("entered")
    assert engine.pool.checkedout() == 0


def test_there_are_two_ways_to_treat_callbacks(sync_sessions) -> None:
    """Another word is refused."""
    with pytest.raises(ScopeOptionError, match="capture"):
        rolled_back(sync_sessions, on_commit="later")
