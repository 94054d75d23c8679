"""Rule 3: how a scope inside a scope joins it, sets a savepoint, or stands alone."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import StaticPool

from sqla_safe import (
    NoScopeError,
    PoolExhaustedError,
    RollbackOnlyError,
    ScopeOptionError,
    current_scope,
    prepare_sqlite,
    scoped_services,
)
from tests.integration.scopes.async_.support import on_postgres, on_servers, on_two
from tests.integration.scopes.models import Note, Notes, stored

# --- required ---------------------------------------------------------------------------------


async def test_required_joins(maker, async_database):
    """An inner scope shares session and services with the outer one, and stores nothing itself."""
    async with scoped_services(maker, Notes) as outer:
        await outer.add("a")
        async with scoped_services(maker, Notes) as inner:
            await inner.add("b")
        assert inner is outer
        assert stored(async_database) == []
    assert stored(async_database) == ["a", "b"]


async def test_swallowed_error_of_a_joined_scope_dooms_the_outer(
    maker, async_engine, async_database
):
    """When the error of a joined scope is swallowed, the outer end raises and stores nothing."""
    own = KeyError("own")
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            with pytest.raises(KeyError):
                async with scoped_services(maker, Notes) as inner:
                    await inner.add("b")
                    raise own
            await notes.add("c")
    assert caught.value.__cause__ is own
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_rollback_only_error_names_the_inner_block(maker):
    """RollbackOnlyError says where the inner block that failed was opened."""
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker):
            with pytest.raises(KeyError):
                async with scoped_services(maker) as inner:
                    raise KeyError
    assert inner.opened_at in str(caught.value)
    assert "test_propagation.py" in inner.opened_at


async def test_swallowed_database_error_of_a_joined_scope_dooms_the_outer(maker, async_database):
    """A database error of a joined scope that is swallowed leaves nothing half-written."""
    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            with pytest.raises(IntegrityError):
                async with scoped_services(maker) as inner:
                    await inner.session.execute(insert(Note).values(text="b"))
                    await inner.session.execute(insert(Note).values(text="b"))
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert stored(async_database) == []


@on_two
async def test_error_through_both_scopes_leaves_unchanged(maker, async_database):
    """An error that leaves a joined scope and the outer one is not wrapped."""
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            async with scoped_services(maker, Notes) as inner:
                await inner.add("b")
                raise own
    assert caught.value is own
    assert own.__cause__ is None
    assert stored(async_database) == []


@on_two
async def test_joined_scope_shares_the_outcome(maker):
    """A joined scope has no outcome before the outer one has ended, and then the same."""
    async with scoped_services(maker) as outer:
        async with scoped_services(maker) as inner:
            inner.session.add(Note(text="a"))
        assert inner.outcome is None
    assert (inner.outcome, outer.outcome) == ("committed", "committed")


@on_two
async def test_joined_scope_that_failed_shares_the_outcome(maker):
    """A joined scope whose error was swallowed is rolled back with the outer one."""
    with pytest.raises(RollbackOnlyError):
        async with scoped_services(maker) as outer:
            with pytest.raises(KeyError):
                async with scoped_services(maker) as inner:
                    inner.session.add(Note(text="a"))
                    raise KeyError
    assert (inner.outcome, outer.outcome) == ("rolled_back", "rolled_back")


# --- nested -----------------------------------------------------------------------------------


async def test_nested_is_tolerant(maker, async_database):
    """An error of a nested scope that is swallowed undoes the nested work alone."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(KeyError):
            async with scoped_services(maker, Notes, propagation="nested") as inner:
                await inner.add("b")
                raise KeyError
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


async def test_nested_forgives_a_database_error(maker, async_database):
    """A database error that leaves a nested scope leaves the outer transaction usable."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(IntegrityError):
            async with scoped_services(maker, Notes, propagation="nested") as inner:
                await inner.add("b")
                await inner.add("a")
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


@on_two
async def test_nested_that_ends_well_is_stored_with_the_outer(maker, async_database):
    """The work of a nested scope is stored by the outer one, not before."""
    async with scoped_services(maker, Notes) as notes:
        async with scoped_services(maker, Notes, propagation="nested") as inner:
            await inner.add("a")
        assert stored(async_database) == []
        await notes.add("b")
    assert stored(async_database) == ["a", "b"]


async def test_nested_dies_with_the_outer(maker, async_database):
    """The work of a nested scope that ended well is rolled back with the outer one."""
    with pytest.raises(KeyError):
        async with scoped_services(maker) as outer:
            async with scoped_services(maker, propagation="nested") as inner:
                inner.session.add(Note(text="a"))
            raise KeyError
    assert (inner.outcome, outer.outcome) == ("rolled_back", "rolled_back")
    assert stored(async_database) == []


async def test_nested_as_first_write_dies_with_the_outer(maker, async_database):
    """A savepoint before the first write of the transaction does not outlive its rollback."""
    with pytest.raises(KeyError):
        async with scoped_services(maker):
            async with scoped_services(maker, Notes, propagation="nested") as inner:
                await inner.add("a")
            raise KeyError
    assert stored(async_database) == []


@on_two
async def test_nested_outcome_when_rolled_back_alone(maker):
    """A nested scope that failed is rolled back although the outer one is committed."""
    async with scoped_services(maker) as outer:
        with pytest.raises(KeyError):
            async with scoped_services(maker, propagation="nested") as inner:
                raise KeyError
    assert (inner.outcome, outer.outcome) == ("rolled_back", "committed")


async def test_pending_objects_of_a_nested_scope_are_undone_with_it(maker, async_database):
    """What a failed nested scope had only added to the session is not flushed later."""
    async with scoped_services(maker) as outer:
        with pytest.raises(KeyError):
            async with scoped_services(maker, propagation="nested") as inner:
                inner.session.add(Note(text="a"))
                raise KeyError
        outer.session.add(Note(text="b"))
    assert stored(async_database) == ["b"]


async def test_nested_in_nested(maker, async_database):
    """Of three levels only the innermost, which failed, is undone."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        async with scoped_services(maker, Notes, propagation="nested"):
            await notes.add("b")
            with pytest.raises(KeyError):
                async with scoped_services(maker, Notes, propagation="nested"):
                    await notes.add("c")
                    raise KeyError
    assert stored(async_database) == ["a", "b"]


@on_two
async def test_nested_without_a_scope_opens_one(maker, async_database):
    """A nested scope outside any scope is an ordinary one."""
    async with scoped_services(maker, Notes, propagation="nested") as notes:
        await notes.add("a")
    assert stored(async_database) == ["a"]


@on_two
async def test_swallowed_error_of_a_scope_joined_inside_nested(maker, async_database):
    """A joined scope inside a nested one dooms the nested one alone."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(RollbackOnlyError):
            async with scoped_services(maker, propagation="nested"):
                with pytest.raises(KeyError):
                    async with scoped_services(maker, Notes) as inner:
                        await inner.add("b")
                        raise KeyError
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


@on_postgres
async def test_swallowed_statement_error_inside_nested(maker, async_database):
    """An error swallowed inside a nested scope makes the end of that scope raise."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(RollbackOnlyError) as caught:
            async with scoped_services(maker, propagation="nested") as inner:
                with pytest.raises(DBAPIError):
                    await inner.session.execute(text("SELECT 1 / 0"))
        assert isinstance(caught.value.__cause__, DBAPIError)
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


async def test_swallowed_flush_error_inside_nested(maker, async_database):
    """A flush error swallowed inside a nested scope makes the end of that scope raise."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(RollbackOnlyError):
            async with scoped_services(maker, Notes, propagation="nested") as inner:
                with pytest.raises(IntegrityError):
                    await inner.add("a")
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


@on_two
async def test_set_rollback_only_of_a_nested_scope(maker, async_database):
    """set_rollback_only inside a nested scope undoes that scope alone."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(RollbackOnlyError, match="only this"):
            async with scoped_services(maker, propagation="nested") as inner:
                await inner.get(Notes).add("b")
                inner.set_rollback_only("only this")
    assert stored(async_database) == ["a"]


async def test_nested_cancelled_and_swallowed_by_timeout(maker, async_database):
    """A nested scope cut off by asyncio.timeout is undone alone; the outer one goes on."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:
                async with scoped_services(maker, Notes, propagation="nested") as inner:
                    await inner.add("b")
                    limit.reschedule(0)
                    await asyncio.sleep(30)
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


# --- requires_new -----------------------------------------------------------------------------


@on_two
async def test_requires_new_has_its_own_session(maker):
    """An independent scope shares neither session nor services with the outer one."""
    async with (
        scoped_services(maker, Notes) as outer,
        scoped_services(maker, Notes, propagation="requires_new") as inner,
    ):
        assert inner is not outer
        assert inner.session is not outer.session


async def test_requires_new_survives_the_outer_rollback(maker, async_database):
    """What an independent scope stored stays stored when the outer one fails."""
    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as outer:
            async with scoped_services(maker, Notes, propagation="requires_new") as inner:
                await inner.add("b")
            assert stored(async_database) == ["b"]
            await outer.add("a")
            raise KeyError
    assert stored(async_database) == ["b"]


@on_servers
async def test_requires_new_beside_an_open_transaction(maker, async_engine, async_database):
    """An independent scope takes a second connection while the outer one keeps its own."""
    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as outer:
            await outer.add("a")
            async with scoped_services(maker, Notes, propagation="requires_new") as inner:
                await inner.add("b")
                assert async_engine.pool.checkedout() == 2
            raise KeyError
    assert stored(async_database) == ["b"]


@on_two
async def test_failed_requires_new_leaves_the_outer_alone(maker, async_database):
    """A swallowed error of an independent scope does no harm to the outer one."""
    async with scoped_services(maker, Notes) as outer:
        with pytest.raises(KeyError):
            async with scoped_services(maker, Notes, propagation="requires_new") as inner:
                await inner.add("b")
                raise KeyError
        await outer.add("a")
    assert stored(async_database) == ["a"]


@on_two
async def test_scope_inside_requires_new_joins_that(maker, async_database):
    """A scope inside an independent one joins the independent one."""
    with pytest.raises(KeyError):
        async with scoped_services(maker):
            async with scoped_services(maker, Notes, propagation="requires_new") as inner:
                async with scoped_services(maker, Notes) as joined:
                    await joined.add("a")
                assert joined is inner
            raise KeyError
    assert stored(async_database) == ["a"]


@on_servers
async def test_requires_new_with_a_pool_of_one_fails_at_once(
    async_database, maker, make_async_engine
):
    """When this task holds the pool's only connection, an independent scope says so at once."""
    engine = make_async_engine(async_database, pool_size=1)
    small = async_sessionmaker(engine)
    with pytest.raises(PoolExhaustedError, match="holds all 1 of the pool"):
        async with scoped_services(small, Notes) as outer:
            await outer.add("a")
            async with scoped_services(small, Notes, propagation="requires_new") as inner:
                await inner.add("b")
    assert engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_servers
