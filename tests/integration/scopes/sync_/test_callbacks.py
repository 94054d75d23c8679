"""Rule 9: callbacks after the outermost COMMIT."""

from __future__ import annotations

import pytest

from sqla_safe import CommitCallbackError, ScopeClosedError, scoped_services
from tests.integration.scopes.models import SyncNotes, stored
from tests.integration.scopes.sync_.support import on_servers, on_sqlite


class OwnError(Exception):
    """An application's own."""


def test_callbacks_run_after_commit_in_order(sync_maker, sync_engine, sync_database):
    """When they run, the data is stored and the connection is back in its pool."""
    seen = []
    with scoped_services(sync_maker, SyncNotes) as notes, scoped_services(sync_maker) as scope:
        scope.on_commit(lambda: seen.append((1, stored(sync_database))))
        scope.on_commit(lambda: seen.append((2, sync_engine.pool.checkedout())))
        scope.on_rollback(lambda: seen.append("rollback"))
        notes.add("a")
        assert seen == []
    assert seen == [(1, ["a"]), (2, 0)]


@on_sqlite
def test_callbacks_of_joined_scopes_wait_for_the_outermost(sync_maker):
    """A joined block's callback runs after the outer COMMIT, in the order of registration."""
    seen = []
    with scoped_services(sync_maker) as outer:
        outer.on_commit(lambda: seen.append("first"))
        with scoped_services(sync_maker) as inner:
            inner.on_commit(lambda: seen.append("second"))
        assert seen == []
        outer.on_commit(lambda: seen.append("third"))
    assert seen == ["first", "second", "third"]


def test_callbacks_of_a_nested_scope_move_up(sync_maker):
    """After a savepoint was released, its callbacks wait for the outermost COMMIT."""
    seen = []
    with scoped_services(sync_maker) as outer:
        outer.on_commit(lambda: seen.append("first"))
        with scoped_services(sync_maker, propagation="nested") as middle:
            middle.on_commit(lambda: seen.append("second"))
            with scoped_services(sync_maker, propagation="nested") as inner:
                inner.on_commit(lambda: seen.append("third"))
        assert seen == []
        outer.on_commit(lambda: seen.append("fourth"))
    assert seen == ["first", "second", "third", "fourth"]


def test_callbacks_of_a_nested_scope_die_with_it(sync_maker):
    """After ROLLBACK TO SAVEPOINT on_commit callbacks are gone, on_rollback ones have run."""
    seen = []
    with scoped_services(sync_maker) as outer:
        outer.on_commit(lambda: seen.append("commit of the outer"))
        with (
            pytest.raises(OwnError),
            scoped_services(sync_maker, propagation="nested") as inner,
        ):
            inner.on_commit(lambda: seen.append("commit of the inner"))
            inner.on_rollback(lambda: seen.append("rollback of the inner"))
            raise OwnError
        assert seen == ["rollback of the inner"]
    assert seen == ["rollback of the inner", "commit of the outer"]


def test_callbacks_that_moved_up_die_with_the_outer_scope(sync_maker):
    """A released savepoint's callbacks share the fate of what is around it."""
    seen = []
    with pytest.raises(OwnError), scoped_services(sync_maker):
        with scoped_services(sync_maker, propagation="nested") as inner:
            inner.on_commit(lambda: seen.append("commit"))
            inner.on_rollback(lambda: seen.append("rollback"))
        raise OwnError
    assert seen == ["rollback"]


@on_servers
def test_callbacks_of_an_independent_scope_run_at_its_own_end(sync_maker):
    """`requires_new` has its own COMMIT and therefore its own moment."""
    seen = []
    with pytest.raises(OwnError), scoped_services(sync_maker) as outer:
        outer.on_commit(lambda: seen.append("outer"))
        with scoped_services(sync_maker, propagation="requires_new") as inner:
            inner.on_commit(lambda: seen.append("inner"))
        assert seen == ["inner"]
        raise OwnError
    assert seen == ["inner"]


@pytest.mark.parametrize("way", ["error", "rollback-only"])
def test_callbacks_do_not_run_when_nothing_is_stored(sync_maker, way):
    """After a rollback of either kind only the on_rollback callbacks run."""
    seen = []
    with pytest.raises(Exception), scoped_services(sync_maker) as scope:  # noqa: B017
        scope.on_commit(lambda: seen.append("commit"))
        scope.on_rollback(lambda: seen.append("rollback"))
        if way == "error":
            raise OwnError
        scope.set_rollback_only("no")
    assert seen == ["rollback"]


