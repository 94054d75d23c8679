"""The connections of a scope: how they are chosen, watched, cut off and given back."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, event

from sqla_safe import _dbapi
from sqla_safe._locations import current_line
from sqla_safe.errors import ManagedTransactionError, ScopeOptionError, SqliteNotPreparedError
from sqla_safe.scopes import _connections
from sqla_safe.scopes._autocommit import stores_at_once
from sqla_safe.scopes._boundary import note_second
from sqla_safe.scopes._connections import MARK
from sqla_safe.scopes._pools import Waiting, wait_for_second
from sqla_safe.scopes._sqlite import READ_ONLY_OPTION, is_prepared
from sqla_safe.scopes._use import Use

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqla_safe.scopes._connections import Failure


SHARED_OPTION = "sqla_safe_shared"
"""The execution option of the connection that all scopes of a test share."""
_READ_ONLY_BY_STATEMENT = (("mysql", "mariadb"), ("postgresql",))
"""Where SET TRANSACTION works: at a beginning, and inside a savepoint, until its end."""


class Connected(Use):
    """A session and the connections that it has taken."""

    _independent_of: Sequence[Connected] | None = None
    _waiting: Waiting | None = None
    in_transaction: bool | None = None
    """Whether a COMMIT that raised left SQLite's transaction open; None where nobody asked."""

    def be_independent_of(self, units: Sequence[Connected]) -> None:
        """Remember what else the task has open: it may hold connections of the same pool."""
        self._independent_of = units

    def steer(self, bind: Any) -> Any:
        """Return the engine with the options of this scope; called before a connection is taken."""
        steered = self._steered.get(bind)
        if steered is None:
            steered = self._steered[bind] = self._with_options(bind)
        may_wait = self._independent_of is not None and not is_shared(steered)
        if may_wait and not self.connections and self._waiting is None:
            units = {id(unit): unit for unit in self._independent_of or ()}.values()
            held = [c for unit in units for c in unit.connections if not c.closed]
            self._waiting = wait_for_second(steered.engine.pool, held, self.opened_at)
        return steered

    def _with_options(self, bind: Engine | Connection) -> Engine | Connection:
        options = self.options
        if options.read_only and self.policy.read_only_bind is not None and not is_shared(bind):
            bind = self.policy.read_only_bind
        wanted: dict[str, Any] = {}
        if options.isolation_level is not None and bind.dialect.name != "sqlite":
            _check_isolation_level(bind, options.isolation_level)
            wanted["isolation_level"] = options.isolation_level
        elif options.isolation_level not in (None, "SERIALIZABLE"):
            raise ScopeOptionError(
                problem=f"SQLite has no isolation level {reprlib.repr(options.isolation_level)}",
                instead="leave isolation_level out; SQLite's transactions are SERIALIZABLE",
            )
        if options.read_only:
            wanted[READ_ONLY_OPTION] = True
            if bind.dialect.name == "postgresql":
                wanted["postgresql_readonly"] = True
        if not wanted or is_shared(bind):
            return bind
        if isinstance(bind, Connection):
            raise ScopeOptionError(
                problem="read_only and isolation_level need a sessionmaker bound to an engine, and "
                "this one is bound to a connection",
                instead="sessionmaker(engine)",
            )
        return bind.execution_options(**wanted)

    def adopt(self, connection: Connection) -> None:
        """Take note of a connection on which the session has just begun its transaction."""
        if self.connections:
            self._refuse_second_transaction()
            self.connections += (connection,)
        else:
            self.connections = (connection,)
        marked: Any = connection
        marked.sqla_safe_unit = self  # how an error finds its unit
        dialect = connection.dialect
        if not hasattr(dialect, MARK):
            _connections.listen(connection)
        if dialect.name != "sqlite":
            self.is_patient = self.is_plain = False
        if not self.options.read_only and stores_at_once(connection):
            raise ScopeOptionError(
                problem="the connection of this scope is in AUTOCOMMIT, which has no transaction",
                instead="a sessionmaker on an engine without it; what needs AUTOCOMMIT runs on "
                'engine.connect().execution_options(isolation_level="AUTOCOMMIT")',
            )
        if not self.is_plain:
            self._adopt_with_care(connection)

    def _adopt_with_care(self, connection: Connection) -> None:
        if self._waiting is not None:
            self._stop_waiting()
        if self.options.read_only:
            _set_read_only(connection)
        if self.savepoints:
            self._refuse_unprepared_sqlite()
        if self.deadline is not None and not self.is_async:
            self._check_deadline()

    def _refuse_second_transaction(self) -> None:
        """Catch ``session.get_transaction().commit()``, which passes by the session's methods."""
        if any(c.closed for c in self.connections):
            self.set_doom("the transaction was ended inside the block", current_line(), None)
            raise ManagedTransactionError(method="commit", opened_at=self.opened_at)

    def _stop_waiting(self) -> None:
        assert self._waiting is not None
        self._waiting.done()
        self._waiting = None

    def failed(self, failure: Failure, *, lost: bool) -> None:
        """Note a statement that failed."""
        self.is_plain = False
        self.failures = [*self.failures, failure]
        if lost:
            reason = "the database rolled the transaction back when a statement failed"
            self.set_doom(reason, failure.where, failure.error)

    def translate(self, error: BaseException) -> BaseException | None:
        """Return our own error for what the database refused in the scope's name."""
        if self.read_only and _dbapi.is_read_only_violation(error):
            return self._read_only("A write reached the database")
        if self.deadline is not None and _dbapi.is_statement_timeout(error):
            return self._too_late()
        return None

    def _refuse_unprepared_sqlite(self) -> None:
        engines = [c.engine for c in self.connections]
        if not engines and self.session.bind is not None:
            engines = [self.session.bind.engine]
        for engine in engines:
            if engine.dialect.name == "sqlite" and not is_prepared(engine):
                raise SqliteNotPreparedError

    def _is_own(self, connection: Connection) -> bool:
        """Say whether the session took this connection from a pool, and did not get it bound."""
        return not isinstance(self.session.bind, Connection) or self.session.bind is not connection

    def _attempt(self, step: Callable[[], object], error: BaseException | None) -> None:
        try:
            step()
        except BaseException as second:  # noqa: BLE001  (the first error wins)
            note_second(error, second)

    def discard_all(self) -> None:
        """Make sure that no connection stays out of its pool nor goes back half used."""
        for connection in self.connections:
            if not connection.closed and self._is_own(connection):
                self._attempt(connection.invalidate, None)
                self._attempt(connection.close, None)
        self.connections = ()

    def _restore_connections(self) -> None:
        if self.options.read_only:
            for connection in self.connections:
                _unset_read_only(connection)

    def cancelled(self) -> bool:
        """A statement is being cancelled; say whether the driver must be left to its own pace."""
        for connection in self.connections:
            _connections.interrupt(connection)
        if self.connections:  # SQLAlchemy closes the connection of a cancelled statement
            reason = "a statement was cancelled, and the cancellation was swallowed"
            self.set_doom(reason, None, None)
        bind = self.session.bind
        return bind is not None and bind.dialect.name == "sqlite"

    def sever(self) -> None:
        """Cut all connections off, because an answer takes too long."""
        self.severed = True
        for connection in list(self.connections):
            _connections.sever(connection)


