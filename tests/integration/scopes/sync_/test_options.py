"""Rule 11: the sessionmaker's own options are respected, except those that the rules name."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, event, insert, inspect, select, text
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import ScopeOptionError, configure, prepare_sqlite, scoped_services
from tests.integration.scopes.models import Author, Note, SyncNotes, create_tables, stored
from tests.integration.scopes.sync_.support import on_sqlite

pytestmark = on_sqlite


class OwnSession(Session):
    """A user's own session class, which counts."""

    executed = 0

    def execute(self, *args, **kwargs):
        type(self).executed += 1
        return super().execute(*args, **kwargs)

    def notes(self):
        return self.scalars(select(Note.text)).all()


def expired_after(maker: sessionmaker[Session]) -> bool:
    """Tell whether an entity's attributes are gone when its scope has ended."""
    with scoped_services(maker, SyncNotes) as notes:
        note = notes.add("a")
    return "text" in inspect(note).expired_attributes


@pytest.mark.parametrize("value", [True, False])
def test_expire_on_commit_is_respected(sync_maker, sync_engine, value):
    """The sessionmaker says whether entities can be read after the block."""
    assert expired_after(sessionmaker(sync_engine, expire_on_commit=value)) is value


@pytest.mark.parametrize("value", [True, False])
def test_configure_overrides_expire_on_commit(sync_maker, sync_engine, value):
    """The policy wins over the sessionmaker, inside scopes only."""
    maker = sessionmaker(sync_engine, expire_on_commit=not value)
    configure(maker, expire_on_commit=value)
    assert expired_after(maker) is value
    assert maker().expire_on_commit is not value


def test_autocommit_engine_is_refused(sync_maker, sync_engine, sync_database):
    """An engine that stores each statement at once gives a scope no transaction, and it says so."""
    alone = sessionmaker(sync_engine.execution_options(isolation_level="AUTOCOMMIT"))
    with pytest.raises(ScopeOptionError, match="AUTOCOMMIT"), scoped_services(alone) as scope:
        scope.session.execute(insert(Note).values(text="a"))
    assert sync_engine.pool.checkedout() == 0
    assert stored(sync_database) == []


@pytest.mark.parametrize("value", [True, False])
def test_autoflush_is_respected(sync_maker, sync_engine, value):
    """A query sees pending objects only where the sessionmaker flushes by itself."""
    with scoped_services(sessionmaker(sync_engine, autoflush=value)) as scope:
        scope.session.add(Note(text="a"))
        assert scope.session.scalars(select(Note.text)).all() == (["a"] if value else [])


@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"timeout": 5}], ids=str)
def test_autobegin_false_needs_no_begin(sync_maker, sync_engine, options):
    """A sessionmaker without autobegin works, and takes its connection as late as others."""
    maker = sessionmaker(sync_engine, autobegin=False)
    with scoped_services(maker, **options) as scope:
        assert sync_engine.pool.checkedout() == 0
        assert scope.session.scalar(text("SELECT 1")) == 1
    assert scope.outcome == "committed"


def test_autobegin_false_stores_and_commits_early(sync_maker, sync_engine, sync_database):
    """Such a session goes on after `scope.commit()` as well."""
    with scoped_services(sessionmaker(sync_engine, autobegin=False)) as scope:
        scope.session.add(Note(text="a"))
        scope.commit()
        scope.session.add(Note(text="b"))
    assert stored(sync_database) == ["a", "b"]


def test_info_is_respected(sync_maker, sync_engine):
    """`info` of the sessionmaker is in the session, as a copy of its own."""
    maker = sessionmaker(sync_engine, info={"tenant": 7})
    with scoped_services(maker) as scope:
        assert scope.session.info == {"tenant": 7}
        scope.session.info["tenant"] = 8
    with scoped_services(maker) as scope:
        assert scope.session.info == {"tenant": 7}


def test_a_session_class_is_respected(sync_maker, sync_engine):
    """The session is one of the user's class, with its methods and overrides."""
    OwnSession.executed = 0
    with scoped_services(sessionmaker(sync_engine, class_=OwnSession)) as scope:
        assert isinstance(scope.session, OwnSession)
        assert type(scope.session).__name__ == "OwnSession"
        assert scope.session.notes() == []
        scope.session.execute(text("SELECT 1"))
    assert sum(cls.executed for cls in type(scope.session).__mro__ if "executed" in vars(cls)) == 1


def test_events_of_the_sessionmaker_fire(sync_maker, sync_engine):
    """Listeners on the sessionmaker hear sessions of scopes, and other sessionmakers' do not."""
    maker, other = sessionmaker(sync_engine), sessionmaker(sync_engine)
    heard = []
    for name in ("before_flush", "after_begin", "before_commit", "after_commit"):
        event.listen(maker, name, lambda *_, name=name: heard.append(name))
    event.listen(maker, "do_orm_execute", lambda _: heard.append("do_orm_execute"))
    with scoped_services(other, SyncNotes) as notes:
        notes.add("other")
    assert heard == []
    with scoped_services(maker, SyncNotes) as notes:
        notes.add("a")
        notes.session.scalars(select(Note)).all()
    assert set(heard) == {
        *("before_flush", "after_begin", "before_commit", "after_commit", "do_orm_execute")
    }


