"""Rule 8: the outcome is always known, and a server that goes away or falls silent hangs nobody."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from sqla_safe import CommitOutcomeUnknownError, configure, is_retryable, scoped_services
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import (
    on_mysql,
    on_postgres,
    on_servers,
    server_id,
    thread,
    until,
)
from tests.integration.scopes.watching import here, is_running, make_commits_slow
from tests.patience import in_time

CLEANUP = 0.6


@on_postgres
def test_a_commit_whose_answer_is_lost_is_found_committed(proxied):
    """The server stored it and the connection broke: it is asked, and the block ends well."""
    seen = []
    proxied.proxy.mischief = "cut_after_commit"
    with (
        scoped_services(proxied.maker, SyncNotes) as notes,
        scoped_services(proxied.maker) as scope,
    ):
        scope.on_commit(lambda: seen.append("commit"))
        scope.on_rollback(lambda: seen.append("rollback"))
        notes.add("a")
    assert scope.outcome == "committed"
    assert seen == ["commit"]
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == ["a"]


@on_postgres
def test_a_commit_that_never_arrived_is_found_rolled_back(proxied):
    """The connection broke before COMMIT came to the server: the driver's error, nothing stored."""
    seen = []
    proxied.proxy.mischief = "cut_before_commit"
    with (
        pytest.raises(DBAPIError) as caught,
        scoped_services(proxied.maker, SyncNotes) as notes,
        scoped_services(proxied.maker) as scope,
    ):
        scope.on_commit(lambda: seen.append("commit"))
        scope.on_rollback(lambda: seen.append("rollback"))
        notes.add("a")
    assert scope.outcome == "rolled_back"
    assert seen == ["rollback"]
    assert is_retryable(caught.value)
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_servers
@pytest.mark.parametrize(
    ("mischief", "is_stored"), [("cut_before_commit", False), ("cut_after_commit", True)]
)
def test_a_commit_that_nobody_can_ask_about_is_unknown(proxied, mischief, is_stored):
    """Without an answer, and with nobody to ask, the error says so and is never retried."""
    configure(proxied.maker, resolve_commit=False)
    seen = []
    proxied.proxy.mischief = mischief
    with (
        pytest.raises(CommitOutcomeUnknownError) as caught,
        scoped_services(proxied.maker) as scope,
    ):
        opened = here(-2)
        scope.on_commit(lambda: seen.append("commit"))
        scope.on_rollback(lambda: seen.append("rollback"))
        scope.session.add(Note(text="a"))
    assert scope.outcome == "unknown"
    assert seen == []
    assert opened in str(caught.value)
    assert isinstance(caught.value.__cause__, DBAPIError)
    assert not is_retryable(caught.value)
    assert proxied.engine.pool.checkedout() == 0
    until(lambda: (stored(proxied.database) == ["a"]) == is_stored)


@on_postgres
def test_a_server_that_cannot_be_asked_leaves_the_outcome_unknown(proxied):
    """When no new connection can be had, the asking ends in time and names the transaction."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    proxied.proxy.mischief = "cut_after_commit"
    proxied.proxy.refuses_after_commit = True
    begun = None
    with (
        pytest.raises(CommitOutcomeUnknownError) as caught,
        scoped_services(proxied.maker, SyncNotes) as notes,
    ):
        notes.add("a")
        begun = time.monotonic()
    in_time(begun, CLEANUP)
    assert caught.value.transaction_id.isdigit()
    assert caught.value.transaction_id in str(caught.value)
    assert proxied.engine.pool.checkedout() == 0


@on_servers
def test_a_lost_answer_to_a_reader_is_no_unknown_outcome(proxied):
    """A scope that wrote nothing cannot have stored anything: the driver's error, to be retried."""
    with pytest.raises(DBAPIError) as caught, scoped_services(proxied.maker) as scope:
        assert scope.session.scalar(text("SELECT count(*) FROM note")) == 0
        proxied.proxy.mischief = "cut_after_commit"
    assert scope.outcome == "rolled_back"
    assert is_retryable(caught.value)
    assert proxied.engine.pool.checkedout() == 0


