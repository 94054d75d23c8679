"""A SQLite file and a PostgreSQL of its own, with the users in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from figures import Fact, Skipped
from models import store
from sqlalchemy import create_engine

from tests.servers import ServerError, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack


def filled(
    drivers: Sequence[str], users: int, stack: ExitStack
) -> Iterator[Database | Fact | Skipped]:
    """Give each driver with its database, filled, and say which server that is."""
    lite = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "users.db")
    if ours := [name for name in drivers if "sqlite" in name]:
        fill(url("sqlite", lite), users)
        yield from (Database(name, lite) for name in ours)
    if others := [name for name in drivers if "sqlite" not in name]:
        yield from on_postgres(others, users, stack)


def on_postgres(
    others: list[str], users: int, stack: ExitStack
) -> Iterator[Database | Fact | Skipped]:
    """Give the drivers of PostgreSQL, if it can be started."""
    where = postgres(", ".join(others), stack)
    if isinstance(where, Skipped):
        yield where
        return
    yield Fact("PostgreSQL", fill(url("psycopg", where), users))
    yield from (Database(name, where) for name in others)


def postgres(what: str, stack: ExitStack) -> str | Skipped:
    """Start a PostgreSQL and return its address, or say what is left out without it."""
    try:
        server = stack.enter_context(postgres_server())
    except (ServerError, OSError) as error:
        return Skipped(what, f"PostgreSQL did not start: {str(error).splitlines()[0]}")
    return f"postgres@{server.host}:{server.port}/postgres"


class Database(NamedTuple):
    """A driver, and the path of a file or a server's address."""

    driver: str
    where: str


def fill(where: str, users: int) -> str:
    """Store the users, let the database know its tables, and return its version."""
    engine = create_engine(where)
    store(engine, users)
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
    engine.dispose()
    return version


def url(driver: str, database: str) -> str:
    """Return the URL for SQLAlchemy; a database is the path of a file, or a server's address."""
    kind = "sqlite" if "sqlite" in driver else f"postgresql+{driver}"
    if driver == "aiosqlite":
        kind = "sqlite+aiosqlite"
    return f"{kind}:///{database}" if "sqlite" in driver else f"{kind}://{database}"
