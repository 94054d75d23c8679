"""Rule 10: a read-only scope reads, and says loudly when something is to be written."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, event, insert, select, text, update
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import ReadOnlyScopeError, configure, current_scope, scoped_services
from tests.integration.scopes.async_.support import (
    on_postgres,
    on_servers,
    on_sqlite,
    on_two,
    only_on,
)
from tests.integration.scopes.models import Note, Notes, stored


@pytest.fixture
async def one_note(maker):
    """Store one note."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")


async def test_reading_works(maker, one_note):
    """A read-only scope reads what is stored."""
    async with scoped_services(maker, read_only=True) as scope:
        assert (await scope.session.scalars(select(Note.text))).all() == ["a"]
        assert (await scope.session.get(Note, 1)).text == "a"
    assert scope.outcome == "committed"


async def test_flush_is_refused(maker, async_database):
    """A flush of new objects raises, and nothing is stored."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, Notes, read_only=True) as notes:
            await notes.add("a")
    assert stored(async_database) == []


@on_two
async def test_unflushed_changes_are_refused_at_the_end(maker, async_database):
    """Changes that are still pending when the block ends are not dropped silently."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, read_only=True) as scope:
            scope.session.add(Note(text="a"))
    assert scope.outcome == "rolled_back"
    assert stored(async_database) == []


@on_two
async def test_changed_entity_is_refused_at_the_end(maker, async_database, one_note):
    """A change of a loaded entity is not dropped silently."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, read_only=True) as scope:
            note = await scope.session.get(Note, 1)
            note.text = "b"
    assert stored(async_database) == ["a"]


@on_two
async def test_deleted_entity_is_refused_at_the_end(maker, async_database, one_note):
    """A deletion is not dropped silently."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, read_only=True) as scope:
            await scope.session.delete(await scope.session.get(Note, 1))
    assert stored(async_database) == ["a"]


DML = {
    "insert": insert(Note).values(text="b"),
    "update": update(Note).values(text="b"),
    "delete": delete(Note),
    "text insert": text("INSERT INTO note (id, text) VALUES (2, 'b')"),
    "text update": text("UPDATE note SET text = 'b'"),
    "text delete": text("DELETE FROM note"),
}


@pytest.mark.parametrize("kind", DML)
async def test_dml_is_refused(maker, async_engine, async_database, one_note, kind):
    """INSERT, UPDATE and DELETE raise ReadOnlyScopeError, also as text."""
    with pytest.raises(ReadOnlyScopeError) as caught:
        async with scoped_services(maker, read_only=True) as scope:
            await scope.session.execute(DML[kind])
    assert scope.opened_at in str(caught.value)
    assert isinstance(caught.value, InvalidRequestError)
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == ["a"]


async def test_dml_through_the_connection_is_refused(maker, async_database, one_note):
    """A write that goes round the session, through its connection, is refused by the database."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, read_only=True) as scope:
            connection = await scope.session.connection()
            await connection.exec_driver_sql("DELETE FROM note")
    assert stored(async_database) == ["a"]


@on_two
async def test_bulk_insert_is_refused(maker, async_database):
    """The session's bulk methods raise as well."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, read_only=True) as scope:
            await scope.session.run_sync(
                lambda session: session.bulk_insert_mappings(Note, [{"text": "a"}])
            )
    assert stored(async_database) == []


@on_postgres
async def test_writing_function_is_refused(maker, async_database):
    """A SELECT that writes is refused by PostgreSQL, and raises ReadOnlyScopeError."""
    async_database.probe.execute(
        "CREATE FUNCTION write() RETURNS void LANGUAGE sql AS "
        "$$ INSERT INTO note (text) VALUES ('a') $$"
    )
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, read_only=True) as scope:
            await scope.session.execute(text("SELECT write()"))
    assert stored(async_database) == []


@on_postgres
async def test_transaction_is_read_only_on_postgresql(maker):
    """PostgreSQL itself knows that the transaction is read-only."""
    async with scoped_services(maker, read_only=True) as scope:
        assert await scope.session.scalar(text("SHOW transaction_read_only")) == "on"


