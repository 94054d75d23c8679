"""What a block can do with its scope."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import (
    NoScopeError,
    RollbackOnlyError,
    ScopeOptionError,
    ScopeSourceError,
    current_scope,
    scoped_services,
)
from tests.integration.scopes.async_.support import on_sqlite, on_two, only_on
from tests.integration.scopes.models import Comment, Note, Notes, stored
from tests.integration.scopes.watching import here

# --- what it says about itself ----------------------------------------------------------------


@on_sqlite
async def test_opened_at(maker):
    """opened_at is the file and line of the block."""
    line = int(here().split(":")[1]) + 1
    async with scoped_services(maker) as scope:
        assert scope.opened_at.endswith(f"test_scope.py:{line}")
        async with scoped_services(maker) as inner:
            assert inner.opened_at.endswith(f"test_scope.py:{line + 2}")


@on_sqlite
async def test_opened_at_inside_a_helper(maker):
    """opened_at of a scope that was entered by an exit stack is where it was made."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        line = int(here().split(":")[1]) + 1
        block = scoped_services(maker)
        scope = await stack.enter_async_context(block)
        assert scope.opened_at.endswith(f"test_scope.py:{line}")


@on_two
async def test_is_active(maker):
    """is_active is true inside the block and false after it, also for joined and nested scopes."""
    async with scoped_services(maker) as outer:
        async with scoped_services(maker) as joined:
            assert joined.is_active
        assert not joined.is_active
        async with scoped_services(maker, propagation="nested") as nested:
            assert nested.is_active
        assert not nested.is_active
        assert outer.is_active
    assert not outer.is_active


@on_sqlite
async def test_repr_shows_line_and_state(maker):
    """The repr of a scope shows where it was opened and what became of it."""
    async with scoped_services(maker) as scope:
        assert scope.opened_at in repr(scope)
        assert "open" in repr(scope)
    assert "committed" in repr(scope)


# --- current_scope ----------------------------------------------------------------------------


@on_sqlite
async def test_current_scope_is_the_innermost(maker):
    """current_scope gives the innermost open scope of this sessionmaker."""
    async with scoped_services(maker) as outer:
        assert current_scope(maker) is outer
        async with scoped_services(maker) as inner:
            assert current_scope(maker) is inner
        assert current_scope(maker) is outer


@on_sqlite
async def test_current_scope_without_one_raises(maker):
    """Without an open scope current_scope raises, naming the line that asked."""
    with pytest.raises(NoScopeError) as caught:
        current_scope(maker)
    assert f"test_scope.py:{int(here().split(':')[1]) - 1}" in str(caught.value)
    assert "but this task has no open scope" in str(caught.value)
    assert isinstance(caught.value, LookupError)
    async with scoped_services(maker):
        pass
    with pytest.raises(NoScopeError):
        current_scope(maker)


@on_sqlite
async def test_current_scope_of_something_else_is_refused(async_engine):
    """current_scope wants a sessionmaker."""
    with pytest.raises(ScopeSourceError):
        current_scope(async_engine)


# --- commit -----------------------------------------------------------------------------------


async def test_commit_stores_and_gives_the_connection_back(maker, async_engine, async_database):
    """scope.commit() stores what is done and keeps no connection over the slow call after it."""
    async with scoped_services(maker, Notes) as notes:
        scope = current_scope(maker)
        await notes.add("a")
        assert async_engine.pool.checkedout() == 1
        await scope.commit()
        assert async_engine.pool.checkedout() == 0
        assert stored(async_database) == ["a"]
        assert scope.is_active
        await notes.add("b")
        assert async_engine.pool.checkedout() == 1
        assert stored(async_database) == ["a"]
    assert async_engine.pool.checkedout() == 0
    assert scope.outcome == "committed"
    assert stored(async_database) == ["a", "b"]


@on_two
async def test_commit_flushes(maker, async_database):
    """scope.commit() writes what was only added."""
    async with scoped_services(maker) as scope:
        scope.session.add(Note(text="a"))
        await scope.commit()
        assert stored(async_database) == ["a"]


@on_two
async def test_commit_keeps_session_and_services(maker):
    """After scope.commit() session and services are the same as before."""
    async with scoped_services(maker, Notes) as notes:
        scope = current_scope(maker)
        session = scope.session
        await notes.add("a")
        await scope.commit()
        assert scope.session is session
        assert scope.get(Notes) is notes


async def test_error_after_commit_undoes_the_rest_alone(maker, async_database):
    """What scope.commit() stored stays stored when the rest is rolled back."""
    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await current_scope(maker).commit()
            await notes.add("b")
            raise KeyError
    assert stored(async_database) == ["a"]


