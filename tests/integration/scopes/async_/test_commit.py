"""Rule 1: a block that ends normally has committed, or raises."""

from __future__ import annotations

import contextlib

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, PendingRollbackError

from sqla_safe import RollbackOnlyError, configure, scoped_services
from tests.integration.scopes.async_.support import (
    kill_connection,
    on_postgres,
    on_servers,
    on_two,
    only_on,
)
from tests.integration.scopes.models import Authors, Comment, Note, Notes, stored
from tests.integration.scopes.watching import here


async def test_success_means_stored(maker, async_database):
    """What was flushed in a block that ends normally is stored."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
    assert stored(async_database) == ["a"]


async def test_nothing_is_stored_before_the_end(maker, async_database):
    """Nobody sees the work before the block has ended."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        assert stored(async_database) == []


@on_two
async def test_pending_objects_are_stored(maker, async_database):
    """What was only added to the session is written at the end."""
    async with scoped_services(maker) as scope:
        scope.session.add(Note(text="a"))
    assert stored(async_database) == ["a"]


@on_two
async def test_services_share_session_and_transaction(maker, async_database):
    """Two services of one scope work on one session, and are stored together."""
    async with scoped_services(maker, Notes, Authors) as (notes, authors):
        author = await authors.add("Vanya")
        notes.session.add(Note(text="a", author=author))
        assert notes.session is authors.session
    assert stored(async_database) == ["a"]
    assert async_database.probe.scalar("SELECT count(*) FROM author") == 1


@on_two
async def test_outcome_is_committed(maker):
    """The outcome is None while the block runs, and committed after its normal end."""
    async with scoped_services(maker) as scope:
        scope.session.add(Note(text="a"))
        assert scope.outcome is None
    assert scope.outcome == "committed"


async def test_failing_flush_at_the_end_raises(maker, async_database):
    """When the last flush fails, its error leaves the block and nothing is stored."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
    with pytest.raises(IntegrityError):
        async with scoped_services(maker) as scope:
            scope.session.add(Note(text="b"))
            scope.session.add(Note(text="a"))
    assert stored(async_database) == ["a"]
    assert scope.outcome == "rolled_back"


@only_on("aiosqlite", "asyncpg", "psycopg-async")
async def test_failing_commit_raises(maker, async_engine, async_database):
    """When COMMIT fails, its error leaves the block and nothing is stored."""
    ran = []
    with pytest.raises(IntegrityError):
        async with scoped_services(maker) as scope:
            scope.session.add_all([Note(text="a"), Comment(note_id=4711)])
            await scope.session.flush()
            scope.on_commit(lambda: ran.append("commit"))
            scope.on_rollback(lambda: ran.append("rollback"))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []
    assert scope.outcome == "rolled_back"
    assert ran == ["rollback"]


@on_postgres
async def test_swallowed_statement_error_raises_at_the_end(maker, async_engine, async_database):
    """A swallowed error that aborted the transaction ends in RollbackOnlyError, caused by it."""
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker) as scope:
            await scope.session.execute(insert(Note).values(text="a"))
            with pytest.raises(IntegrityError) as swallowed:
                await scope.session.execute(insert(Note).values(text="a"))
    assert caught.value.__cause__ is swallowed.value
    assert scope.outcome == "rolled_back"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_postgres
async def test_rollback_only_error_names_both_lines(maker):
    """RollbackOnlyError says where the scope was opened and which statement had failed."""
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker) as scope:
            with pytest.raises(DBAPIError):
                await scope.session.execute(text(f"SELECT 1 / 0 -- {here()}"))
    line = str(caught.value.__cause__.statement).partition("-- ")[2]
    assert caught.value.opened_at == scope.opened_at
    assert caught.value.where.endswith(line)
    assert scope.opened_at in str(caught.value)
    assert caught.value.where in str(caught.value)


@on_postgres
async def test_first_swallowed_error_is_the_cause(maker):
    """After several swallowed errors the first one, which aborted the transaction, is the cause."""
    swallowed = []
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker) as scope:
            for statement in ("SELECT 1 / 0", "SELECT 1"):
                try:
                    await scope.session.execute(text(statement))
                except DBAPIError as error:
                    swallowed.append(error)
    assert len(swallowed) == 2
    assert caught.value.__cause__ is swallowed[0]


@only_on("aiosqlite", "asyncmy")
async def test_swallowed_error_that_aborts_nothing_is_forgiven(maker, async_database):
    """Where a failed statement leaves the transaction intact, the rest is stored."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(insert(Note).values(text="a"))
        with pytest.raises(IntegrityError):
            await scope.session.execute(insert(Note).values(text="a"))
        await scope.session.execute(insert(Note).values(text="b"))
    assert stored(async_database) == ["a", "b"]


