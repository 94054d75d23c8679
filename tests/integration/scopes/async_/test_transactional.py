"""`transactional`: a function that is a scope, run again when the database says so."""

from __future__ import annotations

import asyncio
import contextlib
import inspect

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import (
    AsyncScope,
    NoScopeError,
    RollbackOnlyError,
    ScopeOptionError,
    ScopeSourceError,
    ServiceBuildError,
    current_scope,
    inject,
    is_retryable,
    prepare_sqlite,
    scoped_services,
    transactional,
)
from tests.integration.scopes.async_.support import (
    kill_connection,
    on_mysql,
    on_postgres,
    on_servers,
    on_sqlite,
    on_two,
)
from tests.integration.scopes.models import Author, Authors, Note, Notes, stored


@pytest.fixture
async def two_authors(maker):
    """Store two authors, whose names are counters."""
    async with scoped_services(maker) as scope:
        scope.session.add_all([Author(id=1, name="0"), Author(id=2, name="0")])


def counters(database) -> list[int]:
    """Read the names of the authors."""
    rows = database.probe.rows("SELECT name FROM author ORDER BY id")
    return [int(name) for (name,) in rows]


async def increment(session, author_id: int) -> None:
    """Read a counter and write it, increased by one."""
    statement = select(Author.name).where(Author.id == author_id)
    value = int(await session.scalar(statement))
    await session.execute(update(Author).where(Author.id == author_id).values(name=str(value + 1)))


# --- what it is -------------------------------------------------------------------------------


async def test_services_come_first(maker, async_database):
    """The function gets its services before the caller's arguments, and is stored at its end."""

    @transactional(maker, Notes, Authors)
    async def work(notes: Notes, authors: Authors, name: str, *, times: int = 1) -> int:
        assert notes.session is authors.session
        for number in range(times):
            await notes.add(f"{name} {number}")
        return times

    assert await work("a", times=2) == 2
    assert stored(async_database) == ["a 0", "a 1"]


@on_two
async def test_error_rolls_back_and_leaves_unchanged(maker, async_database):
    """An error of the function rolls back and leaves the call unchanged."""
    own = KeyError("own")

    @transactional(maker, Notes, attempts=3)
    async def work(notes: Notes) -> None:
        await notes.add("a")
        raise own

    with pytest.raises(KeyError) as caught:
        await work()
    assert caught.value is own
    assert stored(async_database) == []


@on_sqlite
async def test_without_services(maker, async_database):
    """Without services the function gets the scope if it asks for it, and else nothing of it."""

    @transactional(maker)
    async def with_scope(scope: AsyncScope, name: str) -> None:
        await scope.get(Notes).add(name)

    @transactional(maker)
    async def without(name: str) -> None:
        await current_scope(maker).get(Notes).add(name)

    await with_scope("a")
    await without("b")
    assert stored(async_database) == ["a", "b"]


@on_sqlite
async def test_it_looks_like_the_function(maker):
    """Name, docstring and signature are the function's own, without the services."""

    @transactional(maker, Notes)
    async def work(notes: Notes, name: str, *, times: int = 1) -> int:
        """Do it."""
        return times

    assert (work.__name__, work.__doc__) == ("work", "Do it.")
    assert list(inspect.signature(work).parameters) == ["name", "times"]
    assert inspect.iscoroutinefunction(work)


@on_sqlite
async def test_methods_can_be_decorated(maker, async_database):
    """A function takes an inject and other callables as services, too."""

    @transactional(maker, inject(Notes), lambda session: session)
    async def work(notes: Notes, session) -> None:
        assert notes.session is session
        await notes.add("a")

    await work()
    assert stored(async_database) == ["a"]


@on_two
async def test_each_call_is_a_scope_of_its_own(maker, async_database):
    """Two calls have two transactions."""

    @transactional(maker, Notes)
    async def add(notes: Notes, name: str) -> object:
        await notes.add(name)
        return notes

    first = await add("a")
    with pytest.raises(IntegrityError):
        await add("a")
    assert await add("b") is not first
    assert stored(async_database) == ["a", "b"]


@on_two
async def test_inside_a_scope_it_joins(maker, async_database):
    """Called inside a scope, the function joins it: nothing is stored before the outer end."""

    @transactional(maker, Notes)
    async def add(notes: Notes, name: str) -> None:
        await notes.add(name)

    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        await add("b")
        assert stored(async_database) == []
    assert stored(async_database) == ["a", "b"]


