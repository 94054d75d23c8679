"""Rule 11: no connection before the first statement; the sessionmaker's own options hold."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.util import await_only

from sqla_safe import ScopeClosedError, configure, scoped_services
from tests.integration.scopes.async_.support import (
    on_postgres,
    on_two,
    only_on,
)
from tests.integration.scopes.models import Author, Authors, Note, Notes, stored


async def test_no_connection_before_the_first_statement(maker, async_engine):
    """Entering, building services and adding objects take no connection; a statement takes one."""
    async with scoped_services(maker, Notes, Authors) as (notes, _):
        notes.session.add(Note(text="a"))
        assert async_engine.pool.checkedin() == async_engine.pool.checkedout() == 0
        await notes.session.flush()
        assert async_engine.pool.checkedout() == 1
    assert async_engine.pool.checkedout() == 0


@on_two
@pytest.mark.parametrize(
    "options",
    [{}, {"read_only": True}, {"isolation_level": "SERIALIZABLE"}, {"timeout": 5}],
    ids=str,
)
async def test_empty_scope_takes_no_connection(maker, async_engine, options):
    """A scope without a statement never takes a connection, whatever its options."""
    async with scoped_services(maker, Notes, **options):
        pass
    assert async_engine.pool.checkedin() == 0


async def test_one_connection_for_all_services(maker, async_engine):
    """All services and joined scopes of a scope share one connection."""
    taken = []
    event.listen(async_engine.sync_engine.pool, "checkout", lambda *args: taken.append(args))
    async with scoped_services(maker, Notes, Authors) as (notes, authors):
        await notes.add("a")
        await authors.add("Vanya")
        async with scoped_services(maker, Notes) as inner:
            await inner.add("b")
    assert len(taken) == 1


# --- the sessionmaker's own options -----------------------------------------------------------


@on_postgres
@pytest.mark.parametrize("expires", [True, False])
async def test_expire_on_commit_of_the_sessionmaker_holds(async_engine, maker, expires):
    """What the sessionmaker says about expiring on commit is what the end of the scope does."""
    own = async_sessionmaker(async_engine, expire_on_commit=expires)
    async with scoped_services(own, Authors) as authors:
        author = await authors.add("Vanya")
    if expires:
        with pytest.raises(DetachedInstanceError):
            assert author.name
    else:
        assert author.name == "Vanya"


@on_postgres
async def test_expire_on_commit_of_the_policy_wins(async_engine, maker):
    """configure(expire_on_commit=False) overrides the sessionmaker inside scopes."""
    own = async_sessionmaker(async_engine, expire_on_commit=True)
    configure(own, expire_on_commit=False)
    async with scoped_services(own, Authors) as authors:
        author = await authors.add("Vanya")
    assert author.name == "Vanya"


class OwnAsyncSession(AsyncSession):
    pass


class OwnSession(Session):
    pass


@on_two
async def test_session_classes_of_the_sessionmaker_hold(async_engine, maker):
    """The session is of the sessionmaker's own class, and so is its sync half."""
    own = async_sessionmaker(async_engine, class_=OwnAsyncSession, sync_session_class=OwnSession)
    async with scoped_services(own) as scope:
        assert isinstance(scope.session, OwnAsyncSession)
        assert isinstance(scope.session.sync_session, OwnSession)
        await scope.session.execute(text("SELECT 1"))


@only_on("aiosqlite")
async def test_further_options_of_the_sessionmaker_hold(async_engine, maker):
    """The session has the sessionmaker's info and autoflush."""
    own = async_sessionmaker(async_engine, info={"tenant": 7}, autoflush=False)
    async with scoped_services(own) as scope:
        assert scope.session.info["tenant"] == 7
        scope.session.add(Note(text="a"))
        assert (await scope.session.scalars(select(Note))).all() == []


async def test_autobegin_false_works(async_engine, maker, async_database):
    """A sessionmaker with autobegin=False gives scopes that have begun."""
    own = async_sessionmaker(async_engine, autobegin=False)
    async with scoped_services(own) as scope:
        scope.session.add(Note(text="a"))
        await scope.commit()
        scope.session.add(Note(text="b"))
    assert stored(async_database) == ["a", "b"]


