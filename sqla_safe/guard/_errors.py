"""Explain SQLAlchemy's errors at the moment when they are made, while all of it can be seen."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from sqla_safe._locations import here
from sqla_safe.errors import SqlaSafeError
from sqla_safe.guard import _internals, _makers
from sqla_safe.guard._diagnose import code_of, diagnose, home_of, record_of_session
from sqla_safe.guard._records import Guard
from sqla_safe.guard._telling import attach, attached_to, log

if TYPE_CHECKING:
    from types import FrameType

    from sqla_safe.guard._internals import Access
    from sqla_safe.guard._records import Mode

_ELSEWHERE = Guard("raise")
"""For entities that were pickled in a guarded session."""
_DEEPEST = 60
"""Frames of SQLAlchemy between an error and the user's line; there are 5 to 20."""


def guard(maker: Any, mode: Mode, idle: float | None) -> None:
    """Guard a sessionmaker, for `configure`."""
    _makers.guard_maker(maker, mode, idle)
    if mode != "off":
        watch()


def watch() -> None:
    """Begin to explain the errors of guarded sessions."""
    _internals.watch_errors(_enrich)


def stop() -> None:
    """Leave SQLAlchemy's errors alone again."""
    _internals.stop_watching()


def _enrich(error: BaseException, frame: FrameType) -> None:
    if isinstance(error, SqlaSafeError):
        return
    if isinstance(error, StatementError):
        _enrich_wrapper(error)
        return
    code = code_of(error)
    if code is None:
        return
    frames = itertools.islice(_internals.frames_from(frame), _DEEPEST)
    access = _internals.access_in(frames)
    guard = guard_of(access)
    if guard is None or guard.mode == "off":
        return
    explanation = diagnose(code, access, here())
    if explanation is not None:
        attach(error, explanation)
        if guard.mode == "report":
            log(guard, explanation)


def _enrich_wrapper(error: StatementError) -> None:
    """SQLAlchemy 2.1 wraps MissingGreenlet: what is caught says the same as what it wraps."""
    explanation = None if error.orig is None else attached_to(error.orig)
    if explanation is not None:
        attach(error, explanation)


def guard_of(access: Access) -> Guard | None:
    """Return who guards the entity or session that an error is about."""
    record = record_of_session(access.session)
    if access.state is not None:
        origin, home = home_of(access.state)
        if home is None and origin.opened is not None:
            return _ELSEWHERE
        record = home or record
    if record is not None:
        return record.guard
    if access.session is None and _makers.is_anything_off():
        return None  # it may be of a session that is to be left alone
    found = getattr(access.session or Session, "_sqs_guard", None)
    return found if isinstance(found, Guard) else None
