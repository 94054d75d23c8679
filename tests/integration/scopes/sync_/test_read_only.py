"""Rule 10: read-only scopes read, and refuse loudly to write."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select, text, update

from sqla_safe import ReadOnlyScopeError, configure, prepare_sqlite, scoped_services
from tests.databases import Database
from tests.integration.scopes.models import Note, SyncNotes, create_tables, stored
from tests.integration.scopes.sync_.support import on_postgres, on_sqlite
from tests.integration.scopes.watching import here


def add(session):
    """Insert through the ORM."""
    session.add(Note(text="b"))
    session.flush()


def change(session):
    """Update through the ORM."""
    session.get(Note, 1).text = "changed"
    session.flush()


def remove(session):
    """Delete through the ORM."""
    session.delete(session.get(Note, 1))
    session.flush()


WRITES = {
    "orm-insert": add,
    "orm-update": change,
    "orm-delete": remove,
    "orm-autoflush": lambda session: (session.add(Note(text="b")), session.execute(select(Note))),
    "orm-bulk": lambda session: session.bulk_insert_mappings(Note, [{"text": "b"}]),
    "core-insert": lambda session: session.execute(insert(Note).values(text="b")),
    "core-update": lambda session: session.execute(update(Note).values(text="b")),
    "core-delete": lambda session: session.execute(delete(Note)),
    "text-insert": lambda session: session.execute(
        text("INSERT INTO note (id, text) VALUES (2, 'b')")
    ),
    "text-update": lambda session: session.execute(text("UPDATE note SET text = 'b'")),
    "text-delete": lambda session: session.execute(text("/* all */ DELETE FROM note")),
    "text-scalar": lambda session: session.scalar(text("UPDATE note SET text = 'b'")),
    "connection": lambda session: session.connection().execute(insert(Note).values(text="b")),
    "driver-sql": lambda session: session.connection().exec_driver_sql("DELETE FROM note"),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@pytest.fixture(autouse=True)
def one_note(sync_maker):
    """Store note 1."""
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))


@each_write
def test_a_write_is_refused(sync_maker, sync_engine, sync_database, write):
    """Whichever way it comes, a write raises with the scope's line, and nothing is written."""
    with (
        pytest.raises(ReadOnlyScopeError) as caught,
        scoped_services(sync_maker, read_only=True) as scope,
    ):
        opened = here(-2)
        write(scope.session)
    assert opened in str(caught.value)
    assert sync_engine.pool.checkedout() == 0
    assert sync_database.probe.idle_in_transaction() == 0
    assert stored(sync_database) == ["a"]
    with scoped_services(sync_maker, SyncNotes) as notes:  # on the same pooled connection
        notes.add("c")
    assert stored(sync_database) == ["a", "c"]


@on_sqlite
@each_write
def test_a_write_is_refused_in_a_block_that_joins_for_reading(sync_maker, sync_database, write):
    """`read_only=True` holds for the inner block only, and the outer one's work is safe."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("c")
        with (
            pytest.raises(ReadOnlyScopeError),
            scoped_services(sync_maker, read_only=True, propagation="nested") as scope,
        ):
            write(scope.session)
        notes.session.expunge_all()
        notes.add("d")
    assert stored(sync_database) == ["a", "c", "d"]


def test_reading_works(sync_maker):
    """SELECTs, ORM and text, go through."""
    with scoped_services(sync_maker, read_only=True) as scope:
        assert scope.session.get(Note, 1).text == "a"
        assert scope.session.scalars(select(Note.text)).all() == ["a"]
        assert scope.session.scalar(text("SELECT count(*) FROM note")) == 1
    assert scope.outcome == "committed"


def test_a_change_that_was_never_flushed_is_refused_at_the_end(sync_maker, sync_database):
    """A changed object is a lost change: the end says so."""
    with (
        pytest.raises(ReadOnlyScopeError),
        scoped_services(sync_maker, read_only=True) as scope,
    ):
        scope.session.get(Note, 1).text = "changed"
    assert stored(sync_database) == ["a"]


@on_sqlite
def test_setting_the_same_value_is_no_change(sync_maker):
    """An attribute set to what it was needs no write."""
    with scoped_services(sync_maker, read_only=True) as scope:
        note = scope.session.get(Note, 1)
        note.text = "a"
    assert scope.outcome == "committed"


@on_sqlite
def test_a_change_before_a_block_that_joins_for_reading_is_stored(sync_maker, sync_database):
    """What the outer block had pending is not the inner block's write."""
    with scoped_services(sync_maker) as outer:
        outer.session.add(Note(text="c"))
        with scoped_services(sync_maker, read_only=True) as inner:
            assert inner.session.scalar(select(Note.text).where(Note.text == "c")) == "c"
    assert stored(sync_database) == ["a", "c"]


