"""Rule 9: what is registered with on_commit and on_rollback."""

from __future__ import annotations

import asyncio

import pytest

from sqla_safe import CommitCallbackError, RollbackOnlyError, ScopeClosedError, scoped_services
from tests.integration.scopes.async_.support import on_two, only_on
from tests.integration.scopes.models import Comment, Note, Notes, stored


async def test_callbacks_run_after_commit_in_order(maker, async_engine, async_database):
    """Sync and async callbacks run in their order, when the data is stored and the pool is full."""
    ran = []

    def plain() -> None:
        ran.append(("plain", stored(async_database), async_engine.pool.checkedout()))

    async def coroutine() -> None:
        await asyncio.sleep(0.01)
        ran.append(("coroutine", stored(async_database), async_engine.pool.checkedout()))

    async with scoped_services(maker) as scope:
        scope.session.add(Note(text="a"))
        scope.on_commit(coroutine)
        scope.on_commit(plain)
        scope.on_commit(coroutine)
        assert ran == []
    assert ran == [(name, ["a"], 0) for name in ("coroutine", "plain", "coroutine")]


@on_two
async def test_callbacks_of_a_joined_scope_wait_for_the_outermost(maker):
    """Callbacks of joined scopes run with those of the outermost one, in order."""
    ran = []
    async with scoped_services(maker) as outer:
        outer.on_commit(lambda: ran.append(1))
        async with scoped_services(maker) as inner:
            inner.on_commit(lambda: ran.append(2))
        outer.on_commit(lambda: ran.append(3))
        assert ran == []
    assert ran == [1, 2, 3]


@on_two
async def test_callbacks_of_a_nested_scope_move_up(maker):
    """Callbacks of a nested scope that ended well run after the outermost COMMIT, in order."""
    ran = []
    async with scoped_services(maker) as outer:
        outer.on_commit(lambda: ran.append(1))
        async with scoped_services(maker, propagation="nested") as inner:
            inner.on_commit(lambda: ran.append(2))
            async with scoped_services(maker, propagation="nested") as innermost:
                innermost.on_commit(lambda: ran.append(3))
        outer.on_commit(lambda: ran.append(4))
        assert ran == []
    assert ran == [1, 2, 3, 4]


async def test_callbacks_of_a_nested_scope_die_with_it(maker):
    """A nested scope that is rolled back drops its on_commit and runs its on_rollback."""
    ran = []
    async with scoped_services(maker) as outer:
        outer.on_commit(lambda: ran.append("outer commit"))
        outer.on_rollback(lambda: ran.append("outer rollback"))
        with pytest.raises(KeyError):
            async with scoped_services(maker, propagation="nested") as inner:
                inner.on_commit(lambda: ran.append("inner commit"))
                inner.on_rollback(lambda: ran.append("inner rollback"))
                raise KeyError
        assert ran == ["inner rollback"]
    assert ran == ["inner rollback", "outer commit"]


@on_two
async def test_callbacks_of_a_nested_scope_die_with_the_outer(maker):
    """A nested scope that ended well inside a scope that failed is rolled back after all."""
    ran = []
    with pytest.raises(KeyError):
        async with scoped_services(maker):
            async with scoped_services(maker, propagation="nested") as inner:
                inner.on_commit(lambda: ran.append("commit"))
                inner.on_rollback(lambda: ran.append("rollback"))
            raise KeyError
    assert ran == ["rollback"]


async def test_rollback_callbacks_run_after_rollback(maker, async_engine, async_database):
    """After an error only on_rollback callbacks run, in order, when the pool is full again."""
    ran = []

    async def coroutine() -> None:
        ran.append(("coroutine", stored(async_database), async_engine.pool.checkedout()))

    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            async with scoped_services(maker) as scope:
                scope.on_commit(lambda: ran.append("commit"))
                scope.on_rollback(coroutine)
                scope.on_rollback(lambda: ran.append("plain"))
            raise KeyError
    assert ran == [("coroutine", [], 0), "plain"]


@on_two
@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
async def test_rollback_callbacks_run_for_every_exception(maker, kind):
    """on_rollback runs whatever leaves the block."""
    ran = []
    with pytest.raises(kind):
        async with scoped_services(maker) as scope:
            scope.on_rollback(lambda: ran.append("rollback"))
            raise kind
    assert ran == ["rollback"]


@on_two
async def test_failing_rollback_callback_becomes_a_note(maker):
    """The body's error leaves the block although an on_rollback callback failed; all have run."""
    ran = []

    def fail() -> None:
        raise ValueError("secret")

    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(maker) as scope:
            scope.on_rollback(fail)
            scope.on_rollback(lambda: ran.append("second"))
            raise own
    assert caught.value is own
    assert any("ValueError" in note for note in own.__notes__)
    assert ran == ["second"]


