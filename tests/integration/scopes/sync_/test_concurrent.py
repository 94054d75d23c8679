"""Rule 6: one thread at a time on a session, and no statement outlives its scope unnoticed.

Whoever swallows a ConcurrentUseError is told at the end: half of the work was refused.
"""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from sqla_safe import ConcurrentUseError, RollbackOnlyError, configure, scoped_services
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import (
    held_up,
    in_thread,
    on_sqlite,
    sleeping,
    thread,
    until,
)
from tests.integration.scopes.watching import here
from tests.patience import SLOW, in_time

SELECT = text("SELECT 1")
COUNT_FOR_SECONDS = text(
    "WITH RECURSIVE counted(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 12000000) SELECT count(*) FROM counted"
)


def is_busy(session) -> bool:
    """Tell whether an operation is under way on a scope's session."""
    return session._sqs_unit.busy is not None


@pytest.mark.parametrize("pool", ["cold", "warm"])
def test_two_threads_at_once_are_refused(sync_maker, sync_engine, pool):
    """The second of two overlapping operations raises, whether or not a connection was there."""
    if pool == "warm":
        with scoped_services(sync_maker) as scope:
            scope.session.execute(SELECT)
    with pytest.raises(ConcurrentUseError), scoped_services(sync_maker) as scope:
        if pool == "warm":
            scope.session.execute(SELECT)
        with held_up(sync_engine, scope.session.scalar):
            scope.session.execute(SELECT)
    assert sync_engine.pool.checkedout() == 0


def test_the_error_names_both_threads_and_both_lines(sync_maker, sync_database):
    """The names of the threads, the users' lines and the scope's own line are in the text."""
    slow = sleeping(sync_database, 1.0)
    lines = []

    def first():
        lines.append(here(1))
        scope.session.execute(slow).scalar()

    with pytest.raises(ConcurrentUseError) as caught, scoped_services(sync_maker) as scope:
        lines.append(here(-1))
        with thread(first, "importer"):
            until(lambda: is_busy(scope.session))
            lines.append(here(1))
            scope.session.execute(SELECT)
    error = caught.value
    opened_at, first_at, second_at = lines
    assert error.first_at.endswith(first_at)
    assert error.second_at.endswith(second_at)
    assert opened_at in str(error)
    assert "importer_0" in error.first_task
    assert "MainThread" in error.second_task


@on_sqlite
@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(lambda session: session.flush(), id="flush"),
        pytest.param(lambda session: session.get(Note, 1), id="get"),
        pytest.param(lambda session: session.connection(), id="connection"),
        pytest.param(lambda session: session.scalars(SELECT), id="scalars"),
        pytest.param(lambda session: session.begin_nested(), id="begin_nested"),
        pytest.param(lambda session: session.query(Note).all(), id="query"),
    ],
)
def test_every_operation_counts(sync_maker, sync_engine, operation):
    """Whatever talks to the database is refused while another thread does."""
    with pytest.raises(ConcurrentUseError), scoped_services(sync_maker) as scope:
        scope.session.add(Note(text="a"))
        scope.session.flush()
        with held_up(sync_engine, scope.session.scalar):
            operation(scope.session)


def test_two_threads_in_turn_are_allowed(sync_maker, sync_database):
    """Overlap is refused, not ownership: another thread may work when nobody else does."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        in_thread(lambda: notes.add("b"))
        notes.add("c")
    assert stored(sync_database) == ["a", "b", "c"]


@on_sqlite
def test_guard_owner_refuses_another_thread_altogether(sync_maker, sync_database):
    """With guard_owner=True only the thread that opened the scope may use it."""
    configure(sync_maker, guard_owner=True)
    with (
        pytest.raises(ConcurrentUseError, match="guard_owner"),
        scoped_services(sync_maker, SyncNotes) as notes,
    ):
        notes.add("a")
        in_thread(lambda: notes.session.execute(SELECT))
    assert stored(sync_database) == []


def test_a_swallowed_refusal_ends_in_rollback(sync_maker, sync_engine, sync_database):
    """Nobody is told of success when one half of the work was refused."""
    with (
        pytest.raises(RollbackOnlyError) as caught,
        scoped_services(sync_maker, SyncNotes) as notes,
    ):
        notes.add("a")
        with (
            held_up(sync_engine, notes.session.scalar) as done,
            pytest.raises(ConcurrentUseError),
        ):
            notes.session.execute(SELECT)
        done.result()
    assert isinstance(caught.value.__cause__, ConcurrentUseError)
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


@on_sqlite
def test_a_swallowed_refusal_of_the_owner_guard_ends_in_rollback(sync_maker, sync_database):
    """The same for guard_owner=True."""
    configure(sync_maker, guard_owner=True)
    with pytest.raises(RollbackOnlyError), scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with pytest.raises(ConcurrentUseError):
            in_thread(lambda: notes.session.execute(SELECT))
    assert stored(sync_database) == []


def test_the_end_waits_for_another_threads_statement(sync_maker, sync_engine, sync_database):
    """A statement that is under way when the block ends is awaited, and the work is stored."""
    slow = sleeping(sync_database, 0.3)
    block = scoped_services(sync_maker, SyncNotes)
    notes = block.__enter__()
    notes.add("a")
    with thread(lambda: notes.session.execute(slow).scalar()) as done:
        until(lambda: is_busy(notes.session))
        block.__exit__(None, None, None)
        done.result()
    assert stored(sync_database) == ["a"]
    assert sync_engine.pool.checkedout() == 0


def test_the_end_does_not_wait_for_ever(sync_maker, sync_engine, sync_database):
    """After drain_timeout the statement is cut off, nothing is stored, and the pool is whole."""
    configure(sync_maker, drain_timeout=0.2, cleanup_timeout=0.5)
    is_sqlite = sync_database.dialect == "sqlite"
    slow = COUNT_FOR_SECONDS if is_sqlite else sleeping(sync_database, SLOW)
    block = scoped_services(sync_maker, SyncNotes)
    notes = block.__enter__()
    notes.add("a")
    with thread(lambda: notes.session.execute(slow).scalar()) as done:
        until(lambda: is_busy(notes.session))
        begun = time.monotonic()
        with pytest.raises(ConcurrentUseError, match="cut off after"):
            block.__exit__(None, None, None)
        in_time(begun, 0.7)
        error = done.exception(5)
    assert isinstance(error, Exception)
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []
    for _ in range(6):
        with scoped_services(sync_maker) as scope:
            assert scope.session.scalar(SELECT) == 1


@on_sqlite
def test_the_bodys_error_wins_over_a_statement_under_way(sync_maker, sync_database):
    """A block that fails while another thread is busy lets its own error out."""
    slow = sleeping(sync_database, 0.3)
    own = KeyError("own")
    block = scoped_services(sync_maker, SyncNotes)
    notes = block.__enter__()
    notes.add("a")
    with thread(lambda: notes.session.execute(slow).scalar()):
        until(lambda: is_busy(notes.session))
        assert not block.__exit__(KeyError, own, None)
    assert stored(sync_database) == []
