"""Rule 1: a block that ends normally has committed, or raises."""

from __future__ import annotations

from contextlib import suppress

import pytest
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from sqla_safe import RollbackOnlyError, configure, scoped_services
from tests.integration.scopes.models import Comment, Note, SyncAuthors, SyncNotes, stored
from tests.integration.scopes.sync_.support import (
    MYSQL,
    POSTGRES,
    SQLITE,
    kill,
    on_mysql,
    on_postgres,
    on_servers,
    only_on,
    server_id,
    statements_of,
    stronger_rival,
)
from tests.integration.scopes.watching import here


def test_success_means_stored(sync_maker, sync_database):
    """What was flushed in a block that ends normally is stored."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
    assert stored(sync_database) == ["a"]


def test_nothing_is_stored_before_the_end(sync_maker, sync_database):
    """Nobody sees the work before the block has ended."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        assert stored(sync_database) == []


def test_pending_objects_are_stored(sync_maker, sync_database):
    """What was only added to the session is written at the end."""
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
    assert stored(sync_database) == ["a"]


def test_services_are_stored_together(sync_maker, sync_database):
    """Two services of one scope work in one transaction: an error undoes both."""
    with scoped_services(sync_maker, SyncNotes, SyncAuthors) as (notes, authors):
        notes.session.add(Note(text="a", author=authors.add("Vanya")))
    with (
        pytest.raises(KeyError),
        scoped_services(sync_maker, SyncNotes, SyncAuthors) as (notes, authors),
    ):
        authors.add("Anya")
        notes.add("b")
        raise KeyError
    assert stored(sync_database) == ["a"]
    assert sync_database.probe.scalar("SELECT count(*) FROM author") == 1


def test_outcome_is_committed(sync_maker):
    """The outcome is None while the block runs, and committed after its normal end."""
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        assert scope.outcome is None
        assert scope.is_active
    assert scope.outcome == "committed"
    assert not scope.is_active


def test_failing_flush_at_the_end_raises(sync_maker, sync_engine, sync_database):
    """When the last flush fails, its error leaves the block and nothing is stored."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
    with pytest.raises(IntegrityError), scoped_services(sync_maker) as scope:
        scope.session.add_all([Note(text="b"), Note(text="a")])
    assert scope.outcome == "rolled_back"
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == ["a"]


@only_on(SQLITE, POSTGRES)
def test_failing_commit_raises(sync_maker, sync_engine, sync_database):
    """When COMMIT fails, its error leaves the block, nothing is stored, no callback says so."""
    ran = []
    with pytest.raises(IntegrityError), scoped_services(sync_maker) as scope:
        scope.session.add_all([Note(text="a"), Comment(note_id=4711)])
        scope.session.flush()
        scope.on_commit(lambda: ran.append("commit"))
        scope.on_rollback(lambda: ran.append("rollback"))
    assert sync_engine.pool.checkedout() == 0
    assert sync_database.probe.idle_in_transaction() == 0
    assert stored(sync_database) == []
    assert scope.outcome == "rolled_back"
    assert ran == ["rollback"]


@on_postgres
def test_swallowed_statement_error_raises_at_the_end(sync_maker, sync_engine, sync_database):
    """A swallowed error that aborted the transaction ends in RollbackOnlyError, caused by it."""
    swallowed = None
    with pytest.raises(RollbackOnlyError) as caught, scoped_services(sync_maker) as scope:
        scope.session.execute(insert(Note).values(text="a"))
        try:
            scope.session.execute(insert(Note).values(text="a"))
        except IntegrityError as error:
            swallowed = error
    assert caught.value.__cause__ is swallowed
    assert scope.outcome == "rolled_back"
    assert sync_engine.pool.checkedout() == 0
    assert sync_database.probe.idle_in_transaction() == 0
    assert stored(sync_database) == []


@on_postgres
def test_swallowed_error_names_both_lines(sync_maker):
    """RollbackOnlyError says where the scope was opened and which statement had failed."""
    with pytest.raises(RollbackOnlyError) as caught, scoped_services(sync_maker) as scope:
        opened = here(-1)
        try:
            failed = here(1)
            scope.session.execute(text("SELECT 1 / 0"))
        except DBAPIError:
            pass
    assert caught.value.opened_at.endswith(opened)
    assert caught.value.where.endswith(failed)
    assert opened in str(caught.value)
    assert failed in str(caught.value)


@on_postgres
def test_swallowed_error_tells_no_values(sync_maker):
    """The text of RollbackOnlyError has neither parameters nor the database's detail."""
    with pytest.raises(RollbackOnlyError) as caught, scoped_services(sync_maker) as scope:
        for _ in range(2):
            with suppress(IntegrityError):
                scope.session.execute(insert(Note).values(text="secret"))
    shown = [str(caught.value), repr(caught.value), *getattr(caught.value, "__notes__", [])]
    assert [piece for piece in shown if "secret" in piece] == []


