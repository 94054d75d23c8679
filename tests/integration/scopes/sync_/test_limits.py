"""Rules 4 and 13: the isolation level is really applied, and time is really limited."""

from __future__ import annotations

import contextlib
import time

import pytest
from sqlalchemy import text

from sqla_safe import RollbackOnlyError, ScopeOptionError, ScopeTimeoutError, scoped_services
from tests.integration.scopes.models import Note, SyncNotes, stored
from tests.integration.scopes.sync_.support import (
    MYSQL,
    SQLITE,
    on_postgres,
    on_servers,
    on_sqlite,
    only_on,
    sleeping,
)
from tests.integration.scopes.watching import here
from tests.patience import SLOW, in_time

LEVEL = {
    "postgresql": text("SELECT current_setting('transaction_isolation')"),
    "mysql": text("SELECT lower(replace(@@tx_isolation, '-', ' '))"),
}


@on_servers
@pytest.mark.parametrize(
    ("asked", "had"),
    [
        ("SERIALIZABLE", "serializable"),
        ("REPEATABLE READ", "repeatable read"),
        ("read_committed", "read committed"),
    ],
    ids=["serializable", "repeatable", "committed"],
)
def test_the_isolation_level_is_applied(sync_maker, sync_database, asked, had):
    """The database itself says so, and the next scope has the default again."""
    level = LEVEL[sync_database.dialect]
    with scoped_services(sync_maker) as scope:
        default = scope.session.scalar(level)
    with scoped_services(sync_maker, isolation_level=asked) as scope:
        assert scope.session.scalar(level) == had
        with scoped_services(sync_maker) as inner:
            assert inner.session.scalar(level) == had
    with scoped_services(sync_maker) as scope:
        assert scope.session.scalar(level) == default


@on_servers
def test_the_isolation_level_goes_also_after_an_error(sync_maker, sync_database):
    """A failed scope leaves no isolation level behind on its pooled connection."""
    level = LEVEL[sync_database.dialect]
    with scoped_services(sync_maker) as scope:
        default = scope.session.scalar(level)
    with (
        pytest.raises(KeyError),
        scoped_services(sync_maker, isolation_level="SERIALIZABLE") as scope,
    ):
        scope.session.execute(level)
        raise KeyError
    with scoped_services(sync_maker) as scope:
        assert scope.session.scalar(level) == default


@on_sqlite
def test_sqlite_is_always_serializable(sync_maker, sync_engine):
    """SERIALIZABLE is what SQLite has; another level is refused, and named."""
    with scoped_services(sync_maker, isolation_level="SERIALIZABLE") as scope:
        assert scope.session.scalar(text("SELECT 1")) == 1
    with (
        pytest.raises(ScopeOptionError, match="READ COMMITTED"),
        scoped_services(sync_maker, isolation_level="READ COMMITTED") as scope,
    ):
        scope.session.execute(text("SELECT 1"))
    assert sync_engine.pool.checkedout() == 0


@on_postgres
def test_postgresql_cuts_a_slow_statement_off(sync_maker, sync_engine, sync_database):
    """The database ends the statement in time; the scope is rolled back and says why."""
    begun = time.monotonic()
    with (
        pytest.raises(ScopeTimeoutError) as caught,
        scoped_services(sync_maker, SyncNotes, timeout=0.3) as notes,
    ):
        opened = here(-2)
        notes.add("a")
        notes.session.execute(sleeping(sync_database, SLOW))
    in_time(begun, 0.3)
    assert isinstance(caught.value, TimeoutError)
    assert opened in str(caught.value)
    assert "0.3 s" in str(caught.value)
    assert sync_engine.pool.checkedout() == 0
    assert sync_database.probe.idle_in_transaction() == 0
    assert stored(sync_database) == []


@on_postgres
def test_time_is_counted_over_all_statements(sync_maker, sync_database):
    """Several statements that are each quick enough are cut off together."""
    begun = time.monotonic()
    with (
        pytest.raises(ScopeTimeoutError),
        scoped_services(sync_maker, timeout=0.4) as scope,
    ):
        for _ in range(100):
            scope.session.execute(sleeping(sync_database, 0.15))
    in_time(begun, 0.4)


@on_postgres
def test_a_slow_flush_is_cut_off(sync_maker, sync_database):
    """What the session writes by itself is limited like what it is told to run."""
    sync_database.probe.execute(
        "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(10); RETURN NEW; END $$; "
        "CREATE TRIGGER slow BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION slowly()"
    )
    begun = time.monotonic()
    with pytest.raises(ScopeTimeoutError), scoped_services(sync_maker, timeout=0.3) as scope:
        scope.session.add(Note(text="a"))
    in_time(begun, 0.3)


@on_postgres
def test_the_servers_limit_goes_with_the_scope(sync_maker):
    """The next scope on the same connection has no statement_timeout."""
    with scoped_services(sync_maker, timeout=5) as scope:
        assert scope.session.scalar(text("SHOW statement_timeout")) != "0"
    with scoped_services(sync_maker) as scope:
        assert scope.session.scalar(text("SHOW statement_timeout")) == "0"


@on_postgres
def test_a_very_long_timeout_is_no_error(sync_maker):
    """Seconds beyond what PostgreSQL can count (24 days) are as good as no limit."""
    with scoped_services(sync_maker, timeout=10_000_000) as scope:
        assert scope.session.scalar(text("SELECT 1")) == 1


@only_on(SQLITE, MYSQL)
def test_elsewhere_a_statement_is_refused_once_time_is_up(sync_maker, sync_engine, sync_database):
    """Where the database cannot cut off, the next statement raises, and nothing is stored."""
    with (
        pytest.raises(ScopeTimeoutError),
        scoped_services(sync_maker, SyncNotes, timeout=0.2) as notes,
    ):
        notes.add("a")
        time.sleep(0.3)
        notes.session.execute(text("SELECT 1"))
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


def test_a_block_that_ends_too_late_is_rolled_back(sync_maker, sync_database):
    """Time that passed without a statement counts as well."""
    with (
        pytest.raises(ScopeTimeoutError),
        scoped_services(sync_maker, SyncNotes, timeout=0.2) as notes,
    ):
        notes.add("a")
        time.sleep(0.3)
    assert stored(sync_database) == []


def test_a_block_in_time_is_stored(sync_maker, sync_database):
    """A timeout that is not reached changes nothing."""
    with scoped_services(sync_maker, SyncNotes, timeout=30) as notes:
        notes.add("a")
    assert stored(sync_database) == ["a"]


def test_a_swallowed_timeout_stores_nothing(sync_maker, sync_database):
    """Who swallows ScopeTimeoutError is told again at the end."""
    with (
        pytest.raises((ScopeTimeoutError, RollbackOnlyError)),
        scoped_services(sync_maker, SyncNotes, timeout=0.2) as notes,
    ):
        notes.add("a")
        time.sleep(0.3)
        with pytest.raises(ScopeTimeoutError):
            notes.session.execute(text("SELECT 1"))
    assert stored(sync_database) == []


def test_the_bodys_error_wins_over_the_timeout(sync_maker, sync_database):
    """A late error of the body is what leaves."""
    with pytest.raises(KeyError), scoped_services(sync_maker, SyncNotes, timeout=0.5) as notes:
        with contextlib.suppress(ScopeTimeoutError):  # a slow machine is late already
            notes.add("a")
        time.sleep(0.6)
        raise KeyError
    assert stored(sync_database) == []


@on_sqlite
def test_an_inner_timeout_holds_for_the_inner_block(sync_maker, sync_database):
    """A shorter limit of a block that joins ends with that block."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.session.execute(text("SELECT 1"))
        with scoped_services(sync_maker, timeout=0.5):
            notes.add("a")
        time.sleep(0.6)
        notes.add("b")
    assert stored(sync_database) == ["a", "b"]


def test_an_inner_timeout_names_its_own_limit(sync_maker, sync_database):
    """The error of an inner limit tells the inner block's line and seconds."""
    with scoped_services(sync_maker, SyncNotes) as notes:
        notes.add("a")
        with (
            pytest.raises(ScopeTimeoutError) as caught,
            scoped_services(sync_maker, propagation="nested", timeout=0.2),
        ):
            opened = here(-2)
            notes.add("b")
            time.sleep(0.3)
            notes.session.execute(text("SELECT 1"))
        notes.add("c")
    assert opened in str(caught.value)
    assert "0.2 s" in str(caught.value)
    assert stored(sync_database) == ["a", "c"]