@on_sqlite
async def test_options_are_those_of_a_scope(maker):
    """Propagation and the other options work as for scoped_services."""

    @transactional(maker, propagation="mandatory")
    async def inner() -> None:
        pytest.fail("called")

    with pytest.raises(NoScopeError):
        await inner()

    @transactional(maker, read_only=True)
    async def reads(scope) -> int:
        return await scope.session.scalar(text("PRAGMA query_only"))

    assert await reads() == 1


WRONG = {
    "no sessionmaker": (lambda maker: transactional("maker"), ScopeSourceError),
    "no attempts": (lambda maker: transactional(maker, attempts=0), ScopeOptionError),
    "attempts of another kind": (
        lambda maker: transactional(maker, attempts="3"),
        ScopeOptionError,
    ),
    "unknown propagation": (
        lambda maker: transactional(maker, propagation="supports"),
        ScopeOptionError,
    ),
    "a plain function": (lambda maker: transactional(maker)(lambda: None), ScopeOptionError),
}


@pytest.mark.parametrize("case", WRONG)
@on_sqlite
async def test_what_cannot_be_is_refused_when_decorating(maker, case):
    """A mistake in the decorator is an error where it is written, not at the first call."""
    decorate, error = WRONG[case]
    with pytest.raises(error):
        decorate(maker)


@on_sqlite
async def test_service_that_cannot_be_built_is_not_retried(maker):
    """A service that needs more than a session raises at the call, once."""
    built = []

    def service(session, bot):
        built.append(bot)

    @transactional(maker, service, attempts=3)
    async def work(_service) -> None:
        pytest.fail("called")

    with pytest.raises(ServiceBuildError):
        await work()
    assert built == []


# --- what is run again ------------------------------------------------------------------------


@on_postgres
async def test_serialization_failure_is_retried(maker, async_engine, async_database, two_authors):
    """SQLSTATE 40001 runs the function again, on a fresh session with fresh services."""
    calls = []

    @transactional(maker, Notes, attempts=3, isolation_level="SERIALIZABLE")
    async def work(notes: Notes) -> str:
        calls.append(notes)
        await notes.add(f"call {len(calls)}")
        await notes.session.scalar(select(Author.name).where(Author.id == 1))
        if len(calls) == 1:
            async_database.probe.execute("UPDATE author SET name = '5' WHERE id = 1")
        await increment(notes.session, 1)
        return f"call {len(calls)}"

    assert await work() == "call 2"
    assert calls[0] is not calls[1]
    assert calls[0].session is not calls[1].session
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["call 2"]
    assert counters(async_database) == [6, 0]


@on_postgres
async def test_serialization_failure_at_commit_is_retried(maker, async_database, two_authors):
    """SQLSTATE 40001 that comes out at COMMIT is retried, too: no write skew gets through."""
    both = asyncio.Barrier(2)
    calls = []

    @transactional(maker, attempts=8, isolation_level="SERIALIZABLE")
    async def work(scope, reads: int, writes: int) -> None:
        calls.append(writes)
        value = int(await scope.session.scalar(select(Author.name).where(Author.id == reads)))
        await scope.session.execute(
            update(Author).where(Author.id == writes).values(name=str(value + 1))
        )
        if calls.count(writes) == 1:
            await both.wait()

    await asyncio.gather(work(1, 2), work(2, 1))
    assert len(calls) > 2
    assert sorted(counters(async_database)) == [1, 2]


@on_postgres
async def test_no_update_is_lost_under_load(maker, async_engine, async_database, two_authors):
    """Many tasks that increase one counter under SERIALIZABLE lose nothing."""

    @transactional(maker, attempts=50, isolation_level="SERIALIZABLE")
    async def work(scope) -> None:
        await increment(scope.session, 1)

    await asyncio.gather(*(work() for _ in range(12)))
    assert async_engine.pool.checkedout() == 0
    assert counters(async_database) == [12, 0]


