"""From one of SQLAlchemy's errors, and what it was doing, to an explanation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy.exc as sa_exc
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError

from sqla_safe._owners import current_kind
from sqla_safe.guard import _codes
from sqla_safe.guard._attributes import Attribute
from sqla_safe.guard._explanation import Explanation
from sqla_safe.guard._provenance import Origin, origin_of
from sqla_safe.guard._records import Cause, Record
from sqla_safe.guard._repairs import Repair
from sqla_safe.guard._sites import block_end, in_function, shown

if TYPE_CHECKING:
    from sqlalchemy.orm import InstanceState

    from sqla_safe._locations import Place
    from sqla_safe.guard._internals import Access
    from sqla_safe.guard._sites import Site

_BUSY = "another operation is in progress"
_BY_TEXT = (
    (" is not available due to ", _codes.RAISELOAD),
    (" is already attached to session ", _codes.OTHER_SESSION),
    (" is not persistent within this Session", _codes.OTHER_SESSION),
    (" has been permanently closed", _codes.CLOSED_SESSION),
    ("identity map is no longer valid", _codes.CLOSED_SESSION),
    ("This session is in 'committed' state", _codes.CLOSED_SESSION),
    ("This session is in 'prepared' state", _codes.CLOSED_SESSION),
    ("Can't operate on closed transaction", _codes.CLOSED_SESSION),
    ("concurrent operations are not permitted", _codes.CONCURRENT_USE),
    (" is already in progress", _codes.CONCURRENT_USE),
    (_BUSY, _codes.CONCURRENT_USE),
)
_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (DetachedInstanceError, _codes.DETACHED),
    (sa_exc.MissingGreenlet, _codes.IMPLICIT_IO),
    (sa_exc.PendingRollbackError, _codes.AFTER_FAILED_FLUSH),
    (ObjectDeletedError, _codes.ROW_GONE),
)
_BY_CAUSE = {
    "commit": _codes.AFTER_COMMIT,
    "rollback": _codes.AFTER_ROLLBACK,
    "savepoint": _codes.AFTER_ROLLBACK,
    "failed flush": _codes.AFTER_FAILED_FLUSH,
    "flush": _codes.SERVER_GENERATED,
    "by hand": _codes.BY_HAND,
}
_AFTER = {
    "commit": "after a commit had expired it",
    "rollback": "after a rollback had expired it",
    "savepoint": "after a rollback to a savepoint had expired it",
    "failed flush": "after a failed flush had expired it",
    "flush": "after a flush that lets the database fill it",
    "by hand": "after {what}",
}


def code_of(error: BaseException) -> str | None:
    """Return what an error is about, or None when it is not ours to explain."""
    for cls, code in _BY_CLASS:
        if isinstance(error, cls):
            return code
    text = _text(error)
    return next((code for part, code in _BY_TEXT if part in text), None)


def _text(error: BaseException) -> str:
    """Return SQLAlchemy's own words; those of a driver only where it says that it is busy."""
    if isinstance(error, sa_exc.InvalidRequestError) and error.args:
        return str(error.args[0])
    is_busy = type(error).__name__ == "InterfaceError" and _BUSY in str(error)
    return _BUSY if is_busy else ""


def record_of_session(session: Any) -> Record | None:
    """Return the guard's record of a session, if it has one; the last one when it is closed."""
    record = getattr(session, "_sqs_record", None) or getattr(session, "_sqs_last", None)
    return record if isinstance(record, Record) else None


def home_of(state: InstanceState[Any]) -> tuple[Origin, Record | None]:
    """Return where an entity came from, and the record of the session that it belongs to."""
    origin = origin_of(state)
    session = state.session
    return origin, (record_of_session(session) if session is not None else None) or origin.record


def diagnose(code: str, access: Access, read: Place | None) -> Explanation | None:
    """Return the explanation, or None where nothing is known beyond SQLAlchemy's own text."""
    if code in (_codes.DETACHED, _codes.IMPLICIT_IO, _codes.RAISELOAD, _codes.ROW_GONE):
        state, key = access.state, access.key
        if state is not None and key is not None and key in state.mapper.attrs:
            return _of_attribute(code, Attribute(state, key), access, read)
        return _of_entity(code, access, read)
    return _of_session(code, access, read)


# -- an attribute that cannot be read --------------------------------------------------------------


def _of_attribute(
    code: str, attribute: Attribute, access: Access, read: Place | None
) -> Explanation:
    state = attribute.state
    origin, record = home_of(state)
    is_async = code == _codes.IMPLICIT_IO or _is_async(record)
    cause = None if record is None else find_cause(record, attribute)
    code, when = _named(code, cause, attribute, record)
    repair = Repair(attribute, is_async=is_async, is_attached=state.session is not None)
    return Explanation(
        code=code,
        title=f"{attribute.name} {access.verb} {when}",
        instead=repair.of(code),
        entity=attribute.entity,
        attribute=attribute.key,
        cause=None if cause is None else described(cause, record),
        **_places(read, origin, record, is_attached=_is_open(state, cause)),
    )


