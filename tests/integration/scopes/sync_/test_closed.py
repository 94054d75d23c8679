"""Rule 5: a closed scope stays closed, threads inherit none, and blocks may end elsewhere."""

from __future__ import annotations

import contextvars

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session, object_session, sessionmaker

from sqla_safe import NoScopeError, ScopeClosedError, current_scope, scoped_services
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import in_thread, on_sqlite
from tests.integration.scopes.watching import here

SELECT = text("SELECT 1")

ON_SESSION = {
    "execute": lambda session: session.execute(SELECT),
    "scalar": lambda session: session.scalar(SELECT),
    "scalars": lambda session: session.scalars(select(Note)),
    "get": lambda session: session.get(Note, 1),
    "get_one": lambda session: session.get_one(Note, 1),
    "query": lambda session: session.query(Note).all(),
    "add": lambda session: session.add(Note(text="late")),
    "add_all": lambda session: session.add_all([Note(text="late")]),
    "delete": lambda session: session.delete(Note(id=1)),
    "merge": lambda session: session.merge(Note(id=1, text="late")),
    "refresh": lambda session: session.refresh(Note(id=1)),
    "flush": lambda session: session.flush(),
    "connection": lambda session: session.connection(),
    "commit": lambda session: session.commit(),
    "rollback": lambda session: session.rollback(),
    "begin": lambda session: session.begin(),
    "begin_nested": lambda session: session.begin_nested(),
    "bulk_save_objects": lambda session: session.bulk_save_objects([Note(text="late")]),
    "bulk_insert_mappings": lambda session: session.bulk_insert_mappings(Note, [{"text": "late"}]),
    "bulk_update_mappings": lambda session: session.bulk_update_mappings(Note, [{"id": 1}]),
}
ON_SCOPE = {
    "get": lambda scope: scope.get(SyncNotes),
    "commit": lambda scope: scope.commit(),
    "on_commit": lambda scope: scope.on_commit(print),
    "on_rollback": lambda scope: scope.on_rollback(print),
    "set_rollback_only": lambda scope: scope.set_rollback_only("late"),
}


@on_sqlite
@pytest.mark.parametrize("operation", ON_SESSION.values(), ids=ON_SESSION)
@pytest.mark.parametrize("ended", ["committed", "rolled_back"])
def test_a_session_kept_after_its_scope_refuses(sync_maker, sync_engine, operation, ended):
    """A service in a global fails at first use, with the line of its scope, and takes nothing."""
    block = scoped_services(sync_maker, SyncNotes)
    opened = here(-1)
    kept = block.__enter__()
    kept.session.execute(SELECT)
    error = KeyError() if ended == "rolled_back" else None
    block.__exit__(error and KeyError, error, None)
    with pytest.raises(ScopeClosedError) as caught:
        operation(kept.session)
    assert opened in str(caught.value)
    assert sync_engine.pool.checkedout() == 0


@on_sqlite
@pytest.mark.parametrize("operation", ON_SCOPE.values(), ids=ON_SCOPE)
def test_a_scope_that_has_ended_refuses(sync_maker, operation):
    """What steers a scope is refused when there is nothing left to steer."""
    with scoped_services(sync_maker) as scope:
        opened = here(-1)
    with pytest.raises(ScopeClosedError, match=opened):
        operation(scope)


@on_sqlite
def test_an_inner_scope_that_has_ended_refuses_although_the_outer_one_goes_on(sync_maker):
    """The scope object of a joined block ends with its block; the session goes on."""
    with scoped_services(sync_maker) as outer:
        with scoped_services(sync_maker) as inner:
            pass
        with pytest.raises(ScopeClosedError):
            inner.on_commit(print)
        assert inner.session.scalar(SELECT) == 1
        outer.on_commit(list)


@on_sqlite
def test_closing_a_closed_session_is_harmless(sync_maker):
    """A `finally: session.close()` somewhere does no harm after the end."""
    with scoped_services(sync_maker) as scope:
        pass
    scope.session.close()


@on_sqlite
def test_a_sessionmaker_cannot_make_sessions_come_back(sync_engine, sync_maker):
    """`close_resets_only=True` of the sessionmaker is an option that the rules override."""
    maker = sessionmaker(sync_engine, close_resets_only=True)
    with scoped_services(maker) as scope:
        pass
    with pytest.raises(ScopeClosedError):
        scope.session.execute(SELECT)


@on_sqlite
def test_a_connection_taken_past_the_doors_is_refused(sync_maker, sync_engine):
    """A call of SQLAlchemy's own method on an ended session gets no connection either."""
    with scoped_services(sync_maker) as scope:
        scope.session.execute(SELECT)
    with pytest.raises(ScopeClosedError):
        Session.execute(scope.session, SELECT)
    assert sync_engine.pool.checkedout() == 0


