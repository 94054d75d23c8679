"""What a guarded session does with each statement: mark what it loads, and see what was not asked.

This runs before every statement, so it asks SQLAlchemy for as little as possible: whose code called
is enough to tell a user's own statement from the loads that SQLAlchemy makes on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select
from sqlalchemy.exc import MissingGreenlet

from sqla_safe._locations import KINDS, Place, awaiting_frame, here
from sqla_safe.guard import _codes, _internals
from sqla_safe.guard._attributes import Attribute
from sqla_safe.guard._diagnose import diagnose
from sqla_safe.guard._nplusone import count
from sqla_safe.guard._provenance import marked
from sqla_safe.guard._telling import attach

if TYPE_CHECKING:
    from types import FrameType

    from sqla_safe.guard._internals import Access, Load
    from sqla_safe.guard._records import Record


_SELECT: Any = Select  # whose type arguments are of no interest here


def seen(session: Any, statement: Any, caller: FrameType | None) -> Any:
    """Return the statement to execute in place of one, marked with where it was executed.

    Raises:
        MissingGreenlet: it is a load that cannot be done here, under asyncio.
    """
    try:
        if caller is None:  # the beginning of an async session's greenlet
            place = here(awaiting_frame())
        else:
            code = caller.f_code
            if KINDS[code.co_filename] != "project":
                return _seen(session, statement, caller)
            place = Place((code, caller.f_lasti))
        is_ours = isinstance(statement, _SELECT) or _loads_entities(statement)
        if is_ours:
            return marked(statement, session, place)
    except MissingGreenlet:
        raise
    except Exception:  # noqa: BLE001, S110  (on any doubt the statement runs as it is)
        pass
    return statement


def noticed(session: Any, statement: Any, _caller: FrameType | None) -> Any:
    """Return a statement that loads no entities as it is; its session is known from here on."""
    if session._sqs_record is None:
        session._sqs_known()
    return statement


def _seen(session: Any, statement: Any, caller: FrameType) -> Any:
    load = _internals.load_in(caller)
    if load.kind == "statement":
        is_ours = isinstance(statement, _SELECT) or _loads_entities(statement)
        return marked(statement, session, here(caller)) if is_ours else statement
    session._sqs_place = None
    return _loaded(session, statement, load)


def _loaded(session: Any, statement: Any, load: Load) -> Any:
    """Return the statement of a load that SQLAlchemy does by itself."""
    if load.kind == "lazy":
        _look_at(session, load.access)
    if not load.is_relationship:  # or the entity has been loaded before, or its statement is marked
        return statement
    return marked(statement, session, here())


def _loads_entities(statement: Any) -> bool:
    return bool(
        getattr(statement, "is_select", False) or getattr(statement, "is_from_statement", False)
    )


def _look_at(session: Any, access: Access) -> None:
    """An attribute is being loaded because it was read."""
    record: Record = session._sqs_known()
    if record.is_async and _internals.is_outside_greenlet():
        if record.guard.raises and not session.dispatch.do_orm_execute:
            raise _refusal(session, access)
        return  # another listener, such as a cache, may answer without I/O
    if access.state is not None and access.key is not None:
        count(record, Attribute(access.state, access.key))


def _refusal(session: Any, access: Access) -> MissingGreenlet:
    """Return what SQLAlchemy would raise, before it touches the connection."""
    error = _internals.missing_greenlet()
    explanation = diagnose(_codes.IMPLICIT_IO, access._replace(session=session), here())
    if explanation is not None:
        attach(error, explanation)
    return error
