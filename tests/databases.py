"""The databases and drivers under test, and a probe that looks at a database from outside.

Every block here gives an empty database and drops, at its end, all that was made in it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from tests.servers import Server

SYNC = ("sqlite3", "psycopg", "pymysql")
ASYNC = ("aiosqlite", "asyncpg", "psycopg-async", "asyncmy")
POSTGRES_ASYNC = ("asyncpg", "psycopg-async")

# InnoDB answers questions about transactions from a cache that it renews only when it is this old.
INNODB_TRX_CACHED_SECONDS = 0.11

# Ends whoever is still connected, then drops all that a test has made.
EMPTY_POSTGRES = """
SET lock_timeout = '5s';
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$
DECLARE schema_name text;
BEGIN
    FOR schema_name IN
        SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', schema_name);
    END LOOP;
    CREATE SCHEMA public;
    EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
END $$
"""

MYSQL_NO_SUCH_THREAD = 1094

_numbers = count(1)


@dataclass(frozen=True)
class Probe:
    """Looks at one database through connections of its own: short, synchronous, autocommit."""

    connect: Callable[[], Any]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def scalar(self, sql: str) -> Any:
        """Run a query and return the first column of its only row."""
        [row] = self.rows(sql)
        return row[0]

    def execute(self, sql: str) -> None:
        """Run a statement; it is stored at once."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)

    def idle_in_transaction(self) -> int:
        """Count the connections of this database that wait with an open transaction."""
        raise NotImplementedError

    def connections(self) -> int:
        """Count the server's connections to this database, without the probe's own."""
        raise NotImplementedError


class SqliteProbe(Probe):
    """Looks at a SQLite file; it has no server to ask, only the file's locks."""

    def idle_in_transaction(self) -> int:
        """Return 1 while another connection holds the write lock, else 0: readers do not show."""
        with closing(self.connect()) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                return 1
            connection.execute("ROLLBACK")
            return 0


class PostgresProbe(Probe):
    """Looks at one database of a PostgreSQL server."""

    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def idle_in_transaction(self) -> int:
        """Count the backends of this database that are idle in a transaction, aborted or not."""
        return int(self.scalar(f"{self.others} AND state LIKE 'idle in transaction%'"))

    def connections(self) -> int:
        """Count the backends of this database; one that has just been closed may still show."""
        return int(self.scalar(self.others))


class MysqlProbe(Probe):
    """Looks at one database of a MariaDB server."""

    others = (
        "SELECT count(*) FROM information_schema.processlist AS p "
        "WHERE p.db = database() AND p.id <> connection_id()"
    )

    def idle_in_transaction(self) -> int:
        """Count the connections of this database that sleep in a transaction."""
        time.sleep(INNODB_TRX_CACHED_SECONDS)
        in_transaction = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx"
        return int(self.scalar(f"{self.others} AND command = 'Sleep' AND id IN ({in_transaction})"))

    def connections(self) -> int:
        """Count the connections to this database; one that has just been closed may still show."""
        return int(self.scalar(self.others))


@dataclass(frozen=True)
class Database:
    """One fresh database, and the driver to reach it with.

    Attributes:
        name: The test's id for it: `sqlite3`, `psycopg`, `asyncpg`, ...
        url: What `create_engine` or `create_async_engine` takes.
        is_async: Whether the URL is for `create_async_engine`.
        dialect: `sqlite`, `postgresql` or `mysql`.
        driver: SQLAlchemy's name of the driver.
        probe: Looks at the database from outside.
    """

    name: str
    url: str
    is_async: bool
    dialect: str
    driver: str
    probe: Probe


@contextmanager
def sqlite_database(name: str, folder: Path) -> Iterator[Database]:
    """Give a new SQLite file."""
    path = folder / f"fresh_{next(_numbers)}.db"
    driver = {"sqlite3": "pysqlite", "aiosqlite": "aiosqlite"}[name]
    probe = SqliteProbe(lambda: sqlite3.connect(path, isolation_level=None))
    url = f"sqlite+{driver}:///{path}"
    yield Database(name, url, name in ASYNC, "sqlite", driver, probe)


@contextmanager
def postgres_database(name: str, server: Server) -> Iterator[Database]:
    """Give an empty database on a PostgreSQL server: a spare one if there is, else a new one."""
    driver = "asyncpg" if name == "asyncpg" else "psycopg"

    def connect(dbname: str) -> psycopg.Connection:
        where: dict[str, Any] = {"host": server.host, "port": server.port, "user": "postgres"}
        return psycopg.connect(**where, dbname=dbname, autocommit=True)

    if server.spare:
        fresh = server.spare.pop()
    else:
        fresh = f"fresh_{next(_numbers)}"
        Probe(lambda: connect("postgres")).execute(f"CREATE DATABASE {fresh}")
    url = f"postgresql+{driver}://postgres@{server.host}:{server.port}/{fresh}"
    probe = PostgresProbe(lambda: connect(fresh))
    try:
        yield Database(name, url, name in ASYNC, "postgresql", driver, probe)
    finally:
        probe.execute(EMPTY_POSTGRES)
        server.spare.append(fresh)  # emptying takes a few milliseconds, a new one up to a hundred


@contextmanager
def mysql_database(name: str, server: Server) -> Iterator[Database]:
    """Give a new database on a MariaDB server, and drop it after closing what still uses it."""
    fresh = f"fresh_{next(_numbers)}"

    def connect(database: str | None) -> pymysql.Connection[Any]:
        where: dict[str, Any] = {"host": server.host, "port": server.port, "user": "root"}
        return pymysql.connect(**where, database=database, autocommit=True, ssl_disabled=True)

    admin = Probe(lambda: connect(None))
    url = f"mysql+{name}://root@{server.host}:{server.port}/{fresh}?charset=utf8mb4"
    if name == "pymysql":  # it reads the machine's certificates for every connection
        url += "&ssl_disabled=true"
    admin.execute(f"CREATE DATABASE {fresh}")
    try:
        probe = MysqlProbe(lambda: connect(fresh))
        yield Database(name, url, name in ASYNC, "mysql", name, probe)
    finally:
        # An open transaction would make DROP DATABASE wait for its metadata lock.
        users = f"SELECT id FROM information_schema.processlist WHERE db = '{fresh}'"
        for (connection,) in admin.rows(users):
            try:
                admin.execute(f"KILL {connection}")
            except pymysql.MySQLError as error:
                if error.args[0] != MYSQL_NO_SUCH_THREAD:  # it was on its way out already
                    raise
        admin.execute(f"DROP DATABASE {fresh}")