@on_two
async def test_commit_runs_callbacks_so_far(maker):
    """scope.commit() runs the callbacks registered so far, and each runs once."""
    ran = []
    async with scoped_services(maker, Notes) as notes:
        scope = current_scope(maker)
        await notes.add("a")
        scope.on_commit(lambda: ran.append(1))
        scope.on_rollback(lambda: ran.append("rollback"))
        await scope.commit()
        assert ran == [1]
        scope.on_commit(lambda: ran.append(2))
        await notes.add("b")
    assert ran == [1, 2]


@on_two
async def test_commit_without_work_is_harmless(maker, async_engine):
    """scope.commit() in a scope that did nothing takes no connection."""
    async with scoped_services(maker) as scope:
        await scope.commit()
        await scope.commit()
    assert async_engine.pool.checkedin() == 0
    assert scope.outcome == "committed"


@on_two
async def test_commit_of_a_joined_scope_is_refused(maker, async_database):
    """Only the outermost scope may commit: a joined one is refused before anything is stored."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        async with scoped_services(maker) as inner:
            with pytest.raises(ScopeOptionError) as caught:
                await inner.commit()
            assert stored(async_database) == []
    assert inner.opened_at in str(caught.value)


@on_two
async def test_commit_inside_nested_is_refused(maker, async_database):
    """Neither a nested scope nor the outermost one around it may commit while it is open."""
    async with scoped_services(maker, Notes) as notes:
        outer = current_scope(maker)
        async with scoped_services(maker, propagation="nested") as nested:
            await notes.add("a")
            for scope in (nested, outer):
                with pytest.raises(ScopeOptionError):
                    await scope.commit()
            assert stored(async_database) == []


@on_two
async def test_commit_after_set_rollback_only_raises(maker, async_database):
    """scope.commit() stores nothing of a scope that is rollback-only."""
    with pytest.raises(RollbackOnlyError, match="because"):
        async with scoped_services(maker) as scope:
            scope.session.add(Note(text="a"))
            scope.set_rollback_only("because")
            await scope.commit()
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


@only_on("aiosqlite", "asyncpg", "psycopg-async")
async def test_commit_that_fails_raises(maker, async_engine, async_database):
    """When scope.commit() fails its error leaves the block, and nothing is stored."""
    with pytest.raises(IntegrityError):
        async with scoped_services(maker) as scope:
            scope.session.add_all([Note(text="a"), Comment(note_id=4711)])
            await scope.commit()
    assert scope.outcome == "rolled_back"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@only_on("aiosqlite", "asyncpg", "psycopg-async")
async def test_swallowed_failure_of_commit_stores_nothing_more(maker, async_database):
    """A scope whose commit() failed and was swallowed ends with an error."""
    with pytest.raises(Exception) as caught:
        async with scoped_services(maker) as scope:
            scope.session.add_all([Note(text="a"), Comment(note_id=4711)])
            with pytest.raises(IntegrityError):
                await scope.commit()
            scope.session.add(Note(text="b"))
    assert not isinstance(caught.value, AssertionError)
    assert stored(async_database) == []


@only_on("asyncpg", "psycopg-async")
async def test_options_hold_after_commit(maker):
    """After scope.commit() the scope has the isolation level that it had before."""
    async with scoped_services(maker, isolation_level="SERIALIZABLE") as scope:
        for _ in range(2):
            level = await scope.session.scalar(text("SHOW transaction_isolation"))
            assert level == "serializable"
            await scope.commit()


# --- set_rollback_only, sessions --------------------------------------------------------------


@on_sqlite
async def test_set_rollback_only_of_a_joined_scope_dooms_the_outer(maker, async_database):
    """set_rollback_only in a joined scope counts for the whole transaction."""
    with pytest.raises(RollbackOnlyError, match="because"):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            async with scoped_services(maker) as inner:
                inner.set_rollback_only("because")
    assert stored(async_database) == []


@on_sqlite
async def test_scopes_leave_no_garbage(maker):
    """A scope that has ended is freed at once, without the garbage collector."""
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        async with scoped_services(maker, Notes) as notes:
            await notes.session.execute(text("SELECT 1"))
            session = weakref.ref(notes.session.sync_session)
        del notes
        assert session() is None
    finally:
        gc.enable()


@on_sqlite
async def test_connection_events_see_one_transaction(maker, async_engine):
    """A scope is one BEGIN and one COMMIT."""
    seen = []
    for name in ("begin", "commit", "rollback"):
        event.listen(async_engine.sync_engine, name, lambda *_, n=name: seen.append(n))
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        async with scoped_services(maker, Notes) as inner:
            await inner.add("b")
    assert seen == ["begin", "commit"]


@on_sqlite
async def test_two_sessionmakers_of_one_engine_do_not_join(maker, async_engine):
    """Scopes are told apart by their sessionmaker, not by their engine."""
    other = async_sessionmaker(async_engine)
    async with scoped_services(maker) as one, scoped_services(other) as two:
        assert one.session is not two.session
        assert current_scope(maker) is one
        assert current_scope(other) is two