async def test_refused_requires_new_leaves_the_outer_usable(
    async_database, maker, make_async_engine
):
    """A refused independent scope took nothing: the outer one may go on without it."""
    small = async_sessionmaker(make_async_engine(async_database, pool_size=1))
    async with scoped_services(small, Notes) as outer:
        await outer.add("a")
        with pytest.raises(PoolExhaustedError):
            async with scoped_services(small, Notes, propagation="requires_new") as inner:
                await inner.add("b")
        await outer.add("c")
    assert stored(async_database) == ["a", "c"]


@on_servers
async def test_requires_new_of_many_tasks_never_waits_for_ever(maker, async_engine, async_database):
    """Of five tasks that hold the whole pool and want one more, those that can go on do."""
    everybody = asyncio.Barrier(5)

    async def handler(number: int) -> None:
        async with scoped_services(maker, Notes) as outer:
            await outer.add(f"outer {number}")
            await everybody.wait()
            async with scoped_services(maker, Notes, propagation="requires_new") as inner:
                await inner.add(f"inner {number}")

    results = await asyncio.gather(*map(handler, range(5)), return_exceptions=True)
    refused = [result for result in results if result is not None]
    assert refused
    assert all(isinstance(error, PoolExhaustedError) for error in refused)
    assert len(stored(async_database)) == 2 * (5 - len(refused))
    assert async_engine.pool.checkedout() == 0


async def test_requires_new_on_a_static_pool_is_refused():
    """A pool that has one connection for everybody cannot give an independent scope its own."""
    engine = prepare_sqlite(create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool))
    single = async_sessionmaker(engine)
    with pytest.raises(PoolExhaustedError, match="StaticPool"):
        async with scoped_services(single) as outer:
            await outer.session.execute(text("SELECT 1"))
            async with scoped_services(single, propagation="requires_new") as inner:
                await inner.session.execute(text("SELECT 1"))
    await engine.dispose()


# --- mandatory and never ----------------------------------------------------------------------


@on_two
async def test_mandatory_needs_a_scope(maker, async_engine):
    """Outside any scope, mandatory raises NoScopeError before a connection is taken."""
    with pytest.raises(NoScopeError, match=r"test_propagation\.py"):
        async with scoped_services(maker, propagation="mandatory"):
            pytest.fail("entered")
    assert async_engine.pool.checkedin() == 0


@on_two
async def test_mandatory_joins(maker, async_database):
    """Inside a scope, mandatory joins it."""
    async with scoped_services(maker, Notes) as outer:
        async with scoped_services(maker, Notes, propagation="mandatory") as inner:
            await inner.add("a")
        assert inner is outer
    assert stored(async_database) == ["a"]


@on_two
async def test_never_refuses_a_scope(maker, async_database):
    """Inside a scope, never raises and names it; the outer scope goes on."""
    async with scoped_services(maker) as outer:
        outer.session.add(Note(text="a"))
        with pytest.raises(ScopeOptionError) as caught:
            async with scoped_services(maker, propagation="never"):
                pytest.fail("entered")
    assert outer.opened_at in str(caught.value)
    assert stored(async_database) == ["a"]


@on_two
async def test_never_opens_a_scope(maker, async_database):
    """Outside any scope, never opens one."""
    async with scoped_services(maker, Notes, propagation="never") as notes:
        await notes.add("a")
    assert stored(async_database) == ["a"]


@on_two
async def test_unknown_propagation_is_refused(maker, async_engine):
    """A propagation that does not exist is refused, naming those that do."""
    with pytest.raises(ScopeOptionError, match="'requires_new'"):
        async with scoped_services(maker, propagation="supports"):
            pytest.fail("entered")
    assert async_engine.pool.checkedin() == 0


@on_two
async def test_current_scope_after_a_nested_one(maker):
    """After a nested scope has ended, the outer one is the current scope again."""
    async with scoped_services(maker) as outer:
        async with scoped_services(maker, propagation="nested") as inner:
            assert current_scope(maker) is inner
        assert current_scope(maker) is outer
