"""Rule 13: `timeout` bounds the whole transaction."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import (
    NoScopeError,
    RollbackOnlyError,
    ScopeTimeoutError,
    current_scope,
    scoped_services,
)
from tests.integration.scopes.async_.support import (
    make_inserts_slow,
    on_postgres,
    on_two,
    only_on,
    slow_select,
)
from tests.integration.scopes.models import Note, Notes, stored
from tests.integration.scopes.watching import make_commits_slow
from tests.patience import SLOW, in_time


async def test_slow_statement_is_cut_off(maker, async_engine, async_database):
    """A statement that takes longer than the scope may ends in ScopeTimeoutError, rolled back."""
    slow = slow_select(async_database, 0.5 if async_database.dialect == "sqlite" else SLOW)
    ran = []
    before = time.monotonic()
    with pytest.raises(ScopeTimeoutError) as caught:
        async with scoped_services(maker, timeout=0.1) as scope:
            scope.on_rollback(lambda: ran.append("rollback"))
            await scope.get(Notes).add("a")
            await scope.session.execute(slow)
    in_time(before, 0.1)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.timeout == 0.1
    assert scope.opened_at in str(caught.value)
    assert scope.outcome == "rolled_back"
    assert ran == ["rollback"]
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


async def test_slow_body_is_cut_off(maker, async_engine, async_database):
    """A body that waits for something else longer than the scope may is cut off."""
    with pytest.raises(ScopeTimeoutError):
        async with scoped_services(maker, timeout=0.1) as scope:
            await scope.get(Notes).add("a")
            await asyncio.sleep(30)
    assert scope.outcome == "rolled_back"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []
    with pytest.raises(NoScopeError):
        current_scope(maker)


async def test_body_that_never_yields_is_refused_at_the_end(maker, async_engine, async_database):
    """A body that blocked the loop until the time was up stores nothing."""
    with pytest.raises(ScopeTimeoutError):
        async with scoped_services(maker, timeout=0.1) as scope:
            await scope.get(Notes).add("a")
            time.sleep(0.12)  # noqa: ASYNC251
    assert scope.outcome == "rolled_back"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_swallowed_cut_off_is_refused_at_the_end(maker, async_database):
    """A body that swallows the cancellation by the scope's clock stores nothing all the same."""
    with pytest.raises(ScopeTimeoutError):
        async with scoped_services(maker, timeout=0.1) as scope:
            await scope.get(Notes).add("a")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


async def test_statement_after_the_time_is_refused(maker, async_database):
    """A statement that begins after the time is up raises ScopeTimeoutError."""
    with pytest.raises(ScopeTimeoutError):
        async with scoped_services(maker, timeout=0.1) as scope:
            await scope.get(Notes).add("a")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
            with pytest.raises(ScopeTimeoutError):
                await scope.session.execute(text("SELECT 1"))
    assert stored(async_database) == []


async def test_slow_flush_at_the_end_is_cut_off(maker, async_engine, async_database):
    """Writing the last changes counts as well."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(text("SELECT 1"))
    make_inserts_slow(async_database, 0.4)
    with pytest.raises(ScopeTimeoutError):
        async with scoped_services(maker, timeout=0.1) as scope:
            scope.session.add(Note(text="a"))
    assert scope.outcome == "rolled_back"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_postgres
async def test_slow_commit_is_not_torn(maker, async_engine, async_database):
    """Time that runs out during COMMIT does not tear it, and nothing says that it was undone."""
    make_commits_slow(async_database, 1)
    async with scoped_services(maker) as scope:
        await scope.session.execute(text("SELECT 1"))
    said = ""
    try:
        async with scoped_services(maker, timeout=0.6) as scope:
            scope.session.add(Note(text="a"))
    except ScopeTimeoutError as error:
        said = "\n".join([str(error), *getattr(error, "__notes__", ())])
        if error.__cause__ is not None:
            said += "\n".join(getattr(error.__cause__, "__notes__", ()))
        assert "stored" in said
    assert "rolled back" not in said
    assert scope.outcome == "committed"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["a"]


@on_two
async def test_in_time_is_stored(maker, async_database):
    """A scope that ends in time is stored."""
    async with scoped_services(maker, Notes, timeout=5) as notes:
        await notes.add("a")
    assert stored(async_database) == ["a"]


async def test_nothing_is_left_of_the_limit(async_database, maker, make_async_engine):
    """The next scope on the same connection has no limit."""
    slow = slow_select(async_database, 0.05)
    small = async_sessionmaker(make_async_engine(async_database, pool_size=1))
    async with scoped_services(small, Notes, read_only=True) as notes:
        await notes.session.execute(text("SELECT 1"))
    async with scoped_services(small, Notes, timeout=0.5) as notes:
        await notes.add("a")
    async with scoped_services(small, Notes) as notes:
        await notes.add("b")
        await asyncio.sleep(0.55)
        await notes.session.execute(slow)
    assert stored(async_database) == ["a", "b"]


@on_two
async def test_own_error_wins(maker):
    """The body's own error before the time is up leaves unchanged."""
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker, Notes, timeout=5) as notes:
            await notes.add("a")
            raise own
    assert caught.value is own


async def test_cancellation_from_outside_stays_one(maker, async_engine, async_database):
    """A task that is cancelled inside a scope with a timeout ends with CancelledError."""

    async def victim() -> None:
        async with scoped_services(maker, Notes, timeout=5) as notes:
            await notes.add("a")
            await asyncio.sleep(30)

    task = asyncio.create_task(victim())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@only_on("asyncpg", "aiosqlite")
async def test_timeout_of_a_joined_scope(maker, async_database):
    """A joined block with a shorter timeout is cut off by it, and dooms the outer scope."""
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker, Notes, timeout=5) as notes:
            await notes.add("a")
            with pytest.raises(ScopeTimeoutError) as inner:
                async with scoped_services(maker, timeout=0.05):
                    await asyncio.sleep(30)
    assert caught.value.__cause__ in (inner.value, inner.value.__cause__)
    assert stored(async_database) == []


@only_on("asyncpg", "aiosqlite")
async def test_limit_of_a_joined_scope_ends_with_it(maker, async_database):
    """After a joined block that ended in time only the outer limit holds."""
    async with scoped_services(maker, Notes) as notes:
        await notes.session.execute(text("SELECT 1"))
        async with scoped_services(maker, timeout=0.5):
            await notes.add("a")
        await asyncio.sleep(0.55)
        await notes.add("b")
    assert stored(async_database) == ["a", "b"]


@only_on("asyncpg", "aiosqlite")
async def test_timeout_of_a_nested_scope(maker, async_database):
    """A nested scope that takes too long is undone alone."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(ScopeTimeoutError):
            async with scoped_services(maker, Notes, propagation="nested", timeout=0.5):
                await notes.add("b")
                await asyncio.sleep(30)
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]