@on_sqlite
def test_a_change_inside_a_block_that_joins_for_reading_is_refused_at_its_end(
    sync_maker, sync_database
):
    """The inner end refuses a pending change, before the outer flush could write it."""
    with (
        pytest.raises(ReadOnlyScopeError),
        scoped_services(sync_maker),
        scoped_services(sync_maker, read_only=True) as inner,
    ):
        inner.session.add(Note(text="c"))
    assert stored(sync_database) == ["a"]


@on_postgres
def test_postgresql_is_in_a_read_only_transaction(sync_maker):
    """The database itself knows, and the next scope writes again."""
    with scoped_services(sync_maker, read_only=True) as scope:
        assert scope.session.scalar(text("SHOW transaction_read_only")) == "on"
    with scoped_services(sync_maker) as scope:
        assert scope.session.scalar(text("SHOW transaction_read_only")) == "off"


@on_postgres
def test_read_only_and_isolation_together(sync_maker):
    """A consistent report: read-only and REPEATABLE READ."""
    with scoped_services(sync_maker, read_only=True, isolation_level="REPEATABLE READ") as scope:
        assert scope.session.scalar(text("SHOW transaction_read_only")) == "on"
        assert scope.session.scalar(text("SHOW transaction_isolation")) == "repeatable read"


@on_sqlite
def test_a_reader_is_not_held_up_by_a_writer(sync_maker, sync_database):
    """On prepared SQLite a read-only scope does not ask for the write lock."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("c")
        with scoped_services(sync_maker, read_only=True, propagation="requires_new") as scope:
            assert scope.session.scalar(select(Note.text)) == "a"


def test_read_only_scopes_go_to_the_replica(sync_maker, sync_engine, make_engine, tmp_path):
    """With read_only_bind they use its connections, and other scopes do not."""
    url = f"sqlite:///{tmp_path / 'replica.db'}"
    probe = Database("replica", url, False, "sqlite", "pysqlite", sync_engine_probe(tmp_path))
    create_tables(probe)
    probe.probe.execute("INSERT INTO note (id, text) VALUES (1, 'replicated')")
    replica = prepare_sqlite(make_engine(probe))
    configure(sync_maker, read_only_bind=replica)
    with scoped_services(sync_maker, read_only=True) as scope:
        assert scope.session.scalar(select(Note.text)) == "replicated"
        assert (replica.pool.checkedout(), sync_engine.pool.checkedout()) == (1, 0)
    with scoped_services(sync_maker) as scope:
        assert scope.session.scalar(select(Note.text)) == "a"
    with (
        pytest.raises(ReadOnlyScopeError),
        scoped_services(sync_maker, read_only=True) as scope,
    ):
        scope.session.execute(text("DELETE FROM note"))
    assert replica.pool.checkedout() == 0


def sync_engine_probe(folder):
    """Look at the replica from outside."""
    import sqlite3

    from tests.databases import SqliteProbe

    return SqliteProbe(lambda: sqlite3.connect(folder / "replica.db", isolation_level=None))