@on_servers
def test_a_server_that_is_silent_at_rollback_hangs_nobody(proxied):
    """The body's error leaves in time although ROLLBACK gets no answer, and no slot is lost."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    own = KeyError("own")
    begun = None
    with pytest.raises(KeyError) as caught, scoped_services(proxied.maker, SyncNotes) as notes:
        notes.add("a")
        proxied.proxy.fall_silent()
        begun = time.monotonic()
        raise own
    in_time(begun, CLEANUP)
    assert caught.value is own
    assert own.__context__ is None
    assert proxied.engine.pool.checkedout() == 0
    proxied.proxy.behave()
    assert stored(proxied.database) == []


@on_servers
def test_a_server_that_is_silent_at_commit_hangs_nobody(proxied):
    """The end of a block is bounded although COMMIT gets no answer: the outcome is unknown."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    begun = None
    proxied.proxy.mischief = "silent_after_commit"
    with (
        pytest.raises(CommitOutcomeUnknownError),
        scoped_services(proxied.maker) as scope,
    ):
        scope.session.add(Note(text="a"))
        scope.session.flush()
        begun = time.monotonic()
    in_time(begun, CLEANUP)
    assert scope.outcome == "unknown"
    assert proxied.engine.pool.checkedout() == 0


@on_servers
def test_a_server_that_fell_silent_before_the_end_hangs_nobody(proxied):
    """Whatever the end itself asks before it sends COMMIT is bounded like COMMIT."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    begun = None
    with (
        pytest.raises((DBAPIError, CommitOutcomeUnknownError)),
        scoped_services(proxied.maker, SyncNotes) as notes,
        scoped_services(proxied.maker) as scope,
    ):
        notes.add("a")
        proxied.proxy.fall_silent()
        begun = time.monotonic()
    in_time(begun, CLEANUP)
    assert proxied.engine.pool.checkedout() == 0
    proxied.proxy.behave()  # what was sent arrives late
    until(lambda: proxied.database.probe.connections() == 0)
    assert scope.outcome == "unknown" or stored(proxied.database) == []


@on_servers
def test_a_connection_cut_inside_the_block_is_the_statements_error(proxied):
    """A cut connection fails the statement; the scope is rolled back and its slot is free."""
    with pytest.raises(DBAPIError) as caught, scoped_services(proxied.maker, SyncNotes) as notes:
        notes.add("a")
        proxied.proxy.cut()
        notes.session.execute(insert(Note).values(text="b"))
    assert is_retryable(caught.value)
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_postgres
def test_a_backend_killed_during_commit_is_rolled_back(sync_maker, sync_engine, sync_database):
    """The server's own answer (57P01) says that nothing was stored."""
    make_commits_slow(sync_database, 5)
    killed = []

    def kill_at_commit():
        until(lambda: is_running(sync_database, "COMMIT"))
        killed.extend(
            sync_database.probe.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'COMMIT%'"
            )
        )

    with (
        thread(kill_at_commit),
        pytest.raises(DBAPIError),
        scoped_services(sync_maker, SyncNotes) as notes,
        scoped_services(sync_maker) as scope,
    ):
        notes.add("a")
    assert killed == [(True,)]
    assert scope.outcome == "rolled_back"
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []
    sync_database.probe.execute("DROP TRIGGER slow ON note")


@on_mysql
def test_a_connection_killed_before_commit_on_mariadb_is_not_committed(
    sync_maker, sync_engine, sync_database
):
    """Without transaction ids the outcome after a kill is unknown or rolled back, never success."""
    with (
        pytest.raises((DBAPIError, CommitOutcomeUnknownError)),
        scoped_services(sync_maker) as scope,
    ):
        scope.session.add(Note(text="a"))
        scope.session.flush()
        sync_database.probe.execute(f"KILL {server_id(scope.session)}")
    assert scope.outcome in ("rolled_back", "unknown")
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []
