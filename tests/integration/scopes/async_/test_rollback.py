"""Rule 2: whatever leaves the block rolls back, and leaves it unchanged."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from sqla_safe import scoped_services
from tests.integration.scopes.async_.support import kill_connection, on_postgres, on_servers, on_two
from tests.integration.scopes.models import Note, Notes, stored


class Odd(BaseException):
    """No Exception."""


LEAVING = [KeyError, asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit, Odd]


@pytest.mark.parametrize("kind", LEAVING, ids=lambda kind: kind.__name__)
async def test_every_exception_rolls_back(maker, async_engine, async_database, kind):
    """Nothing is stored when any BaseException leaves the block."""
    with pytest.raises(kind):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            raise kind
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
@pytest.mark.parametrize("kind", LEAVING, ids=lambda kind: kind.__name__)
async def test_every_exception_leaves_unchanged(maker, kind):
    """The very exception leaves the block: neither wrapped nor chained nor annotated."""
    own = kind("own")
    with pytest.raises(kind) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            raise own
    assert caught.value is own
    assert own.args == ("own",)
    assert own.__cause__ is None
    assert own.__context__ is None
    assert not hasattr(own, "__notes__")


@on_two
async def test_outcome_is_rolled_back(maker):
    """The outcome after an error is rolled_back."""
    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("SELECT 1"))
            raise KeyError
    assert scope.outcome == "rolled_back"


async def test_database_error_leaves_unchanged(maker, async_database):
    """A database error that leaves the block is SQLAlchemy's own, not ours."""
    with pytest.raises(IntegrityError):
        async with scoped_services(maker) as scope:
            await scope.session.execute(insert(Note).values(text="a"))
            await scope.session.execute(insert(Note).values(text="a"))
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


@on_servers
async def test_error_wins_over_a_dead_connection(maker, async_engine, async_database):
    """The body's error leaves the block even when there is no connection to roll back on."""
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await kill_connection(notes.session, async_database)
            raise own
    assert caught.value is own
    assert own.__cause__ is None
    assert async_engine.pool.checkedout() == 0


@on_postgres
async def test_error_of_the_clean_up_becomes_a_note(maker, async_database):
    """What goes wrong while rolling back is told in a note on the body's error."""
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await kill_connection(notes.session, async_database)
            raise KeyError
    assert any("clean-up" in note for note in caught.value.__notes__)


async def test_next_scope_after_a_handled_error_is_stored(maker, async_database):
    """A scope after one that failed, in the same task, stores its work."""
    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            raise KeyError
    async with scoped_services(maker, Notes) as notes:
        await notes.add("b")
    assert stored(async_database) == ["b"]


@on_postgres
async def test_error_after_a_swallowed_error_leaves_unchanged(maker):
    """An own error wins over RollbackOnlyError in a block whose transaction is aborted."""
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker) as scope:
            with pytest.raises(DBAPIError):
                await scope.session.execute(text("SELECT 1 / 0"))
            raise own
    assert caught.value is own