@on_two
async def test_close_resets_only_of_the_sessionmaker_does_not_hold(async_engine, maker):
    """A closed scope stays closed although the sessionmaker would let sessions come back."""
    own = async_sessionmaker(async_engine, close_resets_only=True)
    async with scoped_services(own, Notes) as notes:
        pass
    with pytest.raises(ScopeClosedError):
        await notes.add("late")


@on_two
async def test_events_of_the_session_class_are_heard(async_engine, maker):
    """Listeners on the sessionmaker's own session class hear the scope's session."""
    heard = []

    class Heard(Session):
        pass

    event.listen(Heard, "after_commit", lambda session: heard.append(session.info))
    own = async_sessionmaker(async_engine, sync_session_class=Heard)
    async with scoped_services(own, Notes) as notes:
        await notes.add("a")
    assert len(heard) == 1


async def test_bound_to_a_connection(async_engine, maker, async_database):
    """Scopes on a caller's own connection, as in tests, are undone with its transaction."""
    async with async_engine.connect() as connection:
        outer = await connection.begin()
        own = async_sessionmaker(connection, join_transaction_mode="create_savepoint")
        async with scoped_services(own, Notes) as notes:
            await notes.add("a")
        with pytest.raises(KeyError):
            async with scoped_services(own, Notes) as notes:
                await notes.add("b")
                raise KeyError
        async with scoped_services(own) as scope:
            assert (await scope.session.scalars(select(Note.text))).all() == ["a"]
        await outer.rollback()
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


@on_two
async def test_lazy_load_inside_the_scope(maker):
    """Inside the scope a relationship can be loaded."""
    async with scoped_services(maker, Authors) as authors:
        author = await authors.add("Vanya")
        authors.session.add(Note(text="a", author=author))
    async with scoped_services(maker) as scope:
        author = await scope.session.scalar(select(Author))
        await scope.session.refresh(author, ["notes"])
        assert [note.text for note in author.notes] == ["a"]


async def test_a_pool_that_times_out_is_no_cancellation(async_database, make_async_engine):
    """The pool's own timeout leaves as SQLAlchemy's TimeoutError, and the task goes on."""
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}
    engine = make_async_engine(async_database, **options)
    maker = async_sessionmaker(engine)
    async with engine.connect():
        with pytest.raises(PoolTimeout):
            async with scoped_services(maker) as scope:
                await scope.session.execute(text("SELECT 1"))
        assert scope.outcome == "rolled_back"
    async with scoped_services(maker) as scope:
        assert await scope.session.scalar(text("SELECT 1")) == 1


@only_on("aiosqlite")
async def test_a_cancellation_while_the_pool_is_waited_for_is_one(
    async_database, make_async_engine
):
    """A task that is cancelled meanwhile ends as cancelled."""
    engine = make_async_engine(async_database, pool_size=1, max_overflow=0)
    maker = async_sessionmaker(engine)

    async def work() -> None:
        async with scoped_services(maker) as scope:
            await scope.session.execute(text("SELECT 1"))

    async with engine.connect():
        task = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_connection_that_times_out_is_no_cancellation(make_async_engine):
    """The driver's own timeout for connecting leaves as the driver raises it."""

    async def say_nothing(_: object, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql+asyncpg://nobody@127.0.0.1:{port}/nothing"
    engine = create_async_engine(url, connect_args={"timeout": 0.05})
    with pytest.raises(TimeoutError):
        async with scoped_services(async_sessionmaker(engine)) as scope:
            await scope.session.execute(text("SELECT 1"))
    assert engine.pool.checkedout() == 0
    await engine.dispose()
    server.close()


async def test_an_operation_goes_on_after_a_timeout_of_its_own(maker):
    """What times out inside, and is caught there, is nobody's cancellation."""

    def two_steps(_session: Session) -> str:
        await_only(impatient())
        return await_only(asyncio.sleep(0.01, "done"))

    async def impatient() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)

    async with scoped_services(maker) as scope:
        assert await scope.session.run_sync(two_steps) == "done"
        assert await scope.session.scalar(text("SELECT 1")) == 1