@on_two
async def test_all_callbacks_run_although_one_fails(maker, async_engine, async_database):
    """Failures come out as one group that says that the data is stored; every callback has run."""
    ran = []
    first, second = ValueError("first"), KeyError("second")

    def fail() -> None:
        ran.append("plain")
        raise first

    async def fail_too() -> None:
        ran.append("coroutine")
        raise second

    with pytest.raises(CommitCallbackError) as caught:
        async with scoped_services(maker) as scope:
            scope.session.add(Note(text="a"))
            scope.on_commit(fail)
            scope.on_commit(fail_too)
            scope.on_commit(lambda: ran.append("last"))
    assert ran == ["plain", "coroutine", "last"]
    assert isinstance(caught.value, ExceptionGroup)
    assert caught.value.exceptions == (first, second)
    assert "stored" in str(caught.value)
    assert scope.outcome == "committed"
    assert stored(async_database) == ["a"]
    assert async_engine.pool.checkedout() == 0


@on_two
async def test_failures_can_be_caught_by_type(maker):
    """`except*` finds the failure of a callback by its type."""
    found = []
    try:
        async with scoped_services(maker) as scope:
            scope.on_commit(lambda: {}["missing"])
    except* KeyError as group:
        found = [*group.exceptions]
    assert [type(error) for error in found] == [KeyError]


@only_on("aiosqlite", "asyncpg", "psycopg-async")
async def test_no_commit_callback_runs_when_commit_fails(maker):
    """When COMMIT fails, on_rollback runs and on_commit does not."""
    ran = []
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        async with scoped_services(maker) as scope:
            scope.session.add(Comment(note_id=4711))
            scope.on_commit(lambda: ran.append("commit"))
            scope.on_rollback(lambda: ran.append("rollback"))
    assert ran == ["rollback"]


@on_two
async def test_no_commit_callback_runs_when_the_end_raises(maker):
    """After set_rollback_only the on_rollback callbacks run."""
    ran = []
    with pytest.raises(RollbackOnlyError):
        async with scoped_services(maker) as scope:
            scope.on_commit(lambda: ran.append("commit"))
            scope.on_rollback(lambda: ran.append("rollback"))
            scope.set_rollback_only("because")
    assert ran == ["rollback"]


@on_two
async def test_registering_in_a_callback_is_refused(maker):
    """The scope has ended when its callbacks run: registering one more there raises."""
    with pytest.raises(CommitCallbackError) as caught:
        async with scoped_services(maker) as scope:
            scope.on_commit(lambda: scope.on_commit(print))
    assert caught.group_contains(ScopeClosedError)


@on_two
async def test_callback_may_open_a_scope(maker, async_database):
    """A callback that opens a scope gets a new one, whose work is stored."""

    async def log() -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("log")

    async with scoped_services(maker, Notes) as notes:
        await notes.add("a")
        async with scoped_services(maker) as scope:
            scope.on_commit(log)
    assert stored(async_database) == ["a", "log"]


@on_two
async def test_callbacks_of_requires_new_run_with_its_own_commit(maker):
    """An independent scope's callbacks run at its own end, whatever the outer one does."""
    ran = []
    with pytest.raises(KeyError):
        async with scoped_services(maker) as outer:
            outer.on_commit(lambda: ran.append("outer"))
            async with scoped_services(maker, propagation="requires_new") as inner:
                inner.on_commit(lambda: ran.append("inner"))
            assert ran == ["inner"]
            raise KeyError
    assert ran == ["inner"]


@on_two
async def test_callbacks_run_in_a_scope_that_did_nothing(maker):
    """A scope that never touched the database has ended well: its callbacks run."""
    ran = []
    async with scoped_services(maker) as scope:
        scope.on_commit(lambda: ran.append("commit"))
    assert ran == ["commit"]


@on_two
async def test_a_cancelled_callback_does_not_stop_the_others(maker, async_database):
    """What a callback awaits was cancelled: the others run, and the cancellation says "stored"."""
    ran = []

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError) as caught:
        async with scoped_services(maker, Notes) as notes, scoped_services(maker) as scope:
            await notes.add("a")
            scope.on_commit(cancelled)
            scope.on_commit(lambda: ran.append(1))
    assert ran == [1]
    assert stored(async_database) == ["a"]
    assert "is stored" in caught.value.__notes__[0]


@only_on("aiosqlite")
async def test_an_exit_from_an_on_rollback_callback_is_not_swallowed(maker):
    """`sys.exit()` in a callback ends the program, as anywhere."""

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        async with scoped_services(maker) as scope:
            scope.on_rollback(leave)
            raise LookupError


async def test_a_savepoint_of_ones_own_takes_back_what_had_ended_in_it(maker, async_database):
    """A nested scope that ended well is undone with the `begin_nested()` around it."""
    ran = []
    async with scoped_services(maker, Notes) as notes:
        savepoint = await notes.session.begin_nested()
        async with scoped_services(maker, propagation="nested") as inner:
            await inner.get(Notes).add("a")
            inner.on_commit(lambda: ran.append("inner"))
            async with scoped_services(maker, propagation="nested") as innermost:
                innermost.on_commit(lambda: ran.append("innermost"))
        await savepoint.rollback()
        assert inner.outcome == innermost.outcome == "rolled_back"
        savepoint = await notes.session.begin_nested()
        async with scoped_services(maker, propagation="nested") as kept:
            kept.on_commit(lambda: ran.append("kept"))
        await savepoint.commit()
    assert ran == ["kept"]
    assert (inner.outcome, kept.outcome) == ("rolled_back", "committed")
    assert stored(async_database) == []