@on_sqlite
def test_what_a_listener_adds_after_commit_leaves_the_session(sync_engine):
    """Nothing stays attached to the session of an ended scope, however late it came."""
    late = Note(text="late")
    maker = sessionmaker(sync_engine)
    event.listen(maker.class_, "after_commit", lambda session: session.add(late))
    with scoped_services(maker) as scope:
        scope.session.execute(SELECT)
    assert object_session(late) is None


@on_sqlite
def test_a_session_class_that_closes_in_its_own_way_is_closed(sync_engine):
    """`close()` of the user's own session class is called at the end of each block."""
    closed = []

    class Own(Session):
        def close(self):
            closed.append(self)
            super().close()

    with scoped_services(sessionmaker(sync_engine, class_=Own)) as scope:
        scope.session.execute(SELECT)
    assert closed == [scope.session]


@on_sqlite
def test_threads_inherit_no_scope(sync_maker):
    """In another thread there is no current scope."""

    def work():
        with pytest.raises(NoScopeError, match="threads do not inherit"):
            current_scope(sync_maker)

    with scoped_services(sync_maker):
        copied = contextvars.copy_context()
        in_thread(work)
        in_thread(lambda: copied.run(work))


def test_a_thread_opens_a_scope_of_its_own(sync_maker, sync_database):
    """A block in a thread, also one with a copied context, is a new transaction."""

    def work():
        with scoped_services(sync_maker, SyncNotes) as notes:
            notes.add("thread")
            return notes.session

    with scoped_services(sync_maker) as outer:
        copied = contextvars.copy_context()
        assert in_thread(lambda: copied.run(work)) is not outer.session
        assert stored(sync_database) == ["thread"]


def test_a_block_may_end_in_another_context(sync_maker, sync_engine, sync_database):
    """Entered in one context and left in another, as fixtures and portals do, it is stored."""
    first, second = contextvars.copy_context(), contextvars.copy_context()
    block = scoped_services(sync_maker, SyncNotes)
    notes = first.run(block.__enter__)
    notes.add("a")
    second.run(block.__exit__, None, None, None)
    assert stored(sync_database) == ["a"]
    assert sync_engine.pool.checkedout() == 0
    with pytest.raises(NoScopeError):
        first.run(current_scope, sync_maker)
    with pytest.raises(NoScopeError):
        second.run(current_scope, sync_maker)


def test_after_ending_elsewhere_the_first_context_opens_anew(sync_maker, sync_database):
    """The closed scope left behind in a context is skipped, not joined."""
    first = contextvars.copy_context()
    block = scoped_services(sync_maker)
    old = first.run(block.__enter__)
    block.__exit__(None, None, None)

    def work():
        with scoped_services(sync_maker, SyncNotes) as notes:
            notes.add("a")
            return notes.session

    assert first.run(work) is not old.session
    assert stored(sync_database) == ["a"]


@pytest.mark.parametrize("error", [None, KeyError()], ids=["well", "badly"])
def test_a_block_may_end_in_another_thread(sync_maker, sync_engine, sync_database, error):
    """Entered in one thread and left in another, as FastAPI's sync dependencies are."""
    block = scoped_services(sync_maker, SyncNotes)
    notes = in_thread(block.__enter__)
    in_thread(lambda: notes.add("a"))
    in_thread(lambda: block.__exit__(error and KeyError, error, None))
    assert stored(sync_database) == ([] if error else ["a"])
    assert sync_engine.pool.checkedout() == 0


@on_sqlite
def test_an_outer_block_that_ends_first_leaves_no_half(sync_maker, sync_engine, sync_database):
    """Ended in the wrong order, the outer commit stores all and the inner end is harmless."""
    outer, inner = scoped_services(sync_maker, SyncNotes), scoped_services(sync_maker, SyncNotes)
    outer.__enter__().add("a")
    inner.__enter__().add("b")
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    assert stored(sync_database) == ["a", "b"]
    assert sync_engine.pool.checkedout() == 0
    with scoped_services(sync_maker, propagation="never"):
        pass


@pytest.mark.parametrize("ask", ["current_scope", "mandatory"])
def test_a_thread_is_not_called_a_task(sync_maker, ask):
    """Outside of an event loop it is this thread that has no open scope."""

    def mandatory(maker):
        with scoped_services(maker, propagation="mandatory"):
            pytest.fail("entered")

    with pytest.raises(NoScopeError, match="but this thread has no open scope"):
        (current_scope if ask == "current_scope" else mandatory)(sync_maker)
