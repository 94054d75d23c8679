"""Rule 7: a service does not end the transaction of its scope."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from sqla_safe import ManagedTransactionError, RollbackOnlyError, configure, scoped_services
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import on_sqlite
from tests.integration.scopes.watching import here

METHODS = ["commit", "rollback", "close", "begin", "reset", "invalidate", "prepare"]


@on_sqlite
@pytest.mark.parametrize("method", METHODS)
def test_managed_methods_raise_at_the_call(sync_maker, sync_database, method):
    """The error names the method and the scope's line, and nothing is stored by then."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        opened = here(-1)
        notes.add("a")
        with pytest.raises(ManagedTransactionError) as caught:
            getattr(notes.session, method)()
        assert stored(sync_database) == []
    assert caught.value.method == method
    assert opened in str(caught.value)


def test_a_refused_call_changes_nothing(sync_maker, sync_database):
    """A service that swallows the refusal goes on in the same transaction, stored at the end."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        for method in METHODS:
            with pytest.raises(ManagedTransactionError):
                getattr(notes.session, method)()
        notes.add("b")
    assert stored(sync_database) == ["a", "b"]


def test_a_refused_commit_that_leaves_the_block_stores_nothing(sync_maker, sync_database):
    """A service's commit, as old code has it, is an error like any other."""
    with (
        pytest.raises(ManagedTransactionError, match=r"session\.commit\(\)"),
        scoped_services(sync_maker, SyncNotes) as notes,
    ):
        notes.add("a")
        notes.session.commit()
    assert stored(sync_database) == []


@on_sqlite
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda session: session.begin().__enter__(), id="begin-block"),
        pytest.param(lambda session: session.__exit__(None, None, None), id="session-block"),
    ],
)
def test_blocks_on_the_session_are_refused(sync_maker, use):
    """`with session:` and `with session.begin():` would end the transaction too."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(ManagedTransactionError):
            use(notes.session)


def test_ending_the_transaction_object_is_noticed(sync_maker, sync_database):
    """`session.get_transaction().commit()` does not lead to success for the rest alone."""
    with pytest.raises(Exception) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        notes.session.get_transaction().commit()
        notes.add("b")
    assert isinstance(caught.value, ManagedTransactionError | RollbackOnlyError)
    assert "b" not in stored(sync_database)


def test_rolling_back_the_transaction_object_is_noticed(sync_maker, sync_database):
    """`session.get_transaction().rollback()` does not lead to success for the rest alone."""
    with pytest.raises(Exception) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        notes.session.get_transaction().rollback()
        notes.add("b")
    assert isinstance(caught.value, ManagedTransactionError | RollbackOnlyError)
    assert stored(sync_database) == []


def test_begin_nested_stays_allowed(sync_maker, sync_database):
    """A service's own savepoint is released and rolled back as it likes."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        with notes.session.begin_nested():
            notes.add("a")
        savepoint = notes.session.begin_nested()
        notes.add("b")
        savepoint.rollback()
        with notes.session.begin(nested=True):
            notes.add("c")
    assert stored(sync_database) == ["a", "c"]


def test_flush_policy_turns_commit_into_flush(sync_maker, sync_database):
    """With service_commit="flush" a service's commit gives ids and stores nothing yet."""
    configure(sync_maker, service_commit="flush")
    with pytest.raises(KeyError), scoped_services(sync_maker) as scope:
        note = Note(text="a")
        scope.session.add(note)
        scope.session.commit()
        assert note.id is not None
        assert stored(sync_database) == []
        raise KeyError
    assert stored(sync_database) == []
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="b"))
        scope.session.commit()
    assert stored(sync_database) == ["b"]


def test_flush_policy_shows_a_failing_commit_at_the_call(sync_maker, sync_database):
    """What commit would have refused is refused at the same line."""
    configure(sync_maker, service_commit="flush")
    with pytest.raises(RollbackOnlyError), scoped_services(sync_maker) as scope:
        scope.session.add_all([Note(text="a"), Note(text="a")])
        with pytest.raises(IntegrityError):
            scope.session.commit()
    assert stored(sync_database) == []


def test_flush_policy_lets_rollback_doom_the_scope(sync_maker, sync_database):
    """A service's rollback makes the end raise RollbackOnlyError with the line of the call."""
    configure(sync_maker, service_commit="flush")
    with (
        pytest.raises(RollbackOnlyError) as caught,
        scoped_services(sync_maker, SyncNotes) as notes,
    ):
        notes.add("a")
        notes.session.rollback()
        called = here(-1)
        notes.add("b")
    assert called in str(caught.value)
    assert stored(sync_database) == []


def test_flush_policy_dooms_only_the_nested_scope(sync_maker, sync_database):
    """Inside a nested scope a service's rollback undoes that scope."""
    configure(sync_maker, service_commit="flush")
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(RollbackOnlyError), scoped_services(sync_maker, propagation="nested"):
            notes.add("b")
            notes.session.rollback()
    assert stored(sync_database) == ["a"]


@on_sqlite
@pytest.mark.parametrize("method", ["close", "begin", "reset", "invalidate", "prepare"])
def test_flush_policy_does_not_allow_the_rest(sync_maker, method):
    """Only commit and rollback have a second meaning."""
    configure(sync_maker, service_commit="flush")
    with scoped_services(sync_maker) as scope, pytest.raises(ManagedTransactionError):
        getattr(scope.session, method)()