@on_servers
async def test_deadlock_is_retried(maker, async_engine, async_database, two_authors):
    """Two functions that lock two rows in opposite order both come to their end."""
    both = asyncio.Barrier(2)
    calls = []

    @transactional(maker, attempts=8)
    async def work(scope, first: int, second: int) -> None:
        calls.append(first)
        lock = select(Author).order_by(Author.id).with_for_update()
        await scope.session.execute(lock.where(Author.id == first))
        if calls.count(first) == 1:
            await both.wait()
        await scope.session.execute(lock.where(Author.id == second))
        for author_id in (1, 2):
            await increment(scope.session, author_id)

    await asyncio.gather(work(1, 2), work(2, 1))
    assert len(calls) == 3
    assert async_engine.pool.checkedout() == 0
    assert counters(async_database) == [2, 2]


@on_sqlite
async def test_busy_is_retried(async_database, maker, make_async_engine):
    """A lock that another connection holds longer than busy_timeout is asked for again."""
    engine = prepare_sqlite(make_async_engine(async_database), busy_timeout=0.01)
    hasty = async_sessionmaker(engine)
    connection = async_database.probe.connect()
    connection.execute("BEGIN IMMEDIATE")
    calls = []

    @transactional(hasty, Notes, attempts=10)
    async def work(notes: Notes) -> None:
        calls.append(notes)
        if len(calls) == 3:
            connection.execute("ROLLBACK")
            connection.close()
        await notes.add("a")

    await work()
    assert len(calls) == 3
    assert engine.pool.checkedout() == 0
    assert stored(async_database) == ["a"]


@on_mysql
async def test_lock_wait_timeout_is_retried(maker, async_engine, async_database, two_authors):
    """MySQL's 1205, a lock that could not be had in time, is retried."""
    blocker = async_database.probe.connect()
    blocker.begin()
    blocker.cursor().execute("UPDATE author SET name = '7' WHERE id = 1")
    calls = []

    @transactional(maker, attempts=3)
    async def work(scope) -> None:
        calls.append(scope)
        if len(calls) == 2:
            blocker.rollback()
            blocker.close()
        await scope.session.execute(text("SET innodb_lock_wait_timeout = 1"))
        await increment(scope.session, 1)

    await work()
    assert len(calls) == 2
    assert counters(async_database) == [1, 0]


@on_servers
@pytest.mark.parametrize("where", ["in a statement", "at the end"])
async def test_lost_connection_is_retried(maker, async_engine, async_database, where):
    """A connection that was lost before COMMIT is retried, and nothing is stored twice."""
    calls = []

    @transactional(maker, Notes, attempts=3)
    async def work(notes: Notes) -> None:
        calls.append(notes)
        await notes.add(f"call {len(calls)}")
        if len(calls) == 1:
            await kill_connection(notes.session, async_database)
        if where == "in a statement":
            await notes.session.execute(select(Note))
        else:
            notes.session.add(Note(text="pending"))

    await work()
    assert len(calls) == 2
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database)[0] == "call 2"


@on_servers
async def test_swallowed_conflict_is_retried(maker, async_engine, async_database, two_authors):
    """A deadlock that the function itself swallowed is retried: its transaction is gone."""
    both = asyncio.Barrier(2)
    calls = []

    @transactional(maker, Notes, attempts=8)
    async def work(notes: Notes, first: int, second: int) -> None:
        calls.append(first)
        name = f"{first}: {calls.count(first)}"
        await notes.add(name)
        lock = select(Author).with_for_update()
        await notes.session.execute(lock.where(Author.id == first))
        if calls.count(first) == 1:
            await both.wait()
        with contextlib.suppress(DBAPIError):
            await notes.session.execute(lock.where(Author.id == second))

    await asyncio.gather(work(1, 2), work(2, 1))
    assert len(calls) == 3
    assert async_engine.pool.checkedout() == 0
    assert len(stored(async_database)) == 2


# --- what is not ------------------------------------------------------------------------------


def conflict() -> DBAPIError:
    """Return an error that may be retried, as SQLAlchemy raises it."""

    class DeadlockError(Exception):
        sqlstate = "40P01"

    return DBAPIError("SELECT", {}, DeadlockError())


@on_sqlite
async def test_never_inside_a_joined_scope(maker):
    """Inside an open scope the function is run once, and its error leaves it."""
    calls = []

    @transactional(maker, attempts=5)
    async def work() -> None:
        calls.append(1)
        raise conflict()

    for options in ({}, {"timeout": 5}):
        with pytest.raises(DBAPIError):
            async with scoped_services(maker, **options):
                await work()
    assert len(calls) == 2


