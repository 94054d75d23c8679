"""The connections of a scope: what their errors leave behind, and how to cut them off."""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from sqla_safe import _dbapi
from sqla_safe._locations import current_line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.engine import ExceptionContext

    from sqla_safe.scopes._unit import Unit

_AGAIN = 0.02
"""Seconds between two interruptions of a statement that aiosqlite's thread may not have begun."""
_PROBED = ("postgresql", "cockroachdb")
_SQLITE_PLAIN_ERRORS = (1, 20, 21, 25)
"""SQLite codes (SQL error, mismatch, misuse, range) that never roll a transaction back."""

_MYSQL_IN_TRANSACTION = 1
"""SERVER_STATUS_IN_TRANS of what the server sends with each answer."""
_POSTGRESQL_IN_TRANSACTION = {0: False, 2: True, 3: True}
"""By libpq's PGTransactionStatusType; a connection that is at work is neither."""


class Failure(NamedTuple):
    """A statement that failed: its error, and the line of user code that ran it."""

    error: BaseException
    where: str


MARK = "sqla_safe_unit"
"""The attribute by which a connection leads to its unit, and a dialect shows that we listen."""


def listen(connection: Any) -> None:
    """Listen, once per dialect, for statements that fail, and tell the connection's unit."""
    event.listen(connection.engine, "handle_error", _on_error)
    connection.dialect.sqla_safe_unit = None  # last: whoever is interrupted before listens again


def _on_error(context: ExceptionContext) -> BaseException | None:
    unit: Unit | None = getattr(context.connection, MARK, None)
    if unit is None or unit.is_closed:
        return None
    error = context.original_exception
    if unit.phase == "committing" and context.dialect.name == "sqlite":
        driver: Any = context.connection and context.connection.connection.driver_connection
        unit.in_transaction = driver.in_transaction
    unit.failed(
        Failure(context.sqlalchemy_exception or error, current_line()),
        lost=not context.is_disconnect and _transaction_is_gone(context.connection, error),
    )
    return unit.translate(error)


def _transaction_is_gone(connection: Any, error: BaseException) -> bool:
    """Say whether the database rolled back the whole transaction because of this error."""
    if _dbapi.is_mysql_deadlock(error):
        return True
    code = _dbapi.sqlite_code(error)
    if code is None or code in _SQLITE_PLAIN_ERRORS:
        return False
    return not connection.connection.driver_connection.in_transaction


def still_usable(connection: Connection, failures: Sequence[Failure]) -> bool:
    """Ask whether a transaction in which statements failed can still be committed."""
    if connection.invalidated or connection.closed:
        return False
    if connection.dialect.name in _PROBED:
        return _answers(connection)
    if any(_dbapi.is_mysql_lock_timeout(f.error) for f in failures):
        return not connection.exec_driver_sql("SELECT @@innodb_rollback_on_timeout").scalar()
    return True


def _answers(connection: Connection) -> bool:
    """Run the cheapest statement: PostgreSQL refuses it in an aborted transaction."""
    try:
        connection.exec_driver_sql("SELECT 1")
    except (DBAPIError, Exception):  # noqa: BLE001  (asyncpg lets its own types escape)
        return False
    return True


_ASSIGNED_ID = text("SELECT txid_current_if_assigned()")
_STATUS = text("SELECT txid_status(:xid)")
_CHECKPOINT_AGE = text(
    "SELECT EXTRACT(EPOCH FROM clock_timestamp() - checkpoint_time) FROM pg_control_checkpoint()"
)
_CLOCK = 1.0
"""Seconds by which a checkpoint may be older than it says, since it is told in whole ones."""
_SINCE = (10,)


def has_transaction_status(connection: Connection) -> bool:
    """Say whether the server can tell later what became of a transaction."""
    version = connection.dialect.server_version_info or ()
    return connection.dialect.name == "postgresql" and version >= _SINCE


def transaction_id(connection: Connection) -> int | None:
    """Return PostgreSQL's id of the transaction, or None if it has written nothing."""
    found: int | None = connection.scalar(_ASSIGNED_ID)
    return found


def transaction_status(connection: Connection, xid: int, seconds: float) -> str | None:
    """Return PostgreSQL's word on a transaction: committed, aborted, in progress or None.

    A server that has crashed forgets the ids of transactions it had not stored and gives them out
    again, so that "committed" can be said of somebody else's. Recovery ends with a checkpoint:
    the word counts only if there was none in all the ``seconds`` since the id was given.
    """
    found: str | None = connection.scalar(_STATUS, {"xid": xid})
    if found == "committed" and connection.scalar(_CHECKPOINT_AGE) < seconds + _CLOCK:
        return None
    return found


def is_in_transaction(connection: Connection) -> bool | None:
    """Say whether a driver has a transaction open; None where it does not tell."""
    if connection.closed or connection.invalidated:
        return None
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name in ("mysql", "mariadb"):
        status: int | None = getattr(driver, "server_status", None)  # PyMySQL, asyncmy
        return None if status is None else bool(status & _MYSQL_IN_TRANSACTION)
    if connection.dialect.name == "sqlite":
        return getattr(driver, "in_transaction", None)
    if connection.dialect.name != "postgresql":
        return None
    if hasattr(driver, "is_in_transaction"):
        return bool(driver.is_in_transaction())  # asyncpg
    told: Any = getattr(driver, "info", None)  # psycopg, psycopg2
    return _POSTGRESQL_IN_TRANSACTION.get(getattr(told, "transaction_status", -1))


def end_failed_commit(connection: Connection, error: BaseException) -> None:
    """Roll back what SQLAlchemy takes for ended once COMMIT was tried, and the database does not.

    SQLite keeps the transaction open when COMMIT fails; and so does every database when somebody
    raised before COMMIT was sent. The pool would hand it on as it is, for others to store.
    """
    if connection.closed or connection.invalidated or connection.in_transaction():
        return
    if connection.dialect.name != "sqlite" and isinstance(error, DBAPIError):
        return
    if _dbapi.was_sent(error) and connection.dialect.name != "sqlite":
        connection.invalidate()  # the answer to COMMIT may still come
        return
    try:
        connection.connection.rollback()
    except Exception:  # noqa: BLE001  (the error of COMMIT is the one to raise)
        connection.invalidate()


def sever(connection: Connection) -> None:
    """Cut the connection to the server at once, without a word to it; never blocks.

    Whoever waits for an answer on it gets an error. Called from outside any greenlet.
    """
    with contextlib.suppress(Exception):
        if connection.closed or connection.invalidated:
            return
        driver = connection.connection.driver_connection
        if connection.dialect.is_async:
            _sever_async(connection, driver)
        else:
            _sever_blocked(driver)


def _sever_async(connection: Connection, driver: Any) -> None:
    if hasattr(driver, "terminate"):  # asyncpg
        driver.terminate()
    elif hasattr(driver, "pgconn"):  # psycopg
        driver.pgconn.finish()
    else:  # aiosqlite, asyncmy: outside a greenlet their terminate() does not wait
        interrupt(connection)
        connection.invalidate()


def interrupt(connection: Connection) -> None:
    """Stop the statement that aiosqlite's thread is running, and free its locks.

    SQLAlchemy closes the connection of a cancelled statement. SQLite keeps the locks of a closed
    connection until the last unfinished statement is garbage, unless it is rolled back first.
    """
    with contextlib.suppress(Exception):
        if connection.dialect.driver == "aiosqlite":
            driver: Any = connection.connection.driver_connection
            start(driver.interrupt())
            _insist(driver, start(driver.rollback()))


def _insist(driver: Any, rolled_back: asyncio.Future[Any] | None) -> None:
    """Interrupt again and again: one that comes before its statement has begun does nothing."""
    if rolled_back is not None and not rolled_back.done():
        with contextlib.suppress(Exception):
            start(driver.interrupt())
        rolled_back.get_loop().call_later(_AGAIN, _insist, driver, rolled_back)


def forget_cursors(error: BaseException) -> None:
    """Drop the cursors that an error's traceback keeps in frames of the driver and SQLAlchemy.

    SQLite takes no ROLLBACK after an interruption while a SELECT has rows left, so that it is this
    SELECT's end that frees the locks. Without it they would wait for the garbage collector.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").startswith(("aiosqlite.", "sqlalchemy.")):
            with contextlib.suppress(RuntimeError):  # it is still running
                frame.clear()


def start(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Future[Any] | None:
    """Run a driver's coroutine up to where it has given its work to the thread, and return that."""
    try:
        answer: asyncio.Future[Any] = coroutine.send(None)
    except StopIteration:
        return None
    answer.add_done_callback(_look_at)
    coroutine.close()
    return answer


def _look_at(done: asyncio.Future[Any]) -> None:
    """Take note of an error, so that asyncio does not report it as unseen."""
    if not done.cancelled():
        done.exception()


def _sever_blocked(driver: Any) -> None:
    """End a driver call that blocks its own thread, which then gets an error."""
    if hasattr(driver, "interrupt"):  # sqlite3
        driver.interrupt()
        return
    number = driver.fileno() if hasattr(driver, "fileno") else _socket_of(driver).fileno()
    with socket.socket(fileno=os.dup(number)) as connected:
        connected.shutdown(socket.SHUT_RDWR)


def _socket_of(driver: Any) -> Any:
    return getattr(driver, "_sock", None)  # PyMySQL; see decisions.md


def can_be_severed(connection: Connection) -> bool:
    """Say whether a blocking call of this sync driver can be ended from outside."""
    driver = connection.connection.driver_connection
    return hasattr(driver, "fileno") or hasattr(_socket_of(driver), "fileno")