def _is_async(record: Record | None) -> bool:
    """Say how its session loads; of an unknown one, what runs now is the best guess."""
    return current_kind() == "task" if record is None else record.is_async


def _is_open(state: InstanceState[Any], cause: Cause | None) -> bool:
    """Say whether the session is open, as far as the entity knows."""
    return state.session is not None or (cause is not None and cause.kind == "by hand")


_WHEN = {
    _codes.RAISELOAD: "although its loading is forbidden",
    _codes.ROW_GONE: "when its row was no longer in the database",
    _codes.IMPLICIT_IO: "in async code without being loaded",
}


def _named(
    code: str, cause: Cause | None, attribute: Attribute, record: Record | None
) -> tuple[str, str]:
    """Return the code and the words for when it was read; a cause comes first."""
    if code in (_codes.RAISELOAD, _codes.ROW_GONE):
        return code, _WHEN[code]
    if cause is not None:
        return _BY_CAUSE[cause.kind], _AFTER[cause.kind].format(what=cause.what)
    if code == _codes.IMPLICIT_IO:
        return code, _WHEN[code]
    if record is not None and record.was_strict and attribute.was_loaded:
        return _codes.STRICT, "after its scope had ended (strict mode)"
    if attribute.state.session is None and record is not None and not record.is_closed:
        return code, "when it belonged to no session"
    return code, "after its scope had ended"


def find_cause(record: Record, attribute: Attribute) -> Cause | None:
    """Return the last thing that threw the attribute's value away."""
    entity: object = attribute.state.obj()
    causes: list[Cause] = list(record.causes)
    for cause in reversed(causes):
        if cause.only is not None:
            is_meant = cause.keys is None or attribute.key in cause.keys
            if entity is not None and cause.only() is entity and is_meant:
                return cause
        elif _explains(cause, attribute):
            return cause
    return None


def _explains(cause: Cause, attribute: Attribute) -> bool:
    if cause.kind == "flush":
        return (
            not attribute.state.expired and attribute.is_expired and attribute.kind == "generated"
        )
    if cause.what == "expunge_all()":
        return attribute.state.session is None
    return attribute.is_expired


def described(cause: Cause, record: Record | None) -> str:
    """Return a cause with its line."""
    if cause.at is not None:
        return f"{cause.what} at {in_function(cause.at)}"
    opened = record.opened[-1] if record is not None and record.opened else None
    end = None if opened is None else block_end(opened)
    if opened is None or end is None:
        return f"{cause.what} at the end of the block"
    return f"{cause.what} at the end of the block opened at {shown(opened)}, :{end}"


# -- places ----------------------------------------------------------------------------------------


def _places(
    read: Place | None, origin: Origin, record: Record | None, *, is_attached: bool
) -> dict[str, str | None]:
    loaded = origin.loaded
    return {
        "read": None if read is None else in_function(read),
        "loaded": loaded if isinstance(loaded, str) or loaded is None else in_function(loaded),
        **scope_places(record, origin.opened, is_attached=is_attached),
    }


def scope_places(
    record: Record | None, opened: str | None = None, *, is_attached: bool = True
) -> dict[str, str | None]:
    """Return where a session's block was opened and closed, and the session within it."""
    if record is None or not record.opened:
        return {"opened": opened, "closed": None, "session": None}
    block, inner = record.opened[-1], record.opened[0]
    closed = _closed(record, block, -1, is_attached=is_attached)
    session = None
    if not inner.is_on(block):
        session = f"opened {shown(inner)}, {_closed(record, inner, 0, is_attached=is_attached)}"
    return {"opened": shown(block), "closed": closed, "session": session}


def _closed(record: Record, opened: Place, which: int, *, is_attached: bool) -> str:
    if not record.is_closed:
        return "still open" if is_attached else "and left without being closed"
    return f"closed {_end(record.closed, opened, which)}"


def _end(closed: Site, opened: Place, which: int) -> str:
    """Name the line of a close; the end of a ``with`` block by its last line."""
    at = closed[which] if closed else opened
    if at.is_on(opened):
        end = block_end(opened)
        return "at the end of its block" if end is None else f":{end}"
    return shown(at)


# -- an entity or a session that is used wrongly ---------------------------------------------------


