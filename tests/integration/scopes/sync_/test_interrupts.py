"""Rules 2 and 8 for threads: an exception from a signal handler, as Ctrl-C and Celery's soft limit.

Only moments at which the program waits for the database are tried. An exception at a random moment
may also hit the middle of SQLAlchemy's or Python's own bookkeeping, which nobody can promise about.
"""

from __future__ import annotations

import contextlib
import signal

import pytest
from sqlalchemy import text
from sqlalchemy.orm import sessionmaker

from sqla_safe import scoped_services
from tests.integration.scopes.models import SyncNotes, stored
from tests.integration.scopes.sync_.support import on_postgres, on_servers, sleeping
from tests.integration.scopes.watching import make_commits_slow


class SoftLimitError(BaseException):
    """What the signal handler raises."""


@pytest.fixture(params=[KeyboardInterrupt, SoftLimitError])
def interrupted(request):
    """Give an exception class, and the function that lets it be raised after some seconds."""

    def ring(_signal, _frame) -> None:
        raise request.param

    before = signal.signal(signal.SIGALRM, ring)
    yield request.param, lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def works_as_often_as_the_pool_is_large(maker) -> None:
    """Check that no connection went back half used."""
    for _ in range(6):
        with scoped_services(maker, propagation="never") as scope:
            assert scope.session.scalar(text("SELECT 1")) == 1


@on_servers
def test_an_interrupted_statement_is_rolled_back(
    sync_maker, sync_engine, sync_database, interrupted
):
    """An interruption of a running statement leaves unchanged; nothing stored, no slot lost."""
    kind, interrupt = interrupted
    with pytest.raises(kind), scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        interrupt(0.1)
        notes.session.execute(sleeping(sync_database, 2))
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []
    works_as_often_as_the_pool_is_large(sync_maker)


@on_postgres
def test_an_interruption_during_commit_does_not_hide_what_became_of_it(
    sync_maker, sync_engine, sync_database, interrupted
):
    """The interruption leaves, the outcome is known, and it is the truth."""
    kind, interrupt = interrupted
    make_commits_slow(sync_database, 0.4)
    told = []
    with (
        pytest.raises(kind),
        scoped_services(sync_maker, SyncNotes) as notes,
        scoped_services(sync_maker) as scope,
    ):
        scope.on_commit(lambda: told.append("committed"))
        scope.on_rollback(lambda: told.append("rolled_back"))
        notes.add("a")
        interrupt(0.15)
    assert told == [scope.outcome]
    assert scope.outcome == ("committed" if stored(sync_database) else "rolled_back")
    assert sync_engine.pool.checkedout() == 0
    works_as_often_as_the_pool_is_large(sync_maker)


@pytest.fixture
def struck(monkeypatch) -> None:
    """Let the next end of a block raise before its first line, where Python looks for signals."""
    kind = type(scoped_services(sessionmaker()))
    exit_, due = kind.__exit__, [SoftLimitError]

    def strike_once(self, *error) -> None:
        if due:
            raise due.pop()
        exit_(self, *error)

    monkeypatch.setattr(kind, "__exit__", strike_once)


@pytest.mark.usefixtures("struck")
@pytest.mark.parametrize("depth", [1, 2])
def test_a_block_whose_end_is_kept_from_its_first_line_is_not_joined(
    sync_maker, sync_engine, sync_database, depth
):
    """It is rolled back when its error is dropped; the next block is one of its own and stores."""

    def write(kind: str, within: int) -> None:
        with scoped_services(sync_maker, SyncNotes) as notes:
            if within > 1:
                write(kind, within - 1)
            else:
                notes.add(kind)

    with contextlib.suppress(SoftLimitError):
        write("struck", depth)
    assert sync_engine.pool.checkedout() == 0
    write("next", 1)
    assert stored(sync_database) == ["next"]