@on_postgres
def test_first_swallowed_error_is_the_cause(sync_maker):
    """After several swallowed errors the first one, which aborted the transaction, is the cause."""
    swallowed = []
    with pytest.raises(RollbackOnlyError) as caught, scoped_services(sync_maker) as scope:
        for statement in ("SELECT 1 / 0", "SELECT 1"):
            try:
                scope.session.execute(text(statement))
            except DBAPIError as error:
                swallowed.append(error)
    assert len(swallowed) == 2
    assert caught.value.__cause__ is swallowed[0]


@on_postgres
@pytest.mark.parametrize(
    "run",
    [
        pytest.param(lambda session: session.scalar(text("SELECT 1 / 0")), id="scalar"),
        pytest.param(lambda session: session.scalars(text("SELECT 1 / 0")), id="scalars"),
        pytest.param(lambda session: session.get(Note, 2**40), id="get"),
        pytest.param(
            lambda session: session.connection().execute(text("SELECT 1 / 0")), id="connection"
        ),
        pytest.param(
            lambda session: session.connection().exec_driver_sql("SELECT 1 / 0"), id="driver-sql"
        ),
        pytest.param(lambda session: session.query(Note.id / 0).all(), id="query"),
    ],
)
def test_no_way_to_swallow_an_error_gets_past(sync_maker, sync_database, run):
    """Whichever method met the error, a transaction aborted by it does not end in success."""
    with pytest.raises(RollbackOnlyError), scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(DBAPIError):
            run(notes.session)
    assert stored(sync_database) == []


@only_on(SQLITE, MYSQL)
def test_swallowed_error_that_aborts_nothing_is_forgiven(sync_maker, sync_database):
    """Where a failed statement leaves the transaction intact, the rest is stored."""
    with scoped_services(sync_maker) as scope:
        scope.session.execute(insert(Note).values(text="a"))
        with pytest.raises(IntegrityError):
            scope.session.execute(insert(Note).values(text="a"))
        scope.session.execute(insert(Note).values(text="b"))
    assert stored(sync_database) == ["a", "b"]


def test_swallowed_flush_error_raises_at_the_end(sync_maker, sync_engine, sync_database):
    """A failed flush rolls the session back everywhere: swallowing it ends in RollbackOnlyError."""
    swallowed = None
    with (
        pytest.raises(RollbackOnlyError) as caught,
        scoped_services(sync_maker, SyncNotes) as notes,
    ):
        notes.add("a")
        try:
            notes.add("a")
        except IntegrityError as error:
            swallowed = error
    assert caught.value.__cause__ is swallowed
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


def test_work_after_a_swallowed_flush_error_is_not_stored_alone(sync_maker, sync_database):
    """What comes after a swallowed flush error is not stored without what came before it."""
    with pytest.raises(Exception) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(IntegrityError):
            notes.add("a")
        notes.add("b")
    assert not isinstance(caught.value, AssertionError)
    assert stored(sync_database) == []


def test_error_inside_a_services_own_savepoint_is_forgiven(sync_maker, sync_database):
    """An error that was undone by the service's own begin_nested() does no harm."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(IntegrityError), notes.session.begin_nested():
            notes.add("a")
        notes.add("b")
    assert stored(sync_database) == ["a", "b"]


@on_servers
def test_swallowed_connection_loss_raises_at_the_end(sync_maker, sync_engine, sync_database):
    """A connection that was lost inside the block is not replaced behind the caller's back."""
    with pytest.raises(RollbackOnlyError), scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        kill(sync_database, server_id(notes.session))
        for _ in range(2):
            with suppress(Exception):
                notes.session.execute(insert(Note).values(text="b"))
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


@on_servers
def test_connection_loss_before_commit_raises(sync_maker, sync_engine, sync_database):
    """A connection that is gone when the block ends makes it raise, and nothing is stored."""
    with pytest.raises(Exception) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        kill(sync_database, server_id(notes.session))
    assert not isinstance(caught.value, AssertionError)
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


@pytest.fixture
def two_notes(sync_maker):
    """Store notes 1 and 2."""
    with scoped_services(sync_maker) as scope:
        scope.session.add_all([Note(id=1, text="one"), Note(id=2, text="two")])


def change(session, number: int) -> None:
    """Write to one note."""
    session.execute(update(Note).where(Note.id == number).values(text=f"changed {number}"))


@on_mysql
def test_a_deadlock_on_mysql_loses_all_of_the_transaction(
    two_notes, sync_maker, sync_engine, sync_database
):
    """Error 1213 undoes all: swallowed, it ends in RollbackOnlyError, not in half the work."""
    with (
        stronger_rival(sync_engine, sync_database) as rival,
        pytest.raises(RollbackOnlyError) as caught,
        scoped_services(sync_maker) as scope,
    ):
        scope.session.execute(insert(Note).values(id=3, text="before"))
        change(scope.session, 1)
        rival.attack()
        with pytest.raises(OperationalError, match="1213"):
            change(scope.session, 2)
        scope.session.execute(insert(Note).values(id=4, text="after"))
    assert caught.value.__cause__.orig.args[0] == 1213
    assert scope.outcome == "rolled_back"
    assert stored(sync_database) == ["one", "two"]


