"""What several of these files need: marks, slow statements, and waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import TextClause, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from tests.databases import Database

SQLITE = ["aiosqlite"]
POSTGRES = ["asyncpg", "psycopg-async"]
MYSQL = ["asyncmy"]


def only_on(*names: str) -> pytest.MarkDecorator:
    """Run a test on these drivers instead of all."""
    return pytest.mark.parametrize("async_database", names, indirect=True)


on_sqlite = only_on(*SQLITE)
on_postgres = only_on(*POSTGRES)
on_mysql = only_on(*MYSQL)
# For rules that no driver has a say in: one database in a file, one on a server.
on_two = only_on("aiosqlite", "asyncpg")
on_servers = only_on(*POSTGRES, *MYSQL)

SQLITE_ROWS_A_SECOND = 4_000_000

# SQLite has no function that sleeps; this view takes its time instead. A view may be used in a
# trigger, where a WITH clause may not.
SLOW_VIEW = """
CREATE VIEW IF NOT EXISTS slow_{rows} AS
    WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {rows})
    SELECT count(*) AS n FROM counted
"""


def slow_select(database: Database, seconds: float) -> TextClause:
    """Return a query that takes so many seconds (on SQLite only about so many)."""
    if database.dialect == "postgresql":
        return text(f"SELECT pg_sleep({seconds})")
    if database.dialect == "mysql":
        return text(f"SELECT sleep({seconds})")
    rows = int(seconds * SQLITE_ROWS_A_SECOND)
    database.probe.execute(SLOW_VIEW.format(rows=rows))
    return text(f"SELECT n FROM slow_{rows}")


def make_inserts_slow(database: Database, seconds: float) -> None:
    """Let every INSERT into `note` take so many seconds."""
    if database.dialect == "postgresql":
        database.probe.execute(
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$; "
            "CREATE TRIGGER slow BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION slowly()"
        )
    elif database.dialect == "mysql":
        database.probe.execute(
            f"CREATE TRIGGER slow BEFORE INSERT ON note FOR EACH ROW DO sleep({seconds})"
        )
    else:
        slow = slow_select(database, seconds)
        database.probe.execute(f"CREATE TRIGGER slow BEFORE INSERT ON note BEGIN {slow}; END")


def handed_over(engine: AsyncEngine, beginning: object) -> asyncio.Event:
    """Return an event that is set when the driver is given a statement that begins so."""
    given = asyncio.Event()

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, _parameters, _context, _many) -> None:
        if statement.startswith(str(beginning)):
            given.set()

    return given


class Gate:
    """Holds one statement up before the driver has it, for as long as a test wants.

    Attributes:
        statement: Waits at the gate; any task may execute it.
        reached: Set when somebody waits there.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.statement = text("SELECT 'held up'")
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()
        event.listen(engine.sync_engine, "before_cursor_execute", self._wait)

    def _wait(self, _connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement == str(self.statement):
            self.reached.set()
            await_only(self._opened.wait())

    def open(self) -> None:
        """Let the statement go on."""
        self._opened.set()


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


async def kill_connection(session: object, database: Database) -> None:
    """Let the server end a session's connection, and wait until it is gone."""
    if database.dialect == "postgresql":
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        database.probe.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    else:
        thread = await session.scalar(text("SELECT connection_id()"))
        database.probe.execute(f"KILL {thread}")
        alive = f"SELECT count(*) FROM information_schema.processlist WHERE id = {thread}"
        await until(lambda: not database.probe.scalar(alive))
