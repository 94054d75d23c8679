"""What a guarded session tells while it is used, by SQLAlchemy's own events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy.exc as sa_exc
from sqlalchemy import event

from sqla_safe._locations import here
from sqla_safe.guard import _codes, _internals
from sqla_safe.guard._attributes import Attribute
from sqla_safe.guard._diagnose import diagnose
from sqla_safe.guard._nplusone import count
from sqla_safe.guard._provenance import INFO, LoadSite, entity_state, origin_of, stamp_new
from sqla_safe.guard._telling import attach

if TYPE_CHECKING:
    from sqlalchemy.engine import Result
    from sqlalchemy.orm import ORMExecuteState

    from sqla_safe._locations import Place
    from sqla_safe.guard._internals import Access
    from sqla_safe.guard._records import Record


def _on_execute(execution: ORMExecuteState) -> Result[Any] | None:
    """Mark what is loaded, and look at what is loaded without being asked for."""
    session: Any = execution.session
    if session._sqs_guard.mode == "off":
        return None
    if session._sqs_at is not None and execution.is_select:  # called by the user's own code
        if execution.is_orm_statement:
            _stamp(execution, session, session._sqs_at)
        return None
    return _on_other(execution, session)


def _on_other(execution: ORMExecuteState, session: Any) -> Result[Any] | None:
    """Look at what SQLAlchemy itself executes: for a query, a lazy load, an async session ..."""
    if not (execution.is_select or execution.is_from_statement):
        return None
    path = execution.loader_strategy_path
    if path is not None and not path.is_root:
        return _of_relationship(execution, session)
    if path is not None and execution.is_column_load:
        return _implicit(execution, session)
    if path is not None or execution.is_orm_statement:
        _stamp(execution, session, here())
    return None


def _of_relationship(execution: ORMExecuteState, session: Any) -> Result[Any] | None:
    """Look at a lazy load; an eager one was asked for, and has the marks of its statement."""
    if not execution.is_select or execution.lazy_loaded_from is None:
        return _implicit(execution, session) if execution.is_column_load else None
    result = _implicit(execution, session)
    if result is None:
        _stamp(execution, session, here())
    return result


def _stamp(execution: ORMExecuteState, session: Any, at: Place | None) -> None:
    statement: Any = execution.statement
    record = session._sqs_record or session._sqs_known()
    execution.statement = statement.options(LoadSite((at, record)))


def _implicit(execution: ORMExecuteState, session: Any) -> Result[Any] | None:
    """An attribute is being loaded because it was read."""
    record: Record = session._sqs_known()
    if record.is_async and _internals.is_outside_greenlet():
        return _refuse(execution) if record.guard.raises else None
    access = _access(execution)
    if access.state is not None and access.key is not None:
        count(record, Attribute(access.state, access.key))
    return None


def _access(execution: ORMExecuteState) -> Access:
    """Return what is being read; SQLAlchemy tells it for relationships."""
    found = _internals.access_in(_internals.frames_from())
    owner = execution.lazy_loaded_from
    if found.key is None and owner is not None:
        path: Any = execution.loader_strategy_path
        key = next((step.key for step in reversed(path.path) if hasattr(step, "key")), None)
        found = found._replace(state=owner, key=key)
    return found._replace(session=execution.session)


def _refuse(execution: ORMExecuteState) -> Result[Any] | None:
    """Raise what SQLAlchemy would raise, before it touches the connection."""
    if len(execution.session.dispatch.do_orm_execute) > 1:
        return _let_others_try(execution)
    error = _internals.missing_greenlet()
    access = _access(execution)
    explanation = diagnose(_codes.IMPLICIT_IO, access, here())
    if explanation is not None:
        attach(error, explanation)
    raise error


def _let_others_try(execution: ORMExecuteState) -> Result[Any]:
    """Another listener, such as a cache, may answer without I/O."""
    try:
        return execution.invoke_statement()
    except sa_exc.StatementError as error:
        if isinstance(error.orig, sa_exc.MissingGreenlet):
            raise error.orig from None
        raise


def _before_flush(session: Any, _context: Any, _instances: Any) -> None:
    if session._sqs_guard.mode == "off":
        return
    record: Record = session._sqs_known()
    record.in_flush = True
    if session.new:
        stamp_new(session, here(), record)


def _after_flush(session: Any, _context: Any) -> None:
    if session._sqs_guard.mode == "off":
        return
    record: Record = session._sqs_known()
    record.in_flush = False
    if session.dirty or session.new:
        record.note("flush", "flush")


def _after_commit(session: Any) -> None:
    if session._sqs_guard.mode == "off":
        return
    if session.expire_on_commit and not session.in_nested_transaction():
        session._sqs_known().note("commit", "commit")


def _after_soft_rollback(session: Any, previous: Any) -> None:
    if session._sqs_guard.mode == "off" or session._sqs_record is None:
        return
    record: Record = session._sqs_known()
    if record.in_flush:
        record.in_flush = False
        record.note("failed flush", "failed flush")
    elif previous.nested:
        record.note("savepoint", "rollback to a savepoint")
    elif previous.parent is None and not _is_known(record):
        record.note("rollback", "rollback")


def _is_known(record: Record) -> bool:
    """Say whether the rollback only follows up a failed flush, which has expired everything."""
    return bool(record.causes) and record.causes[-1].kind == "failed flush"


def _detached_to_persistent(session: Any, entity: object) -> None:
    """An entity has come from another session: it belongs to this one now."""
    if session._sqs_guard.mode == "off":
        return
    state = entity_state(entity)
    origin = origin_of(state)
    if origin.record is not session._sqs_known():
        state.info[INFO] = LoadSite((origin.loaded, session._sqs_known()))


LISTENERS: dict[str, Any] = {
    "do_orm_execute": _on_execute,
    "before_flush": _before_flush,
    "after_flush": _after_flush,
    "after_commit": _after_commit,
    "after_soft_rollback": _after_soft_rollback,
    "detached_to_persistent": _detached_to_persistent,
}


def listen(target: Any, listeners: dict[str, Any]) -> None:
    """Let the guard listen to a session class."""
    for name, function in listeners.items():
        event.listen(target, name, function)


def stop_listening(target: Any, listeners: dict[str, Any]) -> None:
    """Undo `listen`."""
    for name, function in listeners.items():
        event.remove(target, name, function)
