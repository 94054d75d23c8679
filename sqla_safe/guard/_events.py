"""What a guarded session tells while it is used, by SQLAlchemy's own events."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from sqla_safe._locations import here
from sqla_safe.guard._provenance import INFO, LoadSite, entity_state, marked, origin_of, stamp_new

if TYPE_CHECKING:
    from sqlalchemy.orm import ORMExecuteState

    from sqla_safe.guard._records import Record


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
    with suppress(Exception):  # without it the entity keeps the record that it has
        state = entity_state(entity)
        origin = origin_of(state)
        if origin.record is not session._sqs_known():
            state.info[INFO] = LoadSite((origin.loaded, session._sqs_known()))


def on_execute(execution: ORMExecuteState) -> None:
    """Mark a statement that went around the session's own methods."""
    session: Any = execution.session
    if session._sqs_guard.mode == "off" or session._sqs_busy is not None:
        return
    if execution.is_select and execution.is_orm_statement:
        execution.statement = marked(execution.statement, session, here())


LISTENERS: dict[str, Any] = {
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