@on_postgres
async def test_real_conflict_inside_a_joined_scope_dooms_it(maker, async_database, two_authors):
    """A conflict in a joined function that is swallowed leaves nothing half-written."""
    calls = []

    @transactional(maker, attempts=5, isolation_level="SERIALIZABLE")
    async def work(scope) -> None:
        calls.append(scope)
        async_database.probe.execute("UPDATE author SET name = '5' WHERE id = 1")
        await increment(scope.session, 1)

    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker, Notes, isolation_level="SERIALIZABLE") as notes:
            await notes.add("a")
            await notes.session.execute(select(Author))
            with pytest.raises(DBAPIError):
                await work()
    assert len(calls) == 1
    assert is_retryable(caught.value)
    assert stored(async_database) == []


@on_sqlite
async def test_independent_function_inside_a_scope_is_retried(maker, async_database):
    """With requires_new the function is its own outermost scope, and is run again."""
    calls = []

    @transactional(maker, Notes, attempts=5, propagation="requires_new")
    async def work(notes: Notes) -> None:
        calls.append(notes)
        await notes.add(f"call {len(calls)}")
        if len(calls) < 3:
            raise conflict()

    async with scoped_services(maker):
        await work()
    assert stored(async_database) == ["call 3"]


@pytest.mark.parametrize("propagation", ["nested", "mandatory"])
@on_sqlite
async def test_never_in_a_savepoint(maker, propagation):
    """A function that sets a savepoint in an open scope is not run again there."""
    calls = []

    @transactional(maker, attempts=5, propagation=propagation)
    async def work() -> None:
        calls.append(1)
        raise conflict()

    with pytest.raises(DBAPIError):
        async with scoped_services(maker):
            await work()
    assert len(calls) == 1


@on_sqlite
async def test_attempts_are_counted(maker):
    """After the last attempt its error leaves the call, with a note that counts the attempts."""
    errors = []

    @transactional(maker, attempts=3)
    async def work() -> None:
        errors.append(conflict())
        raise errors[-1]

    with pytest.raises(DBAPIError) as caught:
        await work()
    assert len(errors) == 3
    assert caught.value is errors[-1]
    assert any("attempt 3" in note for note in caught.value.__notes__)


@on_sqlite
async def test_one_attempt_is_the_default(maker):
    """Without attempts the function is run once."""
    calls = []

    @transactional(maker)
    async def work() -> None:
        calls.append(1)
        raise conflict()

    with pytest.raises(DBAPIError):
        await work()
    assert len(calls) == 1


@on_two
async def test_other_errors_are_not_retried(maker, async_database):
    """An error that would come again, such as a broken constraint, is not retried."""
    calls = []

    @transactional(maker, attempts=5)
    async def work(scope) -> None:
        calls.append(scope)
        await scope.session.execute(insert(Note).values(text="a"))
        await scope.session.execute(insert(Note).values(text="a"))

    with pytest.raises(IntegrityError) as caught:
        await work()
    assert len(calls) == 1
    assert not is_retryable(caught.value)
    assert stored(async_database) == []


@on_two
async def test_cancellation_is_not_retried(maker, async_engine, async_database):
    """A cancelled function is not run again, nor one that is cancelled between two attempts."""
    calls = []

    @transactional(maker, Notes, attempts=1000)
    async def work(notes: Notes) -> None:
        calls.append(notes)
        await notes.add("a")
        raise conflict()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.15)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    assert 0 < len(calls) < 1000
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_callbacks_of_a_failed_attempt_are_dropped(maker):
    """on_commit of an attempt that failed never runs, and its on_rollback does."""
    ran = []

    @transactional(maker, attempts=3)
    async def work(scope) -> None:
        number = len(ran) + 1
        scope.on_commit(lambda: ran.append(f"commit {number}"))
        scope.on_rollback(lambda: ran.append(f"rollback {number}"))
        await scope.session.execute(delete(Note))
        if number == 1:
            raise conflict()

    await work()
    assert ran == ["rollback 1", "commit 2"]


@on_two
async def test_no_scope_is_left_between_attempts(maker):
    """Between two attempts, and after the last, the task has no current scope."""
    calls = []

    @transactional(maker, attempts=3)
    async def work(scope) -> None:
        calls.append(scope)
        assert scope._around is None
        if len(calls) == 1:
            raise conflict()

    await work()
    with pytest.raises(NoScopeError):
        current_scope(maker)
