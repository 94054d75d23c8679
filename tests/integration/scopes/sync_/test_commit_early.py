"""`scope.commit()`: store what is done, give the connection back, and go on."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from sqla_safe import (
    CommitCallbackError,
    RollbackOnlyError,
    ScopeClosedError,
    ScopeOptionError,
    ScopeTimeoutError,
    configure,
    scoped_services,
)
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import (
    on_postgres,
    on_servers,
    on_sqlite,
    server_id,
)


def test_it_stores_and_gives_the_connection_back(sync_maker, sync_engine, sync_database):
    """Before a slow call nothing is held, and what comes later is a new transaction."""
    with (
        pytest.raises(KeyError),
        scoped_services(sync_maker, SyncNotes) as notes,
        scoped_services(sync_maker) as joined,
    ):
        notes.add("a")
        with pytest.raises(ScopeOptionError):
            joined.commit()
        raise KeyError
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.commit()
        assert stored(sync_database) == ["a"]
        assert sync_engine.pool.checkedout() == 0
        assert sync_database.probe.idle_in_transaction() == 0
        assert scope.is_active
        scope.session.add(Note(text="b"))
    assert stored(sync_database) == ["a", "b"]
    assert scope.outcome == "committed"


def test_what_comes_later_can_be_rolled_back(sync_maker, sync_database):
    """An error undoes what came after, and what was stored stays."""
    with pytest.raises(KeyError), scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.commit()
        scope.session.add(Note(text="b"))
        scope.session.flush()
        raise KeyError
    assert stored(sync_database) == ["a"]
    assert scope.outcome == "rolled_back"


def test_services_and_session_go_on(sync_maker, sync_database):
    """The same session, the same services, entities still attached."""
    with scoped_services(sync_maker, SyncNotes) as outer:
        session = outer.session
        note = outer.add("a")
        from sqla_safe import current_scope

        current_scope(sync_maker).commit()
        assert outer.session is session
        note.text = "changed"
    assert stored(sync_database) == ["changed"]


def test_callbacks_run_then_and_only_once(sync_maker, sync_database):
    """Those registered so far run at the early commit, later ones at the end."""
    seen = []
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.on_commit(lambda: seen.append(("first", stored(sync_database))))
        scope.on_rollback(lambda: seen.append("rollback"))
        scope.commit()
        assert seen == [("first", ["a"])]
        scope.on_commit(lambda: seen.append("second"))
    assert seen == [("first", ["a"]), "second"]


@on_sqlite
def test_a_failing_callback_lets_the_scope_go_on(sync_maker, sync_database):
    """CommitCallbackError leaves `scope.commit()`; whoever catches it may go on."""

    def fail() -> None:
        raise OSError

    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.on_commit(fail)
        with pytest.raises(CommitCallbackError):
            scope.commit()
        scope.session.add(Note(text="b"))
    assert stored(sync_database) == ["a", "b"]


@on_sqlite
@pytest.mark.parametrize("propagation", ["required", "nested"])
def test_only_the_outermost_scope_may(sync_maker, sync_database, propagation):
    """No joined or nested scope stores the whole, nor does the outer one over a savepoint."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with (
            scoped_services(sync_maker, propagation=propagation) as inner,
            pytest.raises(ScopeOptionError, match="outermost"),
        ):
            inner.commit()
        assert stored(sync_database) == []
    with (
        scoped_services(sync_maker) as outer,
        scoped_services(sync_maker, propagation="nested"),
        pytest.raises(ScopeOptionError, match="outermost"),
    ):
        outer.commit()


def test_a_doomed_scope_stores_nothing_early(sync_maker, sync_engine, sync_database):
    """After a swallowed failure the early commit raises, and the scope is over."""
    with pytest.raises(Exception) as caught, scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.set_rollback_only("no")
        with pytest.raises(RollbackOnlyError, match="no"):
            scope.commit()
        scope.session.execute(select(Note))
    assert isinstance(caught.value, RollbackOnlyError | ScopeClosedError)
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


def test_a_failed_early_commit_that_is_swallowed_is_no_success(
    sync_maker, sync_engine, sync_database
):
    """The block does not end well when its work was lost half way."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
    with pytest.raises(Exception) as caught, scoped_services(sync_maker) as scope:
        scope.session.add_all([Note(text="b"), Note(text="a")])
        with pytest.raises(IntegrityError):
            scope.commit()
    assert not isinstance(caught.value, AssertionError)
    assert scope.outcome == "rolled_back"
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == ["a"]


@on_sqlite
def test_without_work_it_does_nothing(sync_maker, sync_engine):
    """An early commit before the first statement takes no connection."""
    with scoped_services(sync_maker) as scope:
        scope.commit()
        scope.commit()
        assert sync_engine.pool.checkedin() == 0
    assert scope.outcome == "committed"


@on_postgres
def test_options_hold_after_it(sync_maker):
    """Isolation level and read-only are those of the scope, in every transaction of it."""
    with scoped_services(
        sync_maker, isolation_level="SERIALIZABLE", read_only=True, timeout=5
    ) as scope:
        for _ in range(2):
            session = scope.session
            assert session.scalar(text("SHOW transaction_isolation")) == "serializable"
            assert session.scalar(text("SHOW transaction_read_only")) == "on"
            assert session.scalar(text("SHOW statement_timeout")) != "0"
            scope.commit()


@on_sqlite
def test_the_time_is_not_given_back(sync_maker):
    """`timeout` is for the whole block."""
    import time

    with pytest.raises(ScopeTimeoutError), scoped_services(sync_maker, timeout=0.3) as scope:
        for _ in range(5):
            scope.session.execute(text("SELECT 1"))
            scope.commit()
            time.sleep(0.1)


@on_servers
def test_it_works_with_a_pool_of_one(sync_database, sync_maker, make_engine):
    """Two scopes on one connection take turns."""
    from sqlalchemy.orm import sessionmaker

    engine = make_engine(sync_database, pool_size=1)
    maker = sessionmaker(engine)
    with scoped_services(maker) as outer:
        first = server_id(outer.session)
        outer.commit()
        with scoped_services(maker, propagation="requires_new") as inner:
            assert server_id(inner.session) == first
        assert server_id(outer.session) == first


@on_sqlite
def test_the_flush_policy_leaves_it_alone(sync_maker, sync_database):
    """service_commit="flush" is about the session's commit, not the scope's."""
    configure(sync_maker, service_commit="flush")
    with scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.commit()
        assert stored(sync_database) == ["a"]