async def test_swallowed_flush_error_raises_at_the_end(maker, async_database):
    """A failed flush rolls the session back everywhere: swallowing it ends in RollbackOnlyError."""
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            with pytest.raises(IntegrityError) as swallowed:
                await notes.add("a")
    assert caught.value.__cause__ is swallowed.value
    assert stored(async_database) == []


async def test_work_after_a_swallowed_flush_error_is_not_stored_alone(maker, async_database):
    """What comes after a swallowed flush error is not stored without what came before it."""
    with pytest.raises(PendingRollbackError):  # SQLAlchemy's own, at the next statement
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            with pytest.raises(IntegrityError):
                await notes.add("a")
            await notes.add("b")
    assert stored(async_database) == []


async def test_error_inside_a_savepoint_is_forgiven(maker, async_database):
    """An error that was undone by the service's own begin_nested() does no harm."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(IntegrityError):
            async with notes.session.begin_nested():
                await notes.add("a")
        await notes.add("b")
    assert stored(async_database) == ["a", "b"]


@on_servers
async def test_swallowed_connection_loss_raises_at_the_end(maker, async_engine, async_database):
    """A connection that was lost inside the block is not replaced behind the caller's back."""
    with pytest.raises(RollbackOnlyError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await kill_connection(notes.session, async_database)
            for _ in range(2):
                with contextlib.suppress(Exception):
                    await notes.session.execute(insert(Note).values(text="b"))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_servers
async def test_connection_loss_before_commit_raises(maker, async_database):
    """A connection that is gone when the block ends makes it raise, and nothing is stored."""
    with pytest.raises(Exception) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await kill_connection(notes.session, async_database)
    assert not isinstance(caught.value, AssertionError)
    assert stored(async_database) == []


@on_two
async def test_set_rollback_only_raises_with_its_reason(maker, async_database):
    """After set_rollback_only the normal end stores nothing and raises with reason and line."""
    with pytest.raises(RollbackOnlyError, match="the invoice was cancelled") as caught:
        async with scoped_services(maker) as scope:
            scope.session.add(Note(text="a"))
            line = here()
            scope.set_rollback_only("the invoice was cancelled")
    assert f"{line.rpartition(':')[0]}:{int(line.rpartition(':')[2]) + 1}" in str(caught.value)
    assert "except RollbackOnlyError" in str(caught.value)
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


@on_two
async def test_set_rollback_only_gives_way_to_the_bodys_error(maker):
    """An error that leaves the block after set_rollback_only leaves it unchanged."""
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker) as scope:
            scope.set_rollback_only("because")
            raise own
    assert caught.value is own


def count_statements(engine) -> list[str]:
    """Return a list that every statement of an engine is appended to."""
    seen: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, _parameters, _context, _many):
        seen.append(statement)

    return seen


async def test_reading_costs_no_extra_statement(maker, async_engine):
    """A scope that only reads sends nothing but its own statements."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(select(Note))
    seen = count_statements(async_engine)
    async with scoped_services(maker) as scope:
        await scope.session.execute(select(Note))
    own = [statement for statement in seen if not statement.startswith("BEGIN")]
    assert len(own) == 1


async def test_writing_costs_no_extra_statement(maker, async_engine):
    """A scope that writes asks nothing at its end, unless it is to know the outcome."""
    configure(maker, resolve_commit=False)
    async with scoped_services(maker) as scope:
        await scope.session.execute(select(Note))
    seen = count_statements(async_engine)
    async with scoped_services(maker) as scope:
        scope.session.add(Note(text="a"))
    own = [statement for statement in seen if not statement.startswith("BEGIN")]
    assert len(own) == 1
    assert "INSERT" in own[0]
