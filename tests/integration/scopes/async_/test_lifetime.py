"""Rule 5: a closed scope stays closed, nobody inherits it, and it may be left elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars

import anyio.from_thread
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import NoScopeError, ScopeClosedError, current_scope, scoped_services
from tests.integration.scopes.async_.support import on_postgres, on_two
from tests.integration.scopes.models import (
    Author,
    Authors,
    Note,
    Notes,
    create_tables,
    stored,
)

USES = {
    "execute": lambda session: session.execute(insert(Note).values(text="late")),
    "scalar": lambda session: session.scalar(select(Note)),
    "scalars": lambda session: session.scalars(select(Note)),
    "stream": lambda session: session.stream(select(Note)),
    "get": lambda session: session.get(Note, 1),
    "get_one": lambda session: session.get_one(Note, 1),
    "flush": lambda session: session.flush(),
    "merge": lambda session: session.merge(Note(id=1, text="late")),
    "connection": lambda session: session.connection(),
    "commit": lambda session: session.commit(),
    "begin_nested": lambda session: session.begin_nested().start(),
    "begin": lambda session: session.begin().start(),
    "run_sync": lambda session: session.run_sync(lambda sync: sync.execute(select(Note))),
}


@on_two
@pytest.mark.parametrize("use", USES)
async def test_session_of_a_closed_scope_is_refused(maker, async_engine, use):
    """A service that was kept fails at its first use, with the line of its scope."""
    async with scoped_services(maker, Notes) as kept:
        opened_at = current_scope(maker).opened_at
        await kept.add("a")
    with pytest.raises(ScopeClosedError) as caught:
        await USES[use](kept.session)
    assert opened_at in str(caught.value)
    assert async_engine.pool.checkedout() == 0


@on_two
@pytest.mark.parametrize("use", ["add", "add_all"])
async def test_adding_to_a_closed_session_is_refused(maker, use):
    """An object that is added after the end, and could never be stored, is refused at once."""
    async with scoped_services(maker, Notes) as kept:
        pass
    with pytest.raises(ScopeClosedError):
        if use == "add":
            kept.session.add(Note(text="late"))
        else:
            kept.session.add_all([Note(text="late")])


@on_two
async def test_closed_scope_after_an_error_is_refused(maker, async_engine, async_database):
    """A session stays closed after its scope was rolled back, too."""
    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as kept:
            await kept.add("a")
            raise KeyError
    with pytest.raises(ScopeClosedError):
        await kept.add("late")
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_closing_a_closed_session_is_harmless(maker):
    """A session that is closed once more, as tidy code does, stays closed without an error."""
    async with scoped_services(maker, Notes) as kept:
        await kept.add("a")
    await kept.session.close()
    with pytest.raises(ScopeClosedError):
        await kept.add("late")


SCOPE_USES = {
    "get": lambda scope: scope.get(Notes),
    "on_commit": lambda scope: scope.on_commit(print),
    "on_rollback": lambda scope: scope.on_rollback(print),
    "set_rollback_only": lambda scope: scope.set_rollback_only("late"),
}


@on_two
@pytest.mark.parametrize("use", SCOPE_USES)
async def test_closed_scope_itself_is_refused(maker, use):
    """A scope that was kept says that it has ended, and where it was opened."""
    async with scoped_services(maker) as kept:
        pass
    with pytest.raises(ScopeClosedError) as caught:
        SCOPE_USES[use](kept)
    assert kept.opened_at in str(caught.value)


@on_two
async def test_commit_of_a_closed_scope_is_refused(maker):
    """A scope that has ended cannot be committed again."""
    async with scoped_services(maker) as kept:
        pass
    with pytest.raises(ScopeClosedError):
        await kept.commit()


@on_two
async def test_closed_scope_handed_over_is_refused(maker, async_engine):
    """A closed scope as a source raises before a connection is taken."""
    async with scoped_services(maker) as kept:
        pass
    with pytest.raises(ScopeClosedError):
        async with scoped_services(kept, Notes):
            pytest.fail("entered")
    assert async_engine.pool.checkedin() == 0


@on_two
async def test_lazy_load_after_the_end_is_refused(maker):
    """An entity that left its scope cannot load anything."""
    async with scoped_services(maker, Authors) as authors:
        author = await authors.add("Vanya")
    with pytest.raises(DetachedInstanceError):
        assert author.notes


async def test_unread_stream_does_no_harm(maker, async_engine):
    """A result that nobody read to its end does not keep the connection."""
    async with scoped_services(maker) as scope:
        scope.session.add_all([Note(text=str(n)) for n in range(50)])
    async with scoped_services(maker) as scope:
        result = await scope.session.stream(select(Note.id))
        await result.fetchone()
    assert async_engine.pool.checkedout() == 0
    async with scoped_services(maker) as scope:
        assert await scope.session.scalar(text("SELECT count(*) FROM note")) == 50


# --- child tasks and threads ------------------------------------------------------------------


@on_two
async def test_child_task_has_no_current_scope(maker):
    """A child task does not see the scope of its parent."""

    async def child() -> None:
        with pytest.raises(NoScopeError):
            current_scope(maker)

    async with scoped_services(maker):
        await asyncio.create_task(child())


async def test_child_task_opens_its_own_scope(maker, async_engine, async_database):
    """A scope in a child task is a new one: it is stored although its parent's fails."""
    sessions = []

    async def child() -> None:
        async with scoped_services(maker, Notes) as notes:
            sessions.append(notes.session)
            await notes.add("child")

    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as notes:
            await asyncio.create_task(child())
            assert stored(async_database) == ["child"]
            assert sessions[0] is not notes.session
            await notes.add("parent")
            raise KeyError
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["child"]