def _of_entity(code: str, access: Access, read: Place | None) -> Explanation | None:
    if access.state is None:
        return _of_session(code, access, read) if access.session is not None else None
    origin, record = home_of(access.state)
    name = access.state.class_.__name__
    titles = {
        _codes.DETACHED: f"{name} was used after its scope had ended",
        _codes.ROW_GONE: f"{name} was read when its row was no longer in the database",
        _codes.RAISELOAD: f"an attribute of {name} was read although its loading is forbidden",
    }
    return Explanation(
        code=code,
        title=titles.get(code, f"an attribute of {name} was read in async code, not loaded"),
        instead=_INSTEAD[code],
        entity=name,
        **_places(read, origin, record, is_attached=access.state.session is not None),
    )


_TITLES = {
    _codes.AFTER_FAILED_FLUSH: "the session was used after a flush had failed, without a rollback",
    _codes.CLOSED_SESSION: "the session was used after its end, or the end of its transaction",
    _codes.CONCURRENT_USE: "two tasks used one session at the same time",
    _codes.IMPLICIT_IO: "SQL was sent in async code outside of `await`",
}
_INSTEAD = {
    _codes.DETACHED: "use it inside the scope, or take a snapshot there",
    _codes.IMPLICIT_IO: "await session.run_sync(function), or the awaitable method of AsyncSession",
    _codes.ROW_GONE: "keep what you need before the row is deleted; session.get() asks whether it "
    "exists",
    _codes.RAISELOAD: "name it in .options(...) where the entity is loaded",
    _codes.AFTER_FAILED_FLUSH: "session.rollback() where the error is caught, or session."
    "begin_nested() around the step that may fail",
    _codes.CLOSED_SESSION: "open a new scope where the work is done",
    _codes.CONCURRENT_USE: "await one call after the other, or open scoped_services(...) inside "
    "each task and pass ids to it",
    _codes.OTHER_SESSION: "await session.merge({variable}), and use what it returns; or share one "
    "session: scoped_services(Session, ...)",
}


def _of_session(code: str, access: Access, read: Place | None) -> Explanation:
    record = record_of_session(access.session)
    if code == _codes.CLOSED_SESSION:
        record = getattr(access.session, "_sqs_last", None) or record
    if code == _codes.OTHER_SESSION and access.state is not None:
        return _of_stranger(access, record, read)
    title, instead = _words_of_session(code, access.session, record)
    explanation = Explanation(
        code=code,
        title=title,
        instead=instead,
        read=None if read is None else in_function(read),
        cause=_failed_flush(record) if code == _codes.AFTER_FAILED_FLUSH else None,
        **scope_places(record),
    )
    return _with_attribute(explanation, access)


def _failed_flush(record: Record | None) -> str | None:
    causes = [] if record is None else [c for c in record.causes if c.kind == "failed flush"]
    return described(causes[-1], record) if causes else None


def _with_attribute(explanation: Explanation, access: Access) -> Explanation:
    """Name the attribute for which the session was used, if it was one."""
    state, key = access.state, access.key
    if state is None or key is None or key not in state.mapper.attrs:
        return explanation
    attribute, loaded = Attribute(state, key), origin_of(state).loaded
    return replace(
        explanation,
        title=f"{attribute.name} {access.verb}: {explanation.title}",
        entity=attribute.entity,
        attribute=key,
        loaded=loaded if isinstance(loaded, str) or loaded is None else in_function(loaded),
    )


def _words_of_session(code: str, session: Any, record: Record | None) -> tuple[str, str]:
    is_async = record is not None and record.is_async
    title, instead = _TITLES.get(code, _codes.CODES.get(code, "")), _INSTEAD[code]
    if code != _codes.AFTER_FAILED_FLUSH:
        return title, instead
    if getattr(session, "_sqs_unit", None) is not None:  # a service's own rollback is no help there
        block = "async with" if is_async else "with"
        step = f"`{block} session.begin_nested():` around the step that may fail"
        return "the session was used after a flush had failed in its scope", step
    return title, f"await {instead}" if is_async else instead


def _of_stranger(access: Access, using: Record | None, read: Place | None) -> Explanation:
    assert access.state is not None
    origin, record = home_of(access.state)
    name = access.state.class_.__name__
    attribute = Attribute(access.state, "")
    instead = _INSTEAD[_codes.OTHER_SESSION].format(variable=attribute.variable)
    if using is None or not using.is_async:
        instead = instead.removeprefix("await ")
    places = _places(read, origin, record, is_attached=access.state.session is not None)
    if using is not None and using.opened:
        places["session"] = f"the other one opened {shown(using.opened[0])}"
    return Explanation(
        code=_codes.OTHER_SESSION,
        title=f"{name} of one session was given to another",
        instead=instead,
        entity=name,
        **places,
    )
