"""What several of these files need: marks, slow statements, deadlocks, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, TextClause, event, text
from sqlalchemy.orm import Session

from tests.databases import Database
from tests.integration.scopes.watching import is_running

SQLITE, POSTGRES, MYSQL = "sqlite3", "psycopg", "pymysql"


def only_on(*names: str) -> pytest.MarkDecorator:
    """Run a test on these drivers instead of all."""
    return pytest.mark.parametrize("sync_database", names, indirect=True)


on_sqlite = only_on(SQLITE)
on_postgres = only_on(POSTGRES)
on_mysql = only_on(MYSQL)
on_servers = only_on(POSTGRES, MYSQL)


def teach_sqlite_to_sleep(engine: Engine) -> None:
    """Give SQLite the function that the other databases have."""

    @event.listens_for(engine, "connect")
    def connected(driver: Any, _record: Any) -> None:
        driver.create_function("sleep", 1, time.sleep)


def sleeping(database: Database, seconds: float) -> TextClause:
    """Return a query that takes so many seconds."""
    function = "pg_sleep" if database.dialect == "postgresql" else "sleep"
    return text(f"SELECT {function}({seconds})")


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@contextmanager
def thread(function: Callable[[], Any], name: str = "worker") -> Iterator[Future[Any]]:
    """Run a function in a thread beside the block; wait for it at the end."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=name) as pool:
        yield pool.submit(function)


@contextmanager
def held_up(engine: Engine, function: Callable[[TextClause], Any]) -> Iterator[Future[Any]]:
    """Run a function in a thread beside the block: the statement it is given lasts as long."""
    held, reached, go_on = text("SELECT 'held up'"), Event(), Event()

    @event.listens_for(engine, "before_cursor_execute")
    def wait(_connection, _cursor, statement, _parameters, _context, _many) -> None:
        if statement == str(held):
            reached.set()
            go_on.wait(30)

    with thread(lambda: function(held)) as result:
        try:
            assert reached.wait(30), "nobody executed the statement"
            yield result
        finally:
            go_on.set()


def in_thread(function: Callable[[], Any]) -> Any:
    """Run a function in another thread; return its result or raise its error."""
    with thread(function) as result:
        return result.result(10)


def statements_of(engine: Engine) -> list[str]:
    """Return a list that every statement of an engine is appended to, but for BEGIN."""
    seen: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, _parameters, _context, _many) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    return seen


def server_id(session: Session | Connection) -> int:
    """Return the server's number of the connection that a session uses."""
    name = session.get_bind().dialect.name if isinstance(session, Session) else session.dialect.name
    function = "pg_backend_pid" if name == "postgresql" else "connection_id"
    number = session.execute(text(f"SELECT {function}()")).scalar_one()
    return int(number)


def kill(database: Database, number: int) -> None:
    """Let the server end a connection, and wait until it is gone."""
    if database.dialect == "postgresql":
        database.probe.execute(f"SELECT pg_terminate_backend({number}, 5000)")
        return
    database.probe.execute(f"KILL {number}")
    alive = f"SELECT count(*) FROM information_schema.processlist WHERE id = {number}"
    until(lambda: not database.probe.scalar(alive))


class Rival:
    """Another transaction that wins a deadlock over notes 1 and 2; it holds note 2."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self._database = database
        self._connection = engine.connect()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="rival")
        self._waiting: Future[Any] | None = None
        for n in range(30):  # MariaDB gives up the transaction that has written less
            self._run(f"INSERT INTO author (id, name) VALUES ({n + 100}, 'rival')")
        if database.dialect == "postgresql":  # and PostgreSQL the one that finds the deadlock
            self._run("SET LOCAL deadlock_timeout = '10s'")
        self._run("UPDATE note SET author_id = NULL WHERE id = 2")

    def _run(self, statement: str) -> None:
        self._connection.execute(text(statement))

    def attack(self) -> None:
        """Wait for note 1, which the caller holds: taking note 2 is a deadlock for him now."""
        take_first = "UPDATE note SET author_id = NULL WHERE id = 1"
        self._waiting = self._threads.submit(self._run, take_first)
        until(lambda: is_running(self._database, take_first))

    def give_up(self) -> None:
        """Undo everything, when it has won or was never asked to attack."""
        if self._waiting is not None:
            self._waiting.result(10)
        self._connection.rollback()
        self._connection.close()
        self._threads.shutdown()


@contextmanager
def stronger_rival(engine: Engine, database: Database) -> Iterator[Rival]:
    """Give a rival; it gives up at the end of the block at the latest."""
    rival = Rival(engine, database)
    try:
        yield rival
    finally:
        rival.give_up()
