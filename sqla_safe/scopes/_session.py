"""The session inside a scope: the user's own session class with a watchman at each door.

The watchman (a `Unit`) sees who uses the session and refuses what would end the transaction behind
the scope's back. Overriding methods on one subclass per session class costs about a microsecond a
call; listeners on session instances cost half of a whole scope.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from sqla_safe._reading import READ, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, CursorResult, Engine

    from sqla_safe.scopes._unit import Unit


class ManagedSession(Session):
    """Mixed into the sessionmaker's own class; every door asks the unit first."""

    _sqs_unit: Any = None
    _sqs_base: type[Session]
    """The class that this one was mixed into: what the scope itself calls is called on it."""

    # The three that run statements know the statement: it tells reads from writes.

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the statement while nobody else uses the session."""
        unit = self._sqs_unit
        if unit is None:
            return super().execute(statement, *args, **kwargs)
        if unit.busy is not None or unit.is_guarded:
            with Door(unit, statement):
                return self._sqs_base.execute(self, statement, *args, **kwargs)
        unit.busy = unit.who()
        try:
            if not (getattr(statement, "is_select", False) or unit.wrote):
                unit.expect_write(statement)
            if not (args or kwargs):  # passing nothing on is quicker than passing on an empty list
                return self._sqs_base.execute(self, statement)
            return self._sqs_base.execute(self, statement, *args, **kwargs)
        except BaseException as error:
            unit.saw(error)
            raise
        finally:
            unit.busy = None
            if unit.is_guarded:
                unit.leave()

    def _sqs_read(
        self,
        statement: Any,
        parameters: Any,
        *,
        execution_options: Any,
        bind_arguments: dict[str, Any],
    ) -> CursorResult[Any]:
        """Run a SELECT of columns while nobody else uses the session: `execute` without the ORM.

        See `sqla_safe._reading`, which views ask for it.
        """
        unit = self._sqs_unit
        inner: Callable[..., CursorResult[Any]] = getattr(self._sqs_base, READ, read)
        how = {"execution_options": execution_options, "bind_arguments": bind_arguments}
        if unit is None or unit.busy is not None or unit.is_guarded:
            with nullcontext() if unit is None else Door(unit):
                return inner(self, statement, parameters, **how)
        unit.busy = unit.who()
        try:
            return inner(self, statement, parameters, **how)
        except BaseException as error:
            unit.saw(error)
            raise
        finally:
            unit.busy = None
            if unit.is_guarded:
                unit.leave()

    def scalar(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the statement while nobody else uses the session."""
        unit = self._sqs_unit
        if unit is None:
            return super().scalar(statement, *args, **kwargs)
        with Door(unit, statement):
            return super().scalar(statement, *args, **kwargs)

    def scalars(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the statement while nobody else uses the session."""
        unit = self._sqs_unit
        if unit is None:
            return super().scalars(statement, *args, **kwargs)
        with Door(unit, statement):
            return super().scalars(statement, *args, **kwargs)

    def flush(self, *args: Any, **kwargs: Any) -> None:
        """Write the pending changes while nobody else uses the session."""
        unit = self._sqs_unit
        if unit is None or (unit.busy is not None and unit.busy == unit.who()):  # an autoflush
            if not (args or kwargs):
                return self._sqs_base.flush(self)
            return self._sqs_base.flush(self, *args, **kwargs)
        outermost = unit.enter()
        try:
            return super().flush(*args, **kwargs)
        except BaseException as error:
            unit.saw(error)
            raise
        finally:
            if outermost:
                unit.leave()

    def connection(self, *args: Any, **kwargs: Any) -> Connection:
        """Return the connection; what is done with it cannot be told from a write."""
        unit = self._sqs_unit
        if unit is None:
            return super().connection(*args, **kwargs)
        with Door(unit):
            unit.expect_write(None)
            return super().connection(*args, **kwargs)

    # What ends or begins the transaction is the scope's business.

    def commit(self) -> None:
        """Refuse, or flush where the policy says so."""
        unit = self._sqs_unit
        if unit is None or unit.acts():
            super().commit()
        elif unit.refuses("commit"):
            self.flush()

    def rollback(self) -> None:
        """Refuse, or mark the scope rollback-only where the policy says so."""
        unit = self._sqs_unit
        if unit is None or unit.acts():
            super().rollback()
        elif unit.refuses("rollback"):
            unit.doom_by_service()

    def begin(self, nested: bool = False) -> SessionTransaction:  # noqa: FBT001, FBT002  (as SQLAlchemy's)
        """Refuse, unless it is a savepoint."""
        unit = self._sqs_unit
        if unit is None or unit.acts():
            return super().begin(nested=nested)
        if not nested:
            unit.forbid("begin")
        with Door(unit):
            unit.is_plain = False
            return super().begin(nested=True)

    def close(self) -> None:
        """Refuse while the scope is open; afterwards there is nothing left to close."""
        unit = self._sqs_unit
        if unit is None or unit.acts():
            super().close()
        elif unit.is_open:
            unit.forbid("close")

    def reset(self) -> None:
        """Refuse."""
        self._sqs_forbid("reset")
        super().reset()

    def invalidate(self) -> None:
        """Refuse."""
        self._sqs_forbid("invalidate")
        super().invalidate()

    def prepare(self) -> None:
        """Refuse."""
        self._sqs_forbid("prepare")
        super().prepare()

    def _sqs_forbid(self, method: str) -> None:
        if self._sqs_unit is not None:
            self._sqs_unit.forbid(method)


class Door:
    """Held around one operation: enters the unit, notes an error, leaves."""

    __slots__ = ("_outermost", "_statement", "_unit")

    def __init__(self, unit: Unit, statement: Any = None) -> None:
        self._unit = unit
        self._statement = statement

    def __enter__(self) -> None:
        self._outermost = self._unit.enter()
        statement = self._statement
        if statement is not None and not getattr(statement, "is_select", False):
            try:
                self._unit.expect_write(statement)
            except BaseException:
                self.__exit__(None, None, None)
                raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._unit.saw(error)
        if self._outermost:
            self._unit.leave()


class SteeredSession(ManagedSession):
    """A managed session whose engine depends on the scope: read-only, isolation, independent."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Any:
        """Return the engine that the scope's options ask for."""
        bind: Engine | Connection = super().get_bind(*args, **kwargs)
        return bind if self._sqs_unit is None else self._sqs_unit.steer(bind)


def _watched(name: str, *, writes: bool = False) -> Any:
    inherited = getattr(Session, name)

    def method(self: ManagedSession, *args: Any, **kwargs: Any) -> Any:
        unit = self._sqs_unit
        operation = getattr(super(ManagedSession, self), name)
        if unit is None:
            return operation(*args, **kwargs)
        with Door(unit):
            if writes:
                unit.expect_write(None)
            return operation(*args, **kwargs)

    method.__name__, method.__doc__ = name, inherited.__doc__
    return method


def _needs_open(name: str) -> Any:
    inherited = getattr(Session, name)

    def method(self: ManagedSession, *args: Any, **kwargs: Any) -> Any:
        unit = self._sqs_unit
        if unit is not None and (not unit.is_open or unit.busy is not None):
            unit.expect_change(f"session.{name}()")
        return getattr(super(ManagedSession, self), name)(*args, **kwargs)

    method.__name__, method.__doc__ = name, inherited.__doc__
    return method


for _name in ("get", "get_one", "refresh", "merge"):
    setattr(ManagedSession, _name, _watched(_name))
for _name in ("bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings"):
    setattr(ManagedSession, _name, _watched(_name, writes=True))
for _name in ("add", "add_all", "delete", "query"):
    setattr(ManagedSession, _name, _needs_open(_name))


@lru_cache(maxsize=256)
def managed_class(base: Any, is_steered: bool) -> type[Session]:  # noqa: FBT001  (lru_cache is quicker so)
    """Return the managed subclass of a session class, made once."""
    mixin = SteeredSession if is_steered else ManagedSession
    closes_itself = base.close is not Session.close
    members = {
        "__module__": base.__module__,
        "_sqs_base": base,
        "_sqs_closes_itself": closes_itself,
    }
    cls = cast("type[Session]", type(base.__name__, (mixin, base), members))
    event.listen(cls, "after_begin", _after_begin)
    event.listen(cls, "before_flush", _before_flush)
    event.listen(cls, "after_soft_rollback", _after_soft_rollback)
    event.listen(cls, "after_commit", _after_commit, insert=True)
    return cls


def _after_begin(session: Any, transaction: SessionTransaction, connection: Connection) -> None:
    unit = session._sqs_unit
    if unit is not None and not transaction.nested:
        unit.adopt(connection)


def _before_flush(session: Any, _context: Any, _instances: Any) -> None:
    unit = session._sqs_unit
    if unit is not None:
        unit.expect_flush()


def _after_commit(session: Any) -> None:
    """Before anybody else's listener, which may raise."""
    unit = session._sqs_unit
    if unit is None or unit.phase != "committing":
        return
    if unit.is_plain or not session.in_nested_transaction():
        unit.outcome = "committed"


def _after_soft_rollback(session: Any, previous: SessionTransaction) -> None:
    unit = session._sqs_unit
    if unit is None or unit.is_closed:
        return
    if previous.nested:
        unit.lost_savepoint(previous)
    if session.in_nested_transaction():
        return  # what a savepoint lost is the savepoint's
    if previous.parent is None or not session.is_active:
        unit.lost_transaction()