@on_two
async def test_two_scopes_in_gather_have_a_transaction_each(maker, async_database):
    """Two branches of gather that open a scope each, inside a scope, do not meet."""

    async def branch(name: str) -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add(name)

    async with scoped_services(maker):
        await asyncio.gather(branch("one"), branch("two"))
    assert sorted(stored(async_database)) == ["one", "two"]


@on_two
async def test_child_task_that_outlives_the_scope_opens_its_own(
    maker, async_engine, async_database
):
    """A task that began inside a scope and works after its end has a scope of its own."""
    ended = asyncio.Event()

    async def child() -> None:
        await ended.wait()
        async with scoped_services(maker, Notes) as notes:
            await notes.add("child")

    async with scoped_services(maker, Notes) as notes:
        await notes.add("parent")
        task = asyncio.create_task(child())
    ended.set()
    await task
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["parent", "child"]


async def test_child_task_that_uses_a_closed_session_fails(maker, async_engine, async_database):
    """A task that writes through its parent's session after the end gets an error, not a loss."""
    ended = asyncio.Event()

    async def child(notes: Notes) -> None:
        await ended.wait()
        await notes.add("late")

    async with scoped_services(maker, Notes) as notes:
        await notes.add("parent")
        task = asyncio.create_task(child(notes))
    ended.set()
    with pytest.raises(ScopeClosedError):
        await task
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["parent"]


@on_two
async def test_thread_has_no_current_scope(maker):
    """A thread does not see the scope of the task that started it."""

    def ask() -> None:
        with pytest.raises(NoScopeError):
            current_scope(maker)

    async with scoped_services(maker):
        await asyncio.to_thread(ask)


@on_two
async def test_task_group_child_of_a_scope_has_no_current_scope(maker):
    """A task of a TaskGroup, anyio's included, does not see the scope around it."""

    async def child() -> None:
        with pytest.raises(NoScopeError):
            current_scope(maker)

    async with scoped_services(maker), anyio.create_task_group() as group:
        group.start_soon(child)


# --- entering here and leaving there ----------------------------------------------------------


async def test_entered_in_one_task_and_left_in_another(maker, async_engine, async_database):
    """A scope that is entered in one task and left in another is stored."""
    block = scoped_services(maker, Notes)
    notes = await asyncio.create_task(block.__aenter__())
    await asyncio.create_task(notes.add("a"))
    await asyncio.create_task(block.__aexit__(None, None, None))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["a"]


@on_two
async def test_left_in_another_task_with_an_error(maker, async_engine, async_database):
    """A scope that is left in another task with an error is rolled back."""
    block = scoped_services(maker, Notes)
    notes = await asyncio.create_task(block.__aenter__())
    await notes.add("a")
    error = KeyError()
    assert not await asyncio.create_task(block.__aexit__(KeyError, error, None))
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_left_in_another_context(maker, async_database):
    """After a scope was left in another context, its own task has no current scope."""
    block = scoped_services(maker, Notes)
    notes = await block.__aenter__()
    await notes.add("a")
    leaving = block.__aexit__(None, None, None)
    await asyncio.create_task(leaving, context=contextvars.Context())
    with pytest.raises(NoScopeError):
        current_scope(maker)
    async with scoped_services(maker, Notes) as fresh:
        assert fresh.session is not notes.session
        await fresh.add("b")
    assert stored(async_database) == ["a", "b"]


@contextlib.asynccontextmanager
async def unit_of_work(maker):
    """Wrap a scope, as applications do."""
    async with scoped_services(maker, Notes) as notes:
        yield notes


@on_two
async def test_inside_an_asynccontextmanager(maker, async_database):
    """A scope inside a generator-based context manager ends with it, both ways."""
    async with unit_of_work(maker) as notes:
        await notes.add("a")
    with pytest.raises(KeyError):
        async with unit_of_work(maker) as notes:
            await notes.add("b")
            raise KeyError
    assert stored(async_database) == ["a"]


@pytest.fixture
async def notes_of_the_test(maker, async_database):
    """Open a scope around the test, and look what it has stored."""
    async with scoped_services(maker, Notes) as notes:
        yield notes
    assert stored(async_database) == ["from a fixture"]


@on_two
async def test_inside_a_fixture(notes_of_the_test):
    """A scope may be opened and ended by a fixture around the test; it is stored at its end."""
    await notes_of_the_test.add("from a fixture")


@on_postgres
def test_through_an_anyio_portal(async_database):
    """A scope that a thread enters and leaves through an anyio portal is stored."""
    create_tables(async_database)
    engine = create_async_engine(async_database.url)
    maker = async_sessionmaker(engine)
    with anyio.from_thread.start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(scoped_services(maker, Notes)) as notes:
            portal.call(notes.add, "a")
        assert engine.pool.checkedout() == 0
        portal.call(engine.dispose)
    assert stored(async_database) == ["a"]


@on_two
async def test_two_scopes_left_in_the_order_they_were_entered(maker, async_database):
    """Independent scopes that are not left innermost first are both stored."""
    first, second = (scoped_services(maker, Notes, propagation="requires_new") for _ in range(2))
    one = await first.__aenter__()
    two = await second.__aenter__()
    await one.add("one")
    await first.__aexit__(None, None, None)
    await two.add("two")
    await second.__aexit__(None, None, None)
    assert stored(async_database) == ["one", "two"]
    with pytest.raises(NoScopeError):
        current_scope(maker)


@on_two
async def test_author_of_the_scope_is_detached(maker):
    """An entity belongs to no session once its scope has ended."""
    async with scoped_services(maker, Authors) as authors:
        author = await authors.add("Vanya")
        assert author in authors.session
    assert isinstance(author, Author)
    assert author not in authors.session