@on_sqlite
async def test_connection_is_read_only_on_sqlite(maker):
    """SQLite itself knows that only queries are allowed, and takes no write lock."""
    async with scoped_services(maker, read_only=True) as scope:
        assert await scope.session.scalar(text("PRAGMA query_only")) == 1


@on_sqlite
async def test_reader_does_not_wait_for_a_writer(maker, async_database, one_note):
    """On SQLite a read-only scope reads while another connection writes."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("b")
        async with scoped_services(maker, read_only=True, propagation="requires_new") as reader:
            texts = (await reader.session.scalars(select(Note.text))).all()
    assert texts == ["a"]


async def test_next_scope_on_the_connection_writes(async_database, maker, make_async_engine):
    """A connection that served a read-only scope serves a writing one, and the other way round."""
    engine = make_async_engine(async_database, pool_size=1)
    small = async_sessionmaker(engine)
    for number in range(3):
        async with scoped_services(small, read_only=True) as scope:
            await scope.session.execute(select(Note))
        async with scoped_services(small, Notes) as notes:
            await notes.add(str(number))
    assert stored(async_database) == ["0", "1", "2"]


async def test_next_scope_after_a_failed_one_writes(async_database, maker, make_async_engine):
    """A connection whose read-only scope failed serves a writing scope."""
    engine = make_async_engine(async_database, pool_size=1)
    small = async_sessionmaker(engine)
    for error in (KeyError, GeneratorExit):
        with pytest.raises(error):
            async with scoped_services(small, read_only=True) as scope:
                await scope.session.execute(select(Note))
                raise error
    async with scoped_services(small, Notes) as notes:
        await notes.add("a")
    assert stored(async_database) == ["a"]


async def test_read_only_inside_read_write(maker, async_database):
    """A read-only block inside a writing scope refuses writes; the outer one may go on writing."""
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        async with scoped_services(maker, read_only=True) as inner:
            assert (await inner.session.scalars(select(Note.text))).all() == ["a"]
            with pytest.raises(ReadOnlyScopeError):
                await inner.session.execute(insert(Note).values(text="b"))
        await notes.add("c")
    assert stored(async_database) == ["a", "c"]


@on_two
async def test_pending_changes_of_the_outer_scope_pass(maker, async_database):
    """A read-only block does not refuse what the writing scope around it had pending."""
    async with scoped_services(maker) as scope:
        scope.session.add(Note(text="a"))
        async with scoped_services(maker, read_only=True) as inner:
            assert (await inner.session.scalars(select(Note.text))).all() == ["a"]
    assert stored(async_database) == ["a"]


@on_two
async def test_pending_changes_of_the_inner_block_are_refused(maker, async_database):
    """What a read-only block added to the session of a writing scope raises at the block's end."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker), scoped_services(maker, read_only=True) as inner:
            inner.session.add(Note(text="a"))
    assert stored(async_database) == []


@on_two
async def test_text_inside_read_only_inside_read_write(maker, async_database):
    """A read-only block inside a scope that has written refuses a write in text form, too."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            async with scoped_services(maker, read_only=True) as inner:
                await inner.session.execute(DML["text insert"])
    assert stored(async_database) == []


@only_on("aiosqlite", "asyncpg", "asyncmy")
async def test_read_only_bind(async_database, maker, async_engine, make_async_engine):
    """With read_only_bind, read-only scopes and they alone use that engine."""
    replica = make_async_engine(async_database)
    used = []
    for name, engine in (("primary", async_engine), ("replica", replica)):
        event.listen(engine.sync_engine.pool, "checkout", lambda *_, n=name: used.append(n))
    configure(maker, read_only_bind=replica)
    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
    async with scoped_services(maker, read_only=True) as scope:
        assert (await scope.session.scalars(select(Note.text))).all() == ["a"]
    assert used == ["primary", "replica"]
    assert replica.pool.checkedout() == 0


@on_servers
async def test_read_only_together_with_isolation_level(maker, async_database):
    """read_only and isolation_level work together."""
    with pytest.raises(ReadOnlyScopeError):
        async with scoped_services(maker, read_only=True, isolation_level="SERIALIZABLE") as scope:
            assert current_scope(maker) is scope
            await scope.session.execute(text("DELETE FROM note"))
    assert stored(async_database) == []
