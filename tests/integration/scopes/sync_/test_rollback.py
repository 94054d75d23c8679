"""Rules 2 and 8: any BaseException rolls back and leaves unchanged, whatever the clean-up meets."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from sqla_safe import scoped_services
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import kill, on_servers, server_id


class OwnError(Exception):
    """An application's own."""


class OwnBaseError(BaseException):
    """Not even an Exception."""


any_exception = pytest.mark.parametrize(
    "kind", [OwnError, OwnBaseError, KeyboardInterrupt, GeneratorExit, SystemExit]
)


@any_exception
def test_any_exception_rolls_back(sync_maker, sync_engine, sync_database, kind):
    """Nothing of the block is stored, and the connection is back and clean."""
    with pytest.raises(kind), scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        notes.session.add(Note(text="b"))
        raise kind
    assert sync_engine.pool.checkedout() == 0
    assert sync_database.probe.idle_in_transaction() == 0
    assert stored(sync_database) == []


@any_exception
def test_any_exception_leaves_unchanged(sync_maker, kind):
    """The very object leaves the block: not wrapped, no context, no cause, no note."""
    own = kind("own")
    with pytest.raises(kind) as caught, scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.session.flush()
        raise own
    assert caught.value is own
    assert (own.__cause__, own.__context__) == (None, None)
    assert not hasattr(own, "__notes__")
    assert scope.outcome == "rolled_back"


def test_a_generator_that_is_closed_rolls_back(sync_maker, sync_engine, sync_database):
    """A generator thrown away in the middle of its scope stores nothing."""

    def generate():
        with scoped_services(sync_maker, SyncNotes) as notes:
            notes.add("a")
            yield notes.session

    generator = generate()
    next(generator)
    generator.close()
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


def test_the_databases_own_error_leaves_unchanged(sync_maker, sync_engine, sync_database):
    """An error of a statement that nobody swallows is what leaves the block."""
    with pytest.raises(IntegrityError) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        notes.add("a")
    assert not hasattr(caught.value, "__notes__")
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


def test_on_rollback_callbacks_run_after_the_rollback(sync_maker, sync_engine, sync_database):
    """They run in order, when the connection is back in its pool and nothing is stored."""
    seen = []
    with pytest.raises(OwnError), scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.session.flush()
        scope.on_rollback(lambda: seen.append((1, sync_engine.pool.checkedout())))
        scope.on_rollback(lambda: seen.append((2, stored(sync_database))))
        scope.on_commit(lambda: seen.append("commit"))
        raise OwnError
    assert seen == [(1, 0), (2, [])]


def test_a_failing_on_rollback_callback_is_a_note(sync_maker):
    """What such a callback raises is noted on the body's error; the others run all the same."""
    seen = []

    def fail():
        raise ValueError("the callback's own secret")

    own = OwnError("own")
    with pytest.raises(OwnError) as caught, scoped_services(sync_maker) as scope:
        scope.on_rollback(fail)
        scope.on_rollback(lambda: seen.append("second"))
        raise own
    assert caught.value is own
    [note] = own.__notes__
    assert "on_rollback" in note
    assert "ValueError" in note
    assert "secret" not in note
    assert seen == ["second"]


@on_servers
@any_exception
def test_the_bodys_error_wins_over_a_failing_clean_up(sync_maker, sync_engine, sync_database, kind):
    """When ROLLBACK meets a dead connection, the body's error leaves, with a note about it."""
    own = kind("own")
    with pytest.raises(kind) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        kill(sync_database, server_id(notes.session))
        raise own
    assert caught.value is own
    assert own.__context__ is None
    assert len(own.__notes__) == 1
    assert own.__notes__[0].startswith("sqla_safe: ")
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


@on_servers
def test_a_nested_scopes_error_wins_over_a_failing_clean_up(sync_maker, sync_engine, sync_database):
    """The same when ROLLBACK TO SAVEPOINT meets a dead connection."""
    own = OwnError("own")
    with pytest.raises(OwnError) as caught, scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with scoped_services(sync_maker, propagation="nested"):
            kill(sync_database, server_id(notes.session))
            raise own
    assert caught.value is own
    assert own.__notes__
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []
