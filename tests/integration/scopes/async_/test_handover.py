"""A scope that is handed over on purpose, to a child task or to a function."""

from __future__ import annotations

import asyncio

import pytest

from sqla_safe import (
    ConcurrentUseError,
    NoScopeError,
    RollbackOnlyError,
    ScopeOptionError,
    current_scope,
    scoped_services,
)
from tests.integration.scopes.async_.support import Gate, on_sqlite, on_two
from tests.integration.scopes.models import Notes, stored


async def test_child_task_joins_a_scope_that_is_handed_over(maker, async_engine, async_database):
    """A child task that opens scoped_services(scope) works in its parent's transaction."""

    async def child(scope) -> None:
        async with scoped_services(scope, Notes) as notes:
            await notes.add("child")

    async with scoped_services(maker, Notes) as notes:
        await notes.add("parent")
        await asyncio.create_task(child(current_scope(maker)))
        assert async_engine.pool.checkedout() == 1
        assert stored(async_database) == []
    assert stored(async_database) == ["parent", "child"]


@on_two
async def test_scope_in_the_child_joins_what_was_handed_over(maker, async_database):
    """Inside the hand-over the child's own scopes join it, and current_scope finds it."""

    async def deeper() -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("deeper")

    async def child(scope) -> None:
        with pytest.raises(NoScopeError):
            current_scope(maker)
        async with scoped_services(scope) as same:
            assert current_scope(maker) is same
            await deeper()
        with pytest.raises(NoScopeError):
            current_scope(maker)

    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            await asyncio.create_task(child(scope))
            raise KeyError
    assert stored(async_database) == []


@on_two
async def test_error_of_the_child_dooms_the_scope(maker, async_engine, async_database):
    """When a child that was handed the scope fails and that is swallowed, nothing is stored."""
    own = KeyError("own")

    async def child(scope) -> None:
        async with scoped_services(scope, Notes) as notes:
            await notes.add("child")
            raise own

    with pytest.raises(RollbackOnlyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("parent")
            await asyncio.gather(
                asyncio.create_task(child(current_scope(maker))), return_exceptions=True
            )
    assert caught.value.__cause__ is own
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_nested_in_the_child(maker, async_database):
    """A child may ask for a savepoint in the scope it was handed."""

    async def child(scope) -> None:
        async with scoped_services(scope, Notes, propagation="nested") as notes:
            await notes.add("child")
            raise KeyError

    async with scoped_services(maker, Notes) as notes:
        await notes.add("parent")
        with pytest.raises(KeyError):
            await asyncio.create_task(child(current_scope(maker)))
    assert stored(async_database) == ["parent"]


@on_two
async def test_requires_new_from_a_scope(maker, async_database):
    """An independent scope can be opened from a scope: it is one of the same sessionmaker."""
    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            async with scoped_services(scope, Notes, propagation="requires_new") as notes:
                assert notes.session is not scope.session
                await notes.add("a")
            raise KeyError
    assert stored(async_database) == ["a"]


@on_sqlite
async def test_never_with_a_scope_is_refused(maker):
    """A scope that is handed over with propagation="never" contradicts itself."""
    async with scoped_services(maker) as scope:
        with pytest.raises(ScopeOptionError):
            async with scoped_services(scope, propagation="never"):
                pytest.fail("entered")


@on_two
async def test_overlap_in_what_was_handed_over_is_refused(maker, async_engine, async_database):
    """Handing a scope over does not allow two tasks to use it at the same time."""
    gate = Gate(async_engine)

    async def child(scope) -> None:
        async with scoped_services(scope) as same:
            await same.session.execute(gate.statement)

    with pytest.raises(ConcurrentUseError):
        async with scoped_services(maker, Notes) as notes:
            task = asyncio.create_task(child(current_scope(maker)))
            await gate.reached.wait()
            asyncio.get_running_loop().call_later(0.05, gate.open)  # when the end waits for it
            await notes.add("parent")
    await asyncio.gather(task, return_exceptions=True)
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_child_that_ends_after_the_scope(maker, async_engine, async_database):
    """A child that is still inside its hand-over when the scope ends cannot store anything more."""
    ended = asyncio.Event()
    inside = asyncio.Event()

    async def child(scope) -> None:
        async with scoped_services(scope, Notes) as notes:
            await notes.add("child")
            inside.set()
            await ended.wait()
            await notes.add("late")

    async with scoped_services(maker, Notes) as notes:
        task = asyncio.create_task(child(current_scope(maker)))
        await inside.wait()
        await notes.add("parent")
    ended.set()
    [error] = await asyncio.gather(task, return_exceptions=True)
    assert type(error).__name__ == "ScopeClosedError"
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["child", "parent"]
