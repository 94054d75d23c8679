"""Connections that store each statement by itself: they have no transaction to roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection


def is_asked_for(connection: Connection) -> bool:
    """Say whether execution options ask for it: the engine's, the session's or the connection's."""
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def stores_at_once(connection: Connection) -> bool:
    """Say whether a connection on which a transaction has just begun has none; without I/O.

    Only the driver knows of ``create_engine(isolation_level="AUTOCOMMIT")``, and of what was set
    when it connected.
    """
    if is_asked_for(connection):
        return True
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        return _sqlite_stores_at_once(driver)
    try:
        return connection.dialect.detect_autocommit_setting(driver)
    except NotImplementedError:
        return False


def _sqlite_stores_at_once(driver: Any) -> bool:
    """Ask for the mode, and for a transaction: in that mode others begin one by themselves."""
    if getattr(driver, "isolation_level", "") is not None and _autocommit(driver) is not True:
        return False
    return getattr(getattr(driver, "driver_connection", driver), "in_transaction", True) is False


def _autocommit(driver: Any) -> object:
    """Return the attribute that sqlite3 has since Python 3.12."""
    return getattr(getattr(driver, "driver_connection", driver), "autocommit", None)
