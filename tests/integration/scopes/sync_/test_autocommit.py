"""A scope on a connection that stores each statement by itself, however it came to that."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import ScopeOptionError, scoped_services
from tests.conftest import MakeEngine
from tests.databases import Database
from tests.integration.scopes.models import Base, Note, stored
from tests.integration.scopes.sync_.support import on_servers, on_sqlite

Bound = sessionmaker[Session]


def by_the_engine(make_engine: MakeEngine, database: Database) -> Bound:
    """Say it to `create_engine`."""
    return sessionmaker(make_engine(database, isolation_level="AUTOCOMMIT"))


def by_options_of_the_engine(make_engine: MakeEngine, database: Database) -> Bound:
    """Say it among the execution options of `create_engine`."""
    options = {"isolation_level": "AUTOCOMMIT"}
    return sessionmaker(make_engine(database, execution_options=options))


def by_a_copy_of_the_engine(make_engine: MakeEngine, database: Database) -> Bound:
    """Say it to `execution_options`."""
    return sessionmaker(make_engine(database).execution_options(isolation_level="AUTOCOMMIT"))


def by_binds_of_the_sessionmaker(make_engine: MakeEngine, database: Database) -> Bound:
    """Bind the models to an engine that has it, and everything else to one that has not."""
    alone = make_engine(database, isolation_level="AUTOCOMMIT")
    return sessionmaker(make_engine(database), binds={Base: alone})


def by_the_driver(make_engine: MakeEngine, database: Database) -> Bound:
    """Say it to the driver when it connects."""
    option = {"isolation_level": None} if database.dialect == "sqlite" else {"autocommit": True}
    return sessionmaker(make_engine(database, connect_args=option))


def by_a_listener(make_engine: MakeEngine, database: Database) -> Bound:
    """Set it on each new connection."""
    engine = make_engine(database)

    @event.listens_for(engine, "connect")
    def connected(driver: Any, _record: Any) -> None:
        if database.dialect == "sqlite":
            driver.isolation_level = None
        elif database.dialect == "mysql":
            driver.autocommit(True)
        else:
            driver.autocommit = True

    return sessionmaker(engine)


def by_its_connection(make_engine: MakeEngine, database: Database) -> Bound:
    """Bind the sessionmaker to a connection that has it."""
    connection = make_engine(database, isolation_level="AUTOCOMMIT").connect()
    return sessionmaker(connection)


WAYS = [
    *(by_the_engine, by_options_of_the_engine, by_a_copy_of_the_engine),
    *(by_binds_of_the_sessionmaker, by_the_driver, by_a_listener, by_its_connection),
]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def give_back(maker: Bound) -> None:
    """Close the connection that a sessionmaker is bound to."""
    if isinstance(bind := maker.kw["bind"], Connection):
        bind.close()


@ways
def test_it_is_refused(sync_maker, make_engine, sync_database, way) -> None:
    """Nothing could be rolled back: the first statement is not sent."""
    maker = way(make_engine, sync_database)
    with pytest.raises(ScopeOptionError, match="AUTOCOMMIT"), scoped_services(maker) as scope:
        scope.session.execute(insert(Note).values(text="a"))
    give_back(maker)
    assert stored(sync_database) == []


@pytest.mark.parametrize("way", [by_the_engine, by_the_driver], ids=lambda way: way.__name__)
def test_it_may_be_read(sync_maker, make_engine, sync_database, way) -> None:
    """A read-only scope has nothing to roll back."""
    with scoped_services(way(make_engine, sync_database), read_only=True) as scope:
        assert scope.session.query(Note).count() == 0


@on_servers
def test_another_level_for_the_scope_is_a_transaction(
    sync_maker, make_engine, sync_database
) -> None:
    """What a scope asks for itself wins over the engine, and holds for that scope alone."""
    maker = by_the_engine(make_engine, sync_database)
    with scoped_services(maker, isolation_level="READ COMMITTED") as scope:
        scope.session.add(Note(text="a"))
    with pytest.raises(ScopeOptionError), scoped_services(maker) as scope:
        scope.session.execute(insert(Note).values(text="b"))
    assert stored(sync_database) == ["a"]


@on_sqlite
def test_sqlite_with_a_begin_of_its_own_is_a_transaction(
    sync_maker, make_engine, sync_database
) -> None:
    """The recipe of SQLAlchemy's documentation takes the driver's mode away, and sends BEGIN."""
    engine: Engine = make_engine(sync_database)

    @event.listens_for(engine, "connect")
    def connected(driver: Any, _record: Any) -> None:
        driver.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    with pytest.raises(LookupError), scoped_services(sessionmaker(engine)) as scope:
        scope.session.execute(insert(Note).values(text="a"))
        raise LookupError
    with scoped_services(sessionmaker(engine)) as scope:
        scope.session.add(Note(text="b"))
    assert stored(sync_database) == ["b"]
