"""Nothing is stored twice, and a scope leaves nothing behind for the next one: corner cases."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import QueuePool

from sqla_safe import (
    CommitCallbackError,
    PoolExhaustedError,
    RollbackOnlyError,
    ScopeOptionError,
    SqliteNotPreparedError,
    prepare_sqlite,
    scoped_services,
    transactional,
)
from tests.integration.scopes.async_.support import until
from tests.integration.scopes.models import Base, Note

INSERT = text("INSERT INTO row VALUES (:number)")


class SerializationFailureError(Exception):
    """What a driver raises for SQLSTATE 40001."""

    sqlstate = "40001"


@pytest.fixture
def engine(tmp_path):
    """A pool of two connections to one SQLite file."""
    made = create_engine(
        f"sqlite:///{tmp_path / 'a.db'}",
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=0,
        pool_timeout=5,
    )
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE row (number integer)"))
    yield made
    made.dispose()


@pytest.fixture
def maker(engine):
    """A sessionmaker on it."""
    return sessionmaker(engine)


def rows(engine) -> list[int]:
    """Read what is stored."""
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT number FROM row ORDER BY number")))


def test_a_failing_callback_does_not_repeat_what_is_stored(maker, engine):
    """An on_commit callback's error is never a reason to run the function again."""

    def fail() -> None:
        raise SerializationFailureError

    @transactional(maker, attempts=3)
    def work(scope) -> None:
        scope.session.execute(INSERT, {"number": 1})
        scope.on_commit(fail)

    with pytest.raises(CommitCallbackError):
        work()
    assert rows(engine) == [1]


def test_what_scope_commit_has_stored_is_not_repeated(maker, engine):
    """After scope.commit() a retryable error leaves without another attempt."""

    @transactional(maker, attempts=3)
    def work(scope) -> None:
        scope.session.execute(INSERT, {"number": 1})
        scope.commit()
        raise SerializationFailureError

    with pytest.raises(SerializationFailureError):
        work()
    assert rows(engine) == [1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_listeners_error_after_commit_does_not_change_the_outcome(maker, engine, error):
    """When an after_commit listener raises, its error leaves and the outcome is committed."""
    ran = []

    @event.listens_for(maker, "after_commit")
    def fail(_session) -> None:
        raise error

    with pytest.raises(error), scoped_services(maker) as scope:
        scope.on_rollback(lambda: ran.append("rollback"))
        scope.session.execute(INSERT, {"number": 1})
    assert scope.outcome == "committed"
    assert ran == []
    assert rows(engine) == [1]


def test_a_listeners_error_before_commit_is_no_commit(maker, engine):
    """When a listener of the engine raises before COMMIT is sent, nothing counts as stored."""

    @event.listens_for(engine, "commit")
    def fail(_connection) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError), scoped_services(maker) as scope:
        scope.session.execute(INSERT, {"number": 1})
    event.remove(engine, "commit", fail)
    assert scope.outcome == "rolled_back"
    assert rows(engine) == []


def test_an_error_of_the_last_flush_is_no_commit(tmp_path):
    """A listener that raises when the scope's end flushes: its error is raised, nothing unknown."""
    made = create_engine(f"sqlite:///{tmp_path / 'b.db'}")
    Base.metadata.create_all(made)
    maker = sessionmaker(made)

    @event.listens_for(Note, "before_insert")
    def refuse(*_: object) -> None:
        raise KeyError

    try:
        with pytest.raises(KeyError), scoped_services(maker) as scope:
            scope.session.scalars(select(Note)).all()
            scope.session.add(Note(text="a"))
    finally:
        event.remove(Note, "before_insert", refuse)
    assert scope.outcome == "rolled_back"
    made.dispose()


def test_what_a_tests_transaction_holds_stays_in_it(engine, maker):
    """A scope within it whose COMMIT a listener keeps back does not end it on SQLite."""
    prepare_sqlite(engine)
    with engine.connect() as connection, connection.begin() as outer:
        inner = sessionmaker(connection, join_transaction_mode="create_savepoint")

        @event.listens_for(inner, "before_commit", once=True)
        def refuse(_: object) -> None:
            raise KeyError

        with pytest.raises(KeyError), scoped_services(inner) as scope:
            scope.session.execute(INSERT, {"number": 1})
        with scoped_services(inner) as scope:
            scope.session.execute(INSERT, {"number": 2})
        outer.rollback()
    assert rows(engine) == []