def _check_isolation_level(bind: Engine | Connection, level: str) -> None:
    """Refuse a level that does not exist before SQLAlchemy does, with a connection in its hand.

    It would not give that connection back to the pool.
    """
    try:
        known = bind.dialect.get_isolation_level_values(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # read from a connection by few
    except Exception:  # noqa: BLE001  (a dialect that asks the connection: SQLAlchemy refuses)
        return
    if level not in known:
        raise ScopeOptionError(
            problem=f"{bind.dialect.name} has no isolation level {reprlib.repr(level)}",
            instead=f"one of {', '.join(repr(one) for one in known if one != 'AUTOCOMMIT')}",
        )


def is_shared(bind: Engine | Connection) -> bool:
    """Say whether this is the one connection that all scopes of a test share."""
    return isinstance(bind, Connection) and SHARED_OPTION in bind.get_execution_options()


def _set_read_only(connection: Connection) -> None:
    """Use the database's own read-only transaction where an execution option cannot."""
    name = connection.dialect.name
    if name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.info[READ_ONLY_OPTION] = True
        _watch_checkin(connection.engine.pool)
    elif (name in ("mysql", "mariadb") and not is_shared(connection)) or (
        name == "postgresql" and is_shared(connection)
    ):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _unset_read_only(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and not (connection.closed or connection.invalidated):
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.info.pop(READ_ONLY_OPTION, None)


def _watch_checkin(pool: Any) -> None:
    """See to it that no connection goes back to its pool as a reader, however it got there."""
    if READ_ONLY_OPTION not in pool.__dict__:
        pool.sqla_safe_read_only = True
        event.listen(pool, "checkin", _write_again)


def _write_again(driver: Any, record: Any) -> None:
    if driver is not None and record.info.pop(READ_ONLY_OPTION, False):
        cursor = driver.cursor()
        cursor.execute("PRAGMA query_only = OFF")
        cursor.close()
