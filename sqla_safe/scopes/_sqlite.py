"""`prepare_sqlite`: transactions that begin, roll back and wait as they do elsewhere."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Dialect, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from sqla_safe.errors import ScopeSourceError
from sqla_safe.scopes._autocommit import is_asked_for
from sqla_safe.scopes._connections import start
from sqla_safe.scopes._policy import check_seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

READ_ONLY_OPTION = "sqla_safe_read_only"
"""The execution option by which a read-only scope begins without taking the write lock."""
EngineT = TypeVar("EngineT", Engine, AsyncEngine)


def _no_sqlite(given: object, target: object) -> ScopeSourceError:
    database = f" for {target.dialect.name}" if isinstance(target, Engine) else ""
    return ScopeSourceError(
        got=type(given).__name__ + database,
        instead='prepare_sqlite(create_engine("sqlite:///app.db"))',
        expected="prepare_sqlite takes an engine for SQLite, not",
    )


def prepare_sqlite(engine: EngineT, /, *, busy_timeout: float = 5.0) -> EngineT:
    """Give a SQLite engine correct transactions; call it once, before the first connection.

    The driver's default mode begins a transaction only at the first write, lets DDL and savepoints
    escape it, and loses updates when two writers meet. This sets, for each new connection:

    * explicit transactions: ``BEGIN IMMEDIATE`` for scopes and sessions that may write (a second
      writer waits for the first), plain ``BEGIN`` for scopes with ``read_only=True``;
    * write-ahead logging, so that readers and the writer do not block each other;
    * ``busy_timeout``, so that a writer waits for its turn;
    * foreign keys.

    ``execution_options(isolation_level="AUTOCOMMIT")`` has no transaction, as everywhere: it is
    for ``VACUUM`` and the like. Calling it again changes nothing.

    Args:
        engine: an ``Engine`` (sqlite3) or ``AsyncEngine`` (aiosqlite).
        busy_timeout: seconds that a writer waits for another one.

    Returns:
        The same engine.

    Raises:
        ScopeSourceError: not an engine, or not one for SQLite.

    Example:
        >>> from sqlalchemy import create_engine
        >>> engine = prepare_sqlite(create_engine("sqlite:///:memory:"))
    """
    check_seconds("busy_timeout", busy_timeout, may_be_none=False)
    target: object = getattr(engine, "sync_engine", engine)
    if not isinstance(target, Engine) or target.dialect.name != "sqlite":
        raise _no_sqlite(engine, target)
    if not is_prepared(target):
        event.listen(target, "connect", _connect(int(busy_timeout * 1000)))
        event.listen(target, "begin", _begin)
        event.listen(target, "close", _free_locks)
        _prepared.add(target.dialect)
    return engine


_prepared: WeakSet[Dialect] = WeakSet()
"""The dialect is what an engine shares with its ``execution_options()`` copies."""


def is_prepared(engine: Engine) -> bool:
    """Say whether `prepare_sqlite` was called for this engine."""
    return engine.dialect in _prepared


def _connect(busy_milliseconds: int) -> Any:
    def connect(driver: Any, _record: Any) -> None:
        driver.isolation_level = None
        cursor = driver.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {busy_milliseconds}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    return connect


def _free_locks(driver: Any, _record: Any) -> None:
    """Roll back what a cancelled statement may have left, before the connection is closed."""
    with suppress(Exception):
        if hasattr(driver, "driver_connection"):  # aiosqlite: in its thread, before the closing
            start(driver.driver_connection.rollback())
        else:
            driver.rollback()


def _begin(connection: Connection) -> None:
    if is_asked_for(connection):
        return
    reads_only = connection.get_execution_options().get(READ_ONLY_OPTION, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
