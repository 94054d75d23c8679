"""`rolled_back`: everything that a test stores, in one transaction that is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from sqla_safe.errors import ScopeOptionError, ScopeSourceError
from sqla_safe.ext._testing import _savepoints
from sqla_safe.scopes._autocommit import stores_at_once
from sqla_safe.scopes._callbacks import captured
from sqla_safe.scopes._connected import SHARED_OPTION
from sqla_safe.scopes._source import check_maker
from sqla_safe.scopes._sqlite import is_prepared

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sqlalchemy.orm import Session, sessionmaker

ConnectionT = TypeVar("ConnectionT", Connection, AsyncConnection)
OnCommit = Literal["run", "capture"]
_ABSENT = object()
_OPTIONS = {SHARED_OPTION: True}


class _RolledBack(Generic[ConnectionT]):
    """What sync and async tests have in common."""

    def __init__(self, source: Any, on_commit: OnCommit) -> None:
        self._source = source
        self._on_commit = on_commit
        self._before: dict[str, Any] = {}
        self._connection: ConnectionT | None = None
        self.callbacks: list[Callable[[], Any]] = []
        """The ``on_commit`` callbacks of scopes that ended well, with ``on_commit="capture"``."""

    @property
    def connection(self) -> ConnectionT:
        """The connection that all sessions share, to look at the database with."""
        assert self._connection is not None, "inside `with rolled_back(...)` only"
        return self._connection

    def _share(self, connection: ConnectionT, sync: Connection) -> None:
        """Let all sessions that the sessionmaker makes from now on use this connection."""
        shared = {"bind": connection, "join_transaction_mode": "create_savepoint"}
        self._before = {name: self._source.kw.get(name, _ABSENT) for name in shared}
        self._source.configure(**shared)
        self._connection = connection
        self._savepoints = _savepoints.watch(sync)
        if self._on_commit == "capture":
            captured[id(self._source)] = self.callbacks

    def _unshare(self, sync: Connection) -> None:
        captured.pop(id(self._source), None)
        _savepoints.stop(sync)
        for name, value in self._before.items():
            if value is _ABSENT:
                del self._source.kw[name]
            else:
                self._source.kw[name] = value
        self._connection = None

    def _taken(self) -> list[Callable[[], Any]]:
        taken = list(self.callbacks)
        self.callbacks.clear()
        return taken


class RolledBack(_RolledBack[Connection]):
    """The context manager that `rolled_back` returns for a ``sessionmaker``."""

    def __enter__(self) -> Self:
        connection = self._engine().connect().execution_options(**_OPTIONS)
        try:
            self._legacy = _begin(connection)
        except BaseException:
            connection.close()
            raise
        self._share(connection, connection)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        connection = self.connection
        self._unshare(connection)
        try:
            connection.rollback()
            _restore(connection, self._legacy)
        finally:
            connection.close()
        if error is None:
            self._savepoints.refuse_lost()

    def run_callbacks(self) -> None:
        """Run the captured callbacks, in their order, and forget them."""
        for callback in self._taken():
            callback()

    def _engine(self) -> Engine:
        bind = self._source.kw.get("bind")
        if not isinstance(bind, Engine):
            raise _unbound(bind)
        return bind


class AsyncRolledBack(_RolledBack[AsyncConnection]):
    """The context manager that `rolled_back` returns for an ``async_sessionmaker``."""

    async def __aenter__(self) -> Self:
        connection = await self._engine().connect()
        try:
            await connection.execution_options(**_OPTIONS)
            self._legacy = await connection.run_sync(_begin)
        except BaseException:
            await connection.close()
            raise
        self._share(connection, _sync(connection))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        connection = self.connection
        self._unshare(_sync(connection))
        try:
            await connection.rollback()
            await connection.run_sync(_restore, self._legacy)
        finally:
            await connection.close()
        if error is None:
            self._savepoints.refuse_lost()

    async def run_callbacks(self) -> None:
        """Run the captured callbacks, in their order, and forget them."""
        for callback in self._taken():
            result = callback()
            if hasattr(result, "__await__"):
                await result

    def _engine(self) -> AsyncEngine:
        bind = self._source.kw.get("bind")
        if not isinstance(bind, AsyncEngine):
            raise _unbound(bind)
        return bind


@overload
def rolled_back(
    source: async_sessionmaker[AsyncSession] | async_sessionmaker[Any],
    /,
    *,
    on_commit: OnCommit = ...,
) -> AsyncRolledBack: ...
@overload
def rolled_back(
    source: sessionmaker[Session] | sessionmaker[Any], /, *, on_commit: OnCommit = ...
) -> RolledBack: ...
def rolled_back(source: Any, /, *, on_commit: OnCommit = "run") -> Any:
    """Run a test inside one transaction, and undo at its end whatever the test has stored.

    All sessions of the sessionmaker use one connection meanwhile, in scopes and outside of them.
    What they commit is a savepoint there: they see it, and the database never does. Independent
    scopes (``requires_new``) are covered too. A SQLite engine need not be prepared for it.

    It works in a fixture or in the test itself, with ``with`` for a ``sessionmaker`` and
    ``async with`` for an ``async_sessionmaker``, and may be entered and left in different tasks.

    Args:
        source: the ``sessionmaker`` or ``async_sessionmaker`` that the code under test uses.
        on_commit: ``"run"`` runs ``on_commit`` callbacks when a scope ends well, as in production;
            ``"capture"`` keeps them in ``.callbacks``.

    Returns:
        A context manager that gives itself: ``.connection``, ``.callbacks``, ``.run_callbacks()``.

    Raises:
        ScopeSourceError: ``source`` is not a sessionmaker, or has no engine of its own.
        ScopeOptionError: ``on_commit`` is neither ``"run"`` nor ``"capture"``; or the engine is in
            AUTOCOMMIT.
        OuterTransactionError: at the end, if a transaction was undone that production would have
            stored; in a scope, if two tasks have transactions at the same time.

    Example:
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import sessionmaker
        >>> from sqla_safe import scoped_services
        >>> Session = sessionmaker(create_engine("sqlite://"))
        >>> with rolled_back(Session), scoped_services(Session) as scope:
        ...     pass
    """
    check_maker(source, "rolled_back(Session)")
    if on_commit not in ("run", "capture"):
        raise ScopeOptionError(
            problem="on_commit is neither 'run' nor 'capture'", instead='on_commit="capture"'
        )
    kind = AsyncRolledBack if isinstance(source, async_sessionmaker) else RolledBack
    return kind(source, on_commit)


def _unbound(bind: object) -> ScopeSourceError:
    got = "no engine" if bind is None else type(bind).__name__
    return ScopeSourceError(got=f"a sessionmaker bound to {got}", instead="sessionmaker(engine)")


def _sync(connection: AsyncConnection) -> Connection:
    sync = connection.sync_connection
    assert sync is not None
    return sync


def _begin(connection: Connection) -> object:
    """Begin the transaction; on SQLite by hand, where the driver would begin it too late."""
    if connection.dialect.name != "sqlite" or is_prepared(connection.engine):
        connection.begin()
        _refuse_autocommit(connection)
        return _ABSENT
    driver: Any = connection.connection.dbapi_connection
    legacy, driver.isolation_level = driver.isolation_level, None
    connection.begin()
    connection.exec_driver_sql("BEGIN")
    return legacy


def _refuse_autocommit(connection: Connection) -> None:
    if stores_at_once(connection):
        raise ScopeOptionError(
            problem="the engine of this sessionmaker is in AUTOCOMMIT, and there is no transaction "
            "that could be rolled back",
            instead="rolled_back(sessionmaker(engine)) with an engine without it",
        )


def _restore(connection: Connection, legacy: object) -> None:
    if legacy is not _ABSENT and not connection.invalidated:
        driver: Any = connection.connection.dbapi_connection
        driver.isolation_level = legacy