def test_all_callbacks_run_although_one_fails(sync_maker, sync_engine, sync_database):
    """Failures come out together, and say that the data is stored; it is."""
    seen = []

    def fail(error: Exception) -> None:
        raise error

    with (
        pytest.raises(CommitCallbackError) as caught,
        scoped_services(sync_maker, SyncNotes) as notes,
        scoped_services(sync_maker) as scope,
    ):
        notes.add("a")
        scope.on_commit(lambda: fail(OwnError("first")))
        scope.on_commit(lambda: seen.append("second"))
        scope.on_commit(lambda: fail(KeyError("third")))
        scope.on_commit(lambda: seen.append("fourth"))
    assert isinstance(caught.value, ExceptionGroup)
    assert [type(error) for error in caught.value.exceptions] == [OwnError, KeyError]
    assert "is stored" in str(caught.value)
    assert seen == ["second", "fourth"]
    assert scope.outcome == "committed"
    assert stored(sync_database) == ["a"]
    assert sync_engine.pool.checkedout() == 0


@on_sqlite
def test_a_callback_opens_a_scope_of_its_own(sync_maker, sync_database):
    """In a callback the scope is over: a block there is a new transaction."""

    def more() -> None:
        with scoped_services(sync_maker, SyncNotes, propagation="never") as notes:
            notes.add("b")

    with scoped_services(sync_maker, SyncNotes) as notes, scoped_services(sync_maker) as scope:
        notes.add("a")
        scope.on_commit(more)
    assert stored(sync_database) == ["a", "b"]


@on_sqlite
def test_a_callback_cannot_register_another_one(sync_maker):
    """Registering on a finished scope raises, and comes out with the other failures."""
    with pytest.raises(CommitCallbackError) as caught, scoped_services(sync_maker) as scope:
        scope.on_commit(lambda: scope.on_commit(print))
    assert isinstance(caught.value.exceptions[0], ScopeClosedError)


@on_sqlite
@pytest.mark.parametrize("method", ["on_commit", "on_rollback"])
def test_registering_on_a_finished_scope_raises(sync_maker, method):
    """Nobody would ever call it."""
    with scoped_services(sync_maker) as scope:
        pass
    with pytest.raises(ScopeClosedError, match=method):
        getattr(scope, method)(print)


@on_sqlite
def test_a_coroutine_function_is_refused_loudly(sync_maker, sync_database):
    """Nobody can await it in a sync scope: it is refused where it is registered."""

    async def callback() -> None: ...

    with scoped_services(sync_maker) as scope:
        for register in (scope.on_commit, scope.on_rollback):
            with pytest.raises(TypeError, match="coroutine"):
                register(callback)


@on_sqlite
def test_a_coroutine_that_a_callback_returns_is_not_dropped_in_silence(sync_maker):
    """A lambda does not show what it gives; then the end says so."""

    async def send(_text: str) -> None: ...

    with pytest.raises(CommitCallbackError) as caught, scoped_services(sync_maker) as scope:
        scope.on_commit(lambda: send("stored"))
    assert "coroutine" in str(caught.value.exceptions[0])


@on_sqlite
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_callback_is_not_swallowed(sync_maker, sync_database, kind):
    """An interruption of a callback leaves when all have run, and says that the data is stored."""
    ran = []

    def interrupted() -> None:
        raise kind

    def broken() -> None:
        raise OwnError

    with (
        pytest.raises(kind) as caught,
        scoped_services(sync_maker, SyncNotes) as notes,
        scoped_services(sync_maker) as scope,
    ):
        notes.add("a")
        for callback in (interrupted, broken, lambda: ran.append(1)):
            scope.on_commit(callback)
    assert scope.outcome == "committed"
    assert stored(sync_database) == ["a"]
    assert ran == [1]
    assert "is stored" in caught.value.__notes__[0]
    assert "OwnError" in caught.value.__notes__[1]


@on_sqlite
def test_an_interrupted_on_rollback_callback_is_not_swallowed(sync_maker):
    """Ctrl-C in a callback leaves instead of the block's error, when all callbacks have run."""
    ran = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught, scoped_services(sync_maker) as scope:
        scope.on_rollback(interrupted)
        scope.on_rollback(lambda: ran.append(1))
        raise OwnError
    assert isinstance(caught.value.__context__, OwnError)
    assert ran == [1]


def test_a_savepoint_of_ones_own_takes_back_what_had_ended_in_it(sync_maker, sync_database):
    """A nested scope that ended well is undone with the `begin_nested()` around it."""
    ran = []
    with scoped_services(sync_maker) as scope:
        with pytest.raises(OwnError), scope.session.begin_nested():
            with scoped_services(sync_maker, SyncNotes, propagation="nested") as notes:
                notes.add("a")
            with scoped_services(sync_maker, propagation="nested") as inner:
                inner.on_commit(lambda: ran.append(1))
            raise OwnError
        assert inner.outcome == "rolled_back"
    assert ran == []
    assert stored(sync_database) == []