def test_a_recursive_call_cannot_commit_for_its_caller(maker, engine):
    """scope.commit() is refused in a joined scope that was opened at the very same line."""

    @transactional(maker)
    def work(scope, depth: int) -> None:
        scope.session.execute(INSERT, {"number": depth})
        if depth == 0:
            scope.commit()
        work(depth - 1)

    with pytest.raises(ScopeOptionError):
        work(1)
    assert rows(engine) == []


@pytest.mark.parametrize("end", ["rollback", "commit"])
def test_no_connection_goes_back_as_a_reader(maker, engine, end):
    """However a read-only transaction ends, the next user of the connection can write."""
    with (
        contextlib.suppress(RollbackOnlyError),
        scoped_services(maker, read_only=True) as scope,
    ):
        scope.session.execute(text("SELECT 1"))
        getattr(scope.session.get_transaction(), end)()
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA query_only")) == 0


def test_a_join_that_fails_leaves_the_outer_scope_writable(maker, engine):
    """A read-only nested block that cannot begin takes no right away from the outer one."""
    with scoped_services(maker) as scope:
        scope.session.execute(INSERT, {"number": 1})
        with (
            pytest.raises(SqliteNotPreparedError),
            scoped_services(maker, propagation="nested", read_only=True),
        ):
            pytest.fail("the block was entered")
        scope.session.execute(INSERT, {"number": 2})
    assert rows(engine) == [1, 2]


def test_a_callbacks_own_scope_is_its_own(maker, engine):
    """What an on_commit callback of scope.commit() stores does not depend on what comes after."""

    def store() -> None:
        with scoped_services(maker) as own:
            own.session.execute(INSERT, {"number": 77})

    with pytest.raises(KeyError), scoped_services(maker) as scope:
        scope.on_commit(store)
        scope.commit()
        raise KeyError
    assert rows(engine) == [77]


def test_a_pools_time_out_is_not_remembered(maker, engine):
    """After an independent scope has waited in vain, the next one is not refused for it."""
    with scoped_services(maker) as outer:
        outer.session.connection()
        with (
            engine.connect(),
            scoped_services(maker, propagation="requires_new") as inner,
            pytest.raises(Exception, match="QueuePool limit"),
        ):
            inner.session.connection()
        with scoped_services(maker, propagation="requires_new") as again:
            assert again.session.scalar(text("SELECT 1")) == 1


def test_a_connection_taken_later_counts_too(tmp_path):
    """An independent scope is refused at once also for what its task took after it was opened."""
    engine = create_engine(
        f"sqlite:///{tmp_path / 'b.db'}", poolclass=QueuePool, pool_size=1, max_overflow=0
    )
    maker = sessionmaker(engine)
    with (
        scoped_services(maker) as outer,
        scoped_services(maker, propagation="requires_new") as inner,
    ):
        outer.session.execute(text("SELECT 1"))
        with pytest.raises(PoolExhaustedError):
            inner.session.execute(text("SELECT 1"))
    engine.dispose()


async def test_a_cancellation_during_the_drain_ends_the_scope(tmp_path):
    """A scope that is cancelled while it waits for another task's statement is rolled back."""
    engine = prepare_sqlite(create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'c.db'}"))
    maker = async_sessionmaker(engine)
    slow = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) "
        "SELECT count(*) FROM n"
    )
    scopes = []

    async def work() -> asyncio.Task:
        async with scoped_services(maker) as scope:
            scopes.append(scope)
            await scope.session.execute(text("CREATE TABLE row (number integer)"))
            child = asyncio.create_task(scope.session.execute(slow))
            scopes.append(child)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(work())
    await until(lambda: len(scopes) == 2 and not scopes[0].is_active)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scope, child = scopes
    with pytest.raises(OperationalError):  # interrupted
        await child
    assert scope.outcome == "rolled_back"
    assert engine.pool.checkedout() == 0
    await engine.dispose()
    # The driver's thread has still to tell this loop that it has ended.
    await until(lambda: not any("connection_worker" in t.name for t in threading.enumerate()))