def test_events_added_after_the_first_scope_fire(sync_maker, sync_engine):
    """A listener that comes late is heard from then on."""
    maker = sessionmaker(sync_engine)
    with scoped_services(maker):
        pass
    heard = []
    event.listen(maker, "before_flush", lambda *_: heard.append(1))
    with scoped_services(maker, SyncNotes) as notes:
        notes.add("a")
    assert heard == [1]


def test_configuring_the_sessionmaker_later_counts(sync_maker, sync_engine):
    """`maker.configure(bind=...)` after the module was imported, as applications do."""
    maker = sessionmaker()
    maker.configure(bind=sync_engine, autoflush=False)
    with scoped_services(maker) as scope:
        assert scope.session.scalar(text("SELECT 1")) == 1
        assert not scope.session.autoflush


@pytest.fixture
def second(make_engine, sync_database, tmp_path):
    """Give an engine on a second database with the same tables."""
    engine = prepare_sqlite(create_engine(f"sqlite:///{tmp_path / 'second.db'}"))
    Author.metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_binds_are_respected(sync_maker, sync_engine, sync_database, second):
    """Entities go to the database of their bind, and one scope stores in both."""
    maker = sessionmaker(binds={Note: sync_engine, Author: second})
    with scoped_services(maker) as scope:
        scope.session.add_all([Note(text="a"), Author(name="Vanya")])
    assert stored(sync_database) == ["a"]
    assert sync_database.probe.scalar("SELECT count(*) FROM author") == 0
    with second.connect() as connection:
        assert connection.scalar(text("SELECT name FROM author")) == "Vanya"
    assert (sync_engine.pool.checkedout(), second.pool.checkedout()) == (0, 0)


def test_an_error_undoes_both_binds(sync_maker, sync_engine, sync_database, second):
    """Two databases in one scope are both rolled back."""
    maker = sessionmaker(binds={Note: sync_engine, Author: second})
    with pytest.raises(KeyError), scoped_services(maker) as scope:
        scope.session.add_all([Note(text="a"), Author(name="Vanya")])
        scope.session.flush()
        raise KeyError
    assert stored(sync_database) == []
    with second.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM author")) == 0
    assert (sync_engine.pool.checkedout(), second.pool.checkedout()) == (0, 0)


def test_read_only_holds_for_both_binds(sync_maker, sync_engine, second):
    """Each engine of a read-only scope is read-only."""
    from sqla_safe import ReadOnlyScopeError

    maker = sessionmaker(binds={Note: sync_engine, Author: second})
    for table in ("note", "author"):
        entity = Note if table == "note" else Author
        with (
            pytest.raises(ReadOnlyScopeError),
            scoped_services(maker, read_only=True) as scope,
        ):
            scope.session.execute(
                text(f"DELETE FROM {table}"), bind_arguments={"mapper": inspect(entity)}
            )


def test_sessions_outside_scopes_are_as_always(sync_maker, sync_database):
    """The sessionmaker itself is not changed: its own sessions commit and close as they like."""
    with scoped_services(sync_maker):
        pass
    with sync_maker() as session:
        session.add(Note(text="a"))
        session.commit()
        session.rollback()
    with sync_maker.begin() as session:
        session.add(Note(text="b"))
    assert stored(sync_database) == ["a", "b"]


def test_idle_in_transaction_is_warned_about(sync_maker):
    """With the policy set, a long pause with an open transaction is a warning at its end."""
    import time

    from sqla_safe import IdleInTransactionWarning

    configure(sync_maker, idle_in_transaction_warning=0.3)
    with scoped_services(sync_maker) as scope:
        time.sleep(0.35)  # no transaction yet: nothing is idle
        scope.session.execute(text("SELECT 1"))
        time.sleep(0.35)
        with pytest.warns(IdleInTransactionWarning, match=r"test_options\.py:\d+"):
            scope.session.execute(text("SELECT 1"))


def test_a_pause_before_the_end_is_warned_about(sync_maker):
    """The transaction that waits for the end of its block is idle too."""
    import time

    from sqla_safe import IdleInTransactionWarning

    configure(sync_maker, idle_in_transaction_warning=0.3)
    with pytest.warns(IdleInTransactionWarning), scoped_services(sync_maker) as scope:
        scope.session.execute(text("SELECT 1"))
        time.sleep(0.35)


def test_tables_can_be_created_inside_a_scope(sync_database, make_engine):
    """DDL through the session's connection is a part of the transaction."""
    engine = prepare_sqlite(make_engine(sync_database))
    maker = sessionmaker(engine)
    with pytest.raises(KeyError), scoped_services(maker) as scope:
        Note.metadata.create_all(scope.session.connection())
        raise KeyError
    assert inspect(engine).get_table_names() == []
    create_tables(sync_database)
    assert "note" in inspect(engine).get_table_names()
