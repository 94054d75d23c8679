"""Fixtures for every test: the servers, a fresh database per test, and engines on it.

`sync_database` and `async_database` run a test once per database and driver; `one_of_two` only on
aiosqlite and asyncpg, `pg` and `pg_sync` only on PostgreSQL. `sync_engine`, `async_engine`,
`pg_sync_engine` and `pg_engine` are engines on those.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager

import hypothesis
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests import databases, servers
from tests.databases import Database
from tests.servers import Server

MakeEngine = Callable[..., Engine]
MakeAsyncEngine = Callable[..., AsyncEngine]
POOL = {"pool_size": 5, "max_overflow": 0, "pool_timeout": 5}

# A shared machine is slow at times; how long an example takes is not what a property test states.
hypothesis.settings.register_profile("sqla_safe", deadline=None, print_blob=True)
hypothesis.settings.load_profile("sqla_safe")


def pytest_configure() -> None:
    """Forget the PG* variables of this machine: libpq and asyncpg would take them for ours."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Start PostgreSQL when the first test asks for it, and stop it after the last."""
    with servers.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """Start MariaDB when the first test asks for it, if this machine has it."""
    mariadbd = servers.find_mariadbd()
    if mariadbd is None:
        pytest.skip("no MariaDB server (mariadbd) on this machine")
    with servers.mariadb_server(mariadbd) as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """Start Valkey when the first test asks for it, and stop it after the last."""
    with servers.valkey_server() as server:
        yield server


@contextmanager
def fresh_database(name: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a fresh database by name, starting its server if it is the first."""
    if name in ("sqlite3", "aiosqlite"):
        opened = databases.sqlite_database(name, request.getfixturevalue("tmp_path"))
    elif name in ("pymysql", "asyncmy"):
        opened = databases.mysql_database(name, request.getfixturevalue("mariadb"))
    else:
        opened = databases.postgres_database(name, request.getfixturevalue("postgres"))
    with opened as database:
        yield database


@pytest.fixture(params=databases.SYNC)
def sync_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a fresh database, once per sync driver."""
    with fresh_database(request.param, request) as database:
        yield database


@pytest.fixture(params=databases.ASYNC)
def async_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a fresh database, once per async driver."""
    with fresh_database(request.param, request) as database:
        yield database


@pytest.fixture(params=["aiosqlite", "asyncpg"])
def one_of_two(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a fresh database: one in a file, then one on a server, for what no driver decides."""
    with fresh_database(request.param, request) as database:
        yield database


@pytest.fixture(params=databases.POSTGRES_ASYNC)
def pg(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a fresh PostgreSQL database, once per async driver."""
    with fresh_database(request.param, request) as database:
        yield database


@pytest.fixture
def pg_sync(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a fresh PostgreSQL database for the sync driver."""
    with fresh_database("psycopg", request) as database:
        yield database


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Make sync engines on databases: `make_engine(database, echo=True)`; disposed at the end."""
    with ExitStack() as stack:

        def make(database: Database, **options: object) -> Engine:
            engine = create_engine(database.url, **{**POOL, **options})
            stack.callback(engine.dispose)
            return engine

        yield make


@pytest.fixture
async def make_async_engine() -> AsyncIterator[MakeAsyncEngine]:
    """Make async engines on databases, as `make_engine` does; disposed at the end."""
    made: list[AsyncEngine] = []

    def make(database: Database, **options: object) -> AsyncEngine:
        made.append(create_async_engine(database.url, **{**POOL, **options}))
        return made[-1]

    yield make
    for engine in made:
        await engine.dispose()


@pytest.fixture
def sync_engine(sync_database: Database, make_engine: MakeEngine) -> Engine:
    """Give an engine with a pool of five on `sync_database`."""
    return make_engine(sync_database)


@pytest.fixture
def async_engine(async_database: Database, make_async_engine: MakeAsyncEngine) -> AsyncEngine:
    """Give an engine with a pool of five on `async_database`."""
    return make_async_engine(async_database)


@pytest.fixture
def pg_sync_engine(pg_sync: Database, make_engine: MakeEngine) -> Engine:
    """Give an engine with a pool of five on `pg_sync`."""
    return make_engine(pg_sync)


@pytest.fixture
def pg_engine(pg: Database, make_async_engine: MakeAsyncEngine) -> AsyncEngine:
    """Give an engine with a pool of five on `pg`."""
    return make_async_engine(pg)
