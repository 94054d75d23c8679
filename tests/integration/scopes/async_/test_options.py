"""Rule 4: options that a join cannot honour are refused; those that a scope has are real."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import ScopeOptionError, scoped_services
from tests.integration.scopes.async_.support import (
    on_mysql,
    on_postgres,
    on_servers,
    on_sqlite,
    on_two,
    only_on,
)
from tests.integration.scopes.models import Note, Notes, stored

REFUSED = {
    "another isolation level": ({}, {"isolation_level": "SERIALIZABLE"}),
    "a lower isolation level": (
        {"isolation_level": "SERIALIZABLE"},
        {"isolation_level": "REPEATABLE READ"},
    ),
    "read-write inside read-only": ({"read_only": True}, {}),
    "a longer timeout": ({"timeout": 5}, {"timeout": 6}),
}


@pytest.mark.parametrize("propagation", ["required", "nested", "mandatory"])
@pytest.mark.parametrize("case", REFUSED)
@only_on("asyncpg")
async def test_what_a_join_cannot_honour_is_refused(maker, case, propagation):
    """A joining block that asks for what the outer one has not raises at entry, naming it."""
    outer_options, inner_options = REFUSED[case]
    async with scoped_services(maker, **outer_options) as outer:
        with pytest.raises(ScopeOptionError) as caught:
            async with scoped_services(maker, propagation=propagation, **inner_options):
                pytest.fail("entered")
    assert outer.opened_at in str(caught.value)


async def test_refused_join_leaves_the_outer_alone(maker, async_database):
    """A block that was refused at entry has done nothing: the outer one is stored."""
    async with scoped_services(maker, Notes, timeout=5) as notes:
        await notes.add("a")
        with pytest.raises(ScopeOptionError):
            async with scoped_services(maker, timeout=6):
                pytest.fail("entered")
        await notes.add("b")
    assert stored(async_database) == ["a", "b"]


HONOURED = {
    "the same isolation level": (
        {"isolation_level": "SERIALIZABLE"},
        {"isolation_level": "SERIALIZABLE"},
    ),
    "none, inside another level": ({"isolation_level": "SERIALIZABLE"}, {}),
    "read-only inside read-only": ({"read_only": True}, {"read_only": True}),
    "read-only inside read-write": ({}, {"read_only": True}),
    "a shorter timeout": ({"timeout": 5}, {"timeout": 4}),
    "a timeout inside none": ({}, {"timeout": 4}),
    "none, inside a timeout": ({"timeout": 5}, {}),
}


@pytest.mark.parametrize("case", HONOURED)
@only_on("asyncpg")
async def test_what_a_join_can_honour_joins(maker, case):
    """A joining block that asks for what it can have shares the outer session."""
    outer_options, inner_options = HONOURED[case]
    async with (
        scoped_services(maker, **outer_options) as outer,
        scoped_services(maker, **inner_options) as inner,
    ):
        assert inner.session is outer.session


@on_postgres
async def test_requires_new_may_ask_for_anything(maker):
    """An independent scope has options of its own."""
    async with (
        scoped_services(maker, read_only=True, timeout=5),
        scoped_services(
            maker, propagation="requires_new", isolation_level="SERIALIZABLE", timeout=6
        ) as inner,
    ):
        level = await inner.session.scalar(text("SHOW transaction_isolation"))
    assert level == "serializable"


@on_postgres
@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ", "repeatable_read"])
async def test_isolation_level_on_postgresql(maker, level):
    """The transaction has the isolation level that was asked for."""
    async with scoped_services(maker, isolation_level=level) as scope:
        had = await scope.session.scalar(text("SHOW transaction_isolation"))
    assert had == level.replace("_", " ").lower()


@on_mysql
async def test_isolation_level_on_mysql(maker):
    """The transaction has the isolation level that was asked for."""
    async with scoped_services(maker, isolation_level="SERIALIZABLE") as scope:
        had = await scope.session.scalar(text("SELECT @@tx_isolation"))
    assert had == "SERIALIZABLE"


@on_servers
async def test_isolation_level_does_not_stay(async_database, maker, make_async_engine):
    """The next scope on the same connection has the default level again."""
    asks = "SHOW transaction_isolation"
    if async_database.dialect == "mysql":
        asks = "SELECT @@tx_isolation"
    engine = make_async_engine(async_database, pool_size=1)
    levels = []
    for options in ({}, {"isolation_level": "SERIALIZABLE"}, {}):
        async with scoped_services(async_sessionmaker(engine), **options) as scope:
            levels.append(await scope.session.scalar(text(asks)))
    assert levels[0] == levels[2] != levels[1]


@on_sqlite
async def test_isolation_level_on_sqlite(maker, async_engine):
    """SQLite is serializable, and says that it has nothing else before it is used."""
    async with scoped_services(maker, isolation_level="SERIALIZABLE") as scope:
        scope.session.add(Note(text="a"))
    with pytest.raises(ScopeOptionError, match="SERIALIZABLE"):
        async with scoped_services(maker, isolation_level="REPEATABLE READ") as scope:
            await scope.session.execute(text("SELECT 1"))
    assert async_engine.pool.checkedout() == 0


async def test_autocommit_engine_is_refused(maker, async_engine, async_database):
    """An engine that stores each statement at once gives a scope no transaction, and it says so."""
    alone = async_sessionmaker(async_engine.execution_options(isolation_level="AUTOCOMMIT"))
    with pytest.raises(ScopeOptionError, match="AUTOCOMMIT"):
        async with scoped_services(alone, Notes) as notes:
            await notes.add("a")
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


async def test_autocommit_of_create_engine_is_refused(maker, make_async_engine, async_database):
    """Only the driver knows of it, and it is asked without a round trip."""
    engine = make_async_engine(async_database, isolation_level="AUTOCOMMIT")
    with pytest.raises(ScopeOptionError, match="AUTOCOMMIT"):
        async with scoped_services(async_sessionmaker(engine), Notes) as notes:
            await notes.add("a")
    assert engine.pool.checkedout() == 0
    assert stored(async_database) == []


async def test_autocommit_engine_may_be_read(maker, async_engine):
    """A read-only scope has nothing to roll back: replicas are often read so."""
    alone = async_sessionmaker(async_engine.execution_options(isolation_level="AUTOCOMMIT"))
    async with scoped_services(alone, read_only=True) as scope:
        assert await scope.session.scalar(text("SELECT 1")) == 1
    assert async_engine.pool.checkedout() == 0


@on_two
async def test_autocommit_connection_is_refused(maker, async_engine, async_database):
    """The same for a service that asks for such a connection inside the scope."""
    with pytest.raises(ScopeOptionError, match="AUTOCOMMIT"):
        async with scoped_services(maker, Notes) as notes:
            await notes.session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            await notes.add("a")
    assert async_engine.pool.checkedout() == 0
    assert stored(async_database) == []


IMPOSSIBLE = [
    {"isolation_level": "AUTOCOMMIT"},
    {"isolation_level": 4},
    {"timeout": 0},
    {"timeout": -1.0},
    {"timeout": "5"},
    {"timeout": True},
]


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
@on_sqlite
async def test_impossible_values_are_refused(maker, async_engine, options):
    """An option that no scope can have is refused before a connection is taken."""
    with pytest.raises(ScopeOptionError):
        async with scoped_services(maker, **options):
            pytest.fail("entered")
    assert async_engine.pool.checkedin() == 0


@on_sqlite
async def test_option_error_is_a_value_error(maker):
    """Who catches ValueError catches a refused option."""
    with pytest.raises(ValueError, match="timeout"):
        scoped_services(maker, timeout=0)


@on_servers
async def test_an_isolation_level_that_does_not_exist_takes_no_connection(maker, async_engine):
    """SQLAlchemy would refuse it too, and lose the connection that it has taken for it."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(text("SELECT 1"))
    with pytest.raises(ScopeOptionError, match="'SERIALIZABLE'"):
        async with scoped_services(maker, isolation_level="SNAPSHOT") as scope:
            await scope.session.execute(text("SELECT 1"))
    assert async_engine.pool.checkedout() == 0
