"""What the drivers' errors mean, by SQLSTATE or error number, never by their text."""

from __future__ import annotations

import traceback

from sqlalchemy.exc import DBAPIError, StatementError

_MYSQL_DRIVERS = ("pymysql", "asyncmy", "MySQLdb", "mysql", "aiomysql", "mariadb")
_CONNECTION_CLASS = "08"
_SERVER_GOES_AWAY = ("57P01", "57P02", "57P03", "57P05", "25P03")
_RETRYABLE_STATES = ("40001", "40P01")
_MYSQL_DEADLOCK, _MYSQL_LOCK_TIMEOUT = 1213, 1205
_MYSQL_LOST = (2002, 2003, 2006, 2013, 2055)
_MYSQL_READ_ONLY = (1792, 1290)
_SQLITE_BUSY = (5, 6)
_SQLITE_READ_ONLY = 8


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error behind SQLAlchemy's wrapper."""
    while isinstance(error, StatementError) and error.orig is not None:
        error = error.orig
    return error


def unmasked(error: BaseException) -> BaseException:
    """Return what a failed assertion of SQLAlchemy's hides: an exception in the midst of its work.

    A signal handler's may come where SQLAlchemy takes its own state for certain.
    """
    hidden, trace = error.__context__, error.__traceback__
    if not isinstance(error, AssertionError) or hidden is None or trace is None:
        return error
    while trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals.get("__name__", "")
    return hidden if where.startswith("sqlalchemy.") else error


def was_sent(error: BaseException) -> bool:
    """Say whether an exception came when the driver was asked to COMMIT already."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_name.startswith("do_commit") for frame, _ in frames)


def sqlstate(error: BaseException) -> str | None:
    """Return the five-letter SQLSTATE, where the driver gives one."""
    cause = driver_error(error)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state if isinstance(state, str) else None


def mysql_number(error: BaseException) -> int | None:
    """Return MySQL's error number."""
    cause = driver_error(error)
    if not type(cause).__module__.startswith(_MYSQL_DRIVERS) or not cause.args:
        return None
    return cause.args[0] if isinstance(cause.args[0], int) else None


def sqlite_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code."""
    code = getattr(driver_error(error), "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def is_busy(error: BaseException) -> bool:
    """Say whether another connection held the lock that SQLite needed."""
    return sqlite_code(error) in _SQLITE_BUSY


def is_conflict(error: BaseException) -> bool:
    """Say whether the database gave this transaction up for the sake of another one."""
    return (
        sqlstate(error) in _RETRYABLE_STATES
        or mysql_number(error) in (_MYSQL_DEADLOCK, _MYSQL_LOCK_TIMEOUT)
        or is_busy(error)
    )


def is_mysql_deadlock(error: BaseException) -> bool:
    """Say whether MySQL rolled the whole transaction back, savepoints included."""
    return mysql_number(error) == _MYSQL_DEADLOCK


def is_mysql_lock_timeout(error: BaseException) -> bool:
    """Say whether a lock could not be had in time, which MySQL can be set to roll back for."""
    return mysql_number(error) == _MYSQL_LOCK_TIMEOUT


def is_read_only_violation(error: BaseException) -> bool:
    """Say whether the database refused a write because the transaction is read-only."""
    return (
        sqlstate(error) == "25006"
        or mysql_number(error) in _MYSQL_READ_ONLY
        or sqlite_code(error) == _SQLITE_READ_ONLY
    )


def is_statement_timeout(error: BaseException) -> bool:
    """Say whether the database cut the statement off."""
    return sqlstate(error) == "57014"


def is_lost_connection(error: BaseException) -> bool:
    """Say whether the connection to the database is gone, or could not be made.

    An ``OSError`` counts only where a session saw it: another one may come from anywhere.
    """
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if mysql_number(error) in _MYSQL_LOST:
        return True
    state = sqlstate(error)
    if state is not None:
        return state.startswith(_CONNECTION_CLASS) or state in _SERVER_GOES_AWAY
    cause = driver_error(error)
    if type(cause).__module__.startswith("asyncpg"):
        return type(cause).__name__ in _ASYNCPG_LOST
    if type(cause).__module__.startswith("psycopg"):  # without a SQLSTATE it is libpq's own word
        return any(base.__name__ == "OperationalError" for base in type(cause).__mro__)
    return isinstance(error, OSError) and getattr(error, _SEEN, False)


_ASYNCPG_LOST = ("InterfaceError", "InternalClientError", "ConnectionDoesNotExistError")
_SEEN = "_sqla_safe_from_session"


def mark_from_session(error: BaseException) -> None:
    """Remember that this ``OSError`` came out of a session."""
    setattr(error, _SEEN, True)


_STORED = "_sqla_safe_stored"


def mark_stored(error: BaseException) -> None:
    """Remember that a part of the work was stored before this error."""
    setattr(error, _STORED, True)


def is_marked_stored(error: BaseException) -> bool:
    """Say whether a part of the work was stored before this error."""
    return getattr(error, _STORED, False)


def server_answered(error: BaseException) -> bool:
    """Say whether this is the database's own answer, so that what it did is known."""
    if not isinstance(error, Exception) or is_lost_connection(error):
        return False
    return isinstance(error, DBAPIError) or sqlstate(error) is not None


def describe(error: BaseException) -> str:
    """Name an error by its class and SQLSTATE; its text may hold values."""
    cause = driver_error(error)
    state = sqlstate(error)
    return f"{type(cause).__name__}{f' (SQLSTATE {state})' if state else ''}"
