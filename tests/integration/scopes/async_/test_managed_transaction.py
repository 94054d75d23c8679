"""Rule 7: a service cannot end or begin the scope's transaction."""

from __future__ import annotations

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from sqla_safe import ManagedTransactionError, RollbackOnlyError, configure, scoped_services
from tests.integration.scopes.async_.support import on_two, only_on
from tests.integration.scopes.models import Note, Notes, stored

CALLS = {
    "commit": lambda session: session.commit(),
    "rollback": lambda session: session.rollback(),
    "close": lambda session: session.close(),
    "begin": lambda session: session.begin().start(),
    "reset": lambda session: session.reset(),
    "invalidate": lambda session: session.invalidate(),
    "run_sync(commit)": lambda session: session.run_sync(lambda sync: sync.commit()),
    "run_sync(rollback)": lambda session: session.run_sync(lambda sync: sync.rollback()),
}


@on_two
@pytest.mark.parametrize("call", CALLS)
async def test_call_is_refused_before_anything_is_stored(maker, async_database, call):
    """The call raises, nothing is stored by it, and the error rolls the scope back."""
    with pytest.raises(ManagedTransactionError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            try:
                await CALLS[call](notes.session)
            finally:
                assert stored(async_database) == []
    assert stored(async_database) == []


@on_two
@pytest.mark.parametrize("call", CALLS)
async def test_refused_call_has_no_effect(maker, async_database, call):
    """A refused call that is swallowed changes nothing: what was done around it is stored."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(ManagedTransactionError):
            await CALLS[call](notes.session)
        await notes.add("b")
    assert stored(async_database) == ["a", "b"]


@only_on("aiosqlite")
async def test_call_before_the_first_statement_is_refused(maker, async_engine):
    """The call is refused although no transaction has begun yet, and takes no connection."""
    async with scoped_services(maker, Notes) as notes:
        with pytest.raises(ManagedTransactionError):
            await notes.session.commit()
    assert async_engine.pool.checkedin() == 0


@only_on("aiosqlite")
async def test_begin_as_a_block_is_refused(maker):
    """`async with session.begin()` raises at entry."""
    async with scoped_services(maker, Notes) as notes:
        with pytest.raises(ManagedTransactionError):
            async with notes.session.begin():
                pytest.fail("entered")


@only_on("aiosqlite")
async def test_error_says_what_to_do(maker):
    """ManagedTransactionError names the call and the scope, and what to write instead."""
    async with scoped_services(maker) as scope:
        with pytest.raises(ManagedTransactionError) as caught:
            await scope.session.commit()
    assert caught.value.method == "commit"
    assert scope.opened_at in str(caught.value)
    assert "session.flush()" in str(caught.value)
    assert isinstance(caught.value, InvalidRequestError)


@only_on("aiosqlite")
async def test_early_commit_of_one_service_stores_no_half(maker, async_database):
    """When a service commits early and the next one fails, nothing is stored."""
    with pytest.raises(ManagedTransactionError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await notes.session.commit()
            await notes.add("b")
            raise KeyError
    assert stored(async_database) == []


async def test_begin_nested_is_allowed(maker, async_database):
    """A service may use savepoints of its own."""
    async with scoped_services(maker, Notes) as notes:
        async with notes.session.begin_nested():
            await notes.add("a")
        with pytest.raises(KeyError):
            async with notes.session.begin_nested():
                await notes.add("b")
                raise KeyError
        savepoint = await notes.session.begin_nested()
        await notes.add("c")
        await savepoint.rollback()
        savepoint = await notes.session.begin_nested()
        await notes.add("d")
        await savepoint.commit()
    assert stored(async_database) == ["a", "d"]


# --- service_commit="flush" -------------------------------------------------------------------


async def test_commit_flushes_when_configured(maker, async_database):
    """With service_commit="flush" a service's commit writes, and stores nothing yet."""
    configure(maker, service_commit="flush")
    async with scoped_services(maker) as scope:
        note = Note(text="a")
        scope.session.add(note)
        await scope.session.commit()
        assert note.id is not None
        assert stored(async_database) == []
    assert stored(async_database) == ["a"]


@on_two
async def test_flushing_commit_is_rolled_back_by_an_error(maker, async_database):
    """With service_commit="flush" an error after a service's commit undoes that work too."""
    configure(maker, service_commit="flush")
    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            scope.session.add(Note(text="a"))
            await scope.session.commit()
            raise KeyError
    assert stored(async_database) == []


@on_two
async def test_flushing_commit_raises_what_the_flush_raises(maker, async_database):
    """With service_commit="flush" a service's commit raises where it always did."""
    configure(maker, service_commit="flush")
    with pytest.raises(IntegrityError):
        async with scoped_services(maker) as scope:
            await scope.session.execute(insert(Note).values(text="a"))
            scope.session.add(Note(text="a"))
            await scope.session.commit()
    assert stored(async_database) == []


@on_two
async def test_rollback_dooms_when_configured(maker, async_database):
    """With service_commit="flush" a service's rollback makes the end raise RollbackOnlyError."""
    configure(maker, service_commit="flush")
    with pytest.raises(RollbackOnlyError, match=r"test_managed_transaction\.py") as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await notes.session.rollback()
    assert "rollback()" in caught.value.reason
    assert stored(async_database) == []


@on_two
async def test_rollback_inside_nested_dooms_that_alone(maker, async_database):
    """With service_commit="flush" a rollback inside a nested scope undoes that scope alone."""
    configure(maker, service_commit="flush")
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        with pytest.raises(RollbackOnlyError):
            async with scoped_services(maker, Notes, propagation="nested"):
                await notes.add("b")
                await notes.session.rollback()
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


@only_on("aiosqlite")
@pytest.mark.parametrize("call", ["close", "begin"])
async def test_close_and_begin_stay_refused_when_configured(maker, call):
    """With service_commit="flush" close and begin raise as before."""
    configure(maker, service_commit="flush")
    async with scoped_services(maker, Notes) as notes:
        with pytest.raises(ManagedTransactionError):
            await CALLS[call](notes.session)
