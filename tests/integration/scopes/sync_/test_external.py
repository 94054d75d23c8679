"""A test's own transaction around everything: what is committed inside is undone at its end."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from sqla_safe import RollbackOnlyError, scoped_services
from tests.integration.scopes.models import Note, SyncNotes, stored


@pytest.fixture
def outside(sync_maker, sync_engine, sync_database):
    """Give a connection in a transaction that is rolled back after the test."""
    with sync_engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        assert transaction.is_active
        assert connection.scalar(text("SELECT 1")) == 1
        transaction.rollback()
    assert stored(sync_database) == []
    assert sync_engine.pool.checkedout() == 0


@pytest.fixture
def inside(outside):
    """Give a sessionmaker whose sessions join that transaction, as SQLAlchemy recommends."""
    return sessionmaker(outside, join_transaction_mode="create_savepoint")


def seen(connection) -> list[str]:
    """Read the notes as that transaction sees them."""
    return list(connection.scalars(text("SELECT text FROM note ORDER BY id")))


def test_a_scope_commits_into_the_outer_transaction(inside, outside):
    """To the code under test it is stored; to the database it is not."""
    ran = []
    with scoped_services(inside, SyncNotes) as notes, scoped_services(inside) as scope:
        scope.on_commit(lambda: ran.append("commit"))
        notes.add("a")
    assert scope.outcome == "committed"
    assert ran == ["commit"]
    assert seen(outside) == ["a"]


def test_a_failed_scope_undoes_only_itself(inside, outside):
    """An error rolls back to the scope's own savepoint; the outer transaction goes on."""
    with scoped_services(inside, SyncNotes) as notes:
        notes.add("a")
    with pytest.raises(KeyError), scoped_services(inside, SyncNotes) as notes:
        notes.add("b")
        raise KeyError
    with scoped_services(inside, SyncNotes) as notes:
        notes.add("c")
    assert seen(outside) == ["a", "c"]


def test_a_database_error_undoes_only_its_scope(inside, outside):
    """Also on PostgreSQL, where it aborts what is not a savepoint."""
    with scoped_services(inside, SyncNotes) as notes:
        notes.add("a")
    with pytest.raises(IntegrityError), scoped_services(inside, SyncNotes) as notes:
        notes.add("b")
        notes.add("a")
    assert seen(outside) == ["a"]


def test_a_swallowed_error_is_noticed_there_too(inside, outside):
    """Success means stored, inside a test's transaction as well."""
    with pytest.raises(RollbackOnlyError), scoped_services(inside, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(IntegrityError):
            notes.add("a")
    assert seen(outside) == []


def test_nested_scopes_work_there_too(inside, outside):
    """Savepoints inside the savepoint."""
    with scoped_services(inside, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(KeyError), scoped_services(inside, propagation="nested"):
            notes.add("b")
            raise KeyError
    assert seen(outside) == ["a"]


def test_an_independent_scope_shares_the_tests_connection(inside, outside):
    """There is only one connection, so `requires_new` is one more savepoint on it; it is seen."""
    with scoped_services(inside, SyncNotes, propagation="requires_new") as notes:
        notes.add("a")
    assert seen(outside) == ["a"]


def test_an_independent_scope_inside_another_one_works_there_too(inside, outside):
    """The code under test may use `requires_new` inside a scope without meeting an empty pool."""
    with scoped_services(inside, SyncNotes) as outer:
        outer.add("a")
        with scoped_services(inside, SyncNotes, propagation="requires_new") as inner:
            inner.add("b")
        outer.add("c")
    assert seen(outside) == ["a", "b", "c"]


def test_committing_early_works_there_too(inside, outside):
    """`scope.commit()` releases the savepoint and begins another one."""
    with pytest.raises(KeyError), scoped_services(inside) as scope:
        scope.session.add(Note(text="a"))
        scope.commit()
        scope.session.add(Note(text="b"))
        scope.session.flush()
        raise KeyError
    assert seen(outside) == ["a"]