@on_mysql
def test_a_deadlock_inside_a_savepoint_on_mysql_loses_all_of_the_transaction(
    two_notes, sync_maker, sync_engine, sync_database
):
    """Error 1213 takes the savepoints along: a nested scope cannot contain it."""
    with (
        stronger_rival(sync_engine, sync_database) as rival,
        pytest.raises(RollbackOnlyError),
        scoped_services(sync_maker) as scope,
    ):
        scope.session.execute(insert(Note).values(id=3, text="before"))
        change(scope.session, 1)
        rival.attack()
        with (
            pytest.raises(OperationalError),
            scoped_services(sync_maker, propagation="nested"),
        ):
            change(scope.session, 2)
        scope.session.execute(insert(Note).values(id=4, text="after"))
    assert stored(sync_database) == ["one", "two"]


@on_mysql
def test_a_lock_timeout_on_mysql_undoes_only_its_statement(
    two_notes, sync_maker, sync_engine, sync_database
):
    """Error 1205 leaves the transaction intact, as the server is set by default."""
    with sync_engine.connect() as rival, scoped_services(sync_maker) as scope:
        rival.execute(text("UPDATE note SET author_id = NULL WHERE id = 2"))
        scope.session.execute(insert(Note).values(id=3, text="before"))
        scope.session.execute(text("SET innodb_lock_wait_timeout = 0"))
        with pytest.raises(OperationalError, match="1205"):
            change(scope.session, 2)
        scope.session.execute(text("SET innodb_lock_wait_timeout = DEFAULT"))
    assert stored(sync_database) == ["one", "two", "before"]


def test_set_rollback_only_raises_with_its_reason(sync_maker, sync_engine, sync_database):
    """After set_rollback_only the normal end stores nothing and raises with the reason."""
    with (
        pytest.raises(RollbackOnlyError, match="the invoice was cancelled"),
        scoped_services(sync_maker, SyncNotes) as notes,
        scoped_services(sync_maker) as scope,
    ):
        notes.add("a")
        scope.set_rollback_only("the invoice was cancelled")
    assert scope.outcome == "rolled_back"
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


def test_the_first_reason_for_rollback_stays(sync_maker):
    """A second set_rollback_only does not hide the first one's reason."""
    with (
        pytest.raises(RollbackOnlyError, match="first reason"),
        scoped_services(sync_maker) as scope,
    ):
        scope.set_rollback_only("first reason")
        scope.set_rollback_only("second reason")


def test_set_rollback_only_gives_way_to_the_bodys_error(sync_maker):
    """An error that leaves the block after set_rollback_only leaves it unchanged."""
    own = KeyError("own")
    with pytest.raises(KeyError) as caught, scoped_services(sync_maker) as scope:
        scope.set_rollback_only("because")
        raise own
    assert caught.value is own


def test_reading_costs_no_extra_statement(sync_maker, sync_engine):
    """A scope that only reads sends nothing but its own statements."""
    with scoped_services(sync_maker) as scope:
        scope.session.execute(select(Note))
    seen = statements_of(sync_engine)
    with scoped_services(sync_maker) as scope:
        scope.session.execute(select(Note))
    assert len(seen) == 1


def test_writing_costs_no_extra_statement(sync_maker, sync_engine):
    """A scope that writes asks nothing at its end, unless it is to know the outcome."""
    configure(sync_maker, resolve_commit=False)
    with scoped_services(sync_maker) as scope:
        scope.session.execute(select(Note))
    seen = statements_of(sync_engine)
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
    assert len(seen) == 1
    assert "INSERT" in seen[0]


@on_postgres
def test_knowing_the_outcome_costs_one_statement(sync_maker, sync_engine):
    """With resolve_commit (the default) a scope that writes asks for its transaction id, once."""
    with scoped_services(sync_maker) as scope:
        scope.session.execute(select(Note))
    seen = statements_of(sync_engine)
    with scoped_services(sync_maker) as scope:
        scope.session.add_all([Note(text="a"), Note(text="b")])
    assert len(seen) == 2
    assert "txid_current" in seen[1]


def test_no_connection_before_the_first_statement(sync_maker, sync_engine):
    """Rule 11: opening a scope and building services takes no connection."""
    taken = []
    event.listen(sync_engine, "checkout", lambda *_: taken.append(1))
    with scoped_services(sync_maker, SyncNotes, SyncAuthors) as (notes, _):
        assert taken == []
        notes.session.execute(select(Note))
        assert taken == [1]


@pytest.mark.parametrize(
    "option",
    [{}, {"read_only": True}, {"timeout": 5}, {"isolation_level": "SERIALIZABLE"}],
    ids=str,
)
def test_a_scope_without_statements_takes_no_connection(sync_maker, sync_engine, option):
    """An empty block ends well without the database."""
    taken = []
    event.listen(sync_engine, "checkout", lambda *_: taken.append(1))
    with scoped_services(sync_maker, **option) as scope:
        pass
    assert taken == []
    assert scope.outcome == "committed"
