"""`explain`: what an exception was about, also after the fact and from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe._locations import Place, kind_of
from sqla_safe.errors import ConcurrentUseError
from sqla_safe.guard import _codes, _internals
from sqla_safe.guard._diagnose import code_of, diagnose
from sqla_safe.guard._explanation import Explanation
from sqla_safe.guard._quoted import quoted
from sqla_safe.guard._telling import attached_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_MOST = 100
"""The exceptions looked at: a chain of causes may be long, and even a circle."""


def explain(error: BaseException, /) -> Explanation | None:
    """Say what an exception was about: which entity, where it came from, what to write instead.

    Works for any exception: those of guarded sessions hold their explanation already, and for
    others the traceback tells what it can. Looks into what the exception wraps (``orig``), its
    causes, and the members of a group.

    Args:
        error: the exception, such as it was caught.

    Returns:
        The explanation, or None when the exception is about something else. It holds no column
        value and no bound parameter.

    Example:
        >>> from sqlalchemy.exc import InvalidRequestError
        >>> explain(InvalidRequestError("This Session has been permanently closed")).code
        'SQS108'
        >>> explain(ValueError("something else")) is None
        True
    """
    found = explained(error)
    return None if found is None else found[1]


def explained(error: BaseException) -> tuple[BaseException, Explanation] | None:
    """Return the first of the related exceptions that can be explained, with its explanation."""
    for candidate in _related(error):
        explanation = attached_to(candidate) or _after_the_fact(candidate)
        if explanation is not None:
            return candidate, explanation
    return None


def _related(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it wraps, and what it came from; the nearest first."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting and len(seen) < _MOST:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or any(found is other for other in seen):
            continue
        seen.append(found)
        yield found
        waiting.append(getattr(found, "orig", None))
        waiting.extend(getattr(found, "exceptions", ()))  # of a group
        waiting.append(found.__cause__)
        if not found.__suppress_context__:
            waiting.append(found.__context__)


def _after_the_fact(error: BaseException) -> Explanation | None:
    if isinstance(error, ConcurrentUseError):
        return of_concurrent_use(error)
    code = code_of(error)
    if code is None:
        return quoted(error)
    frames, read = _traced(error)
    return diagnose(code, _internals.access_in(frames), read)


def _traced(error: BaseException) -> tuple[list[FrameType], Place | None]:
    """Return the frames of a traceback, innermost first, and the user's line in it."""
    frames: list[FrameType] = []
    project: Place | None = None
    library: Place | None = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.insert(0, trace.tb_frame)
        kind = kind_of(code.co_filename)
        if kind == "project":
            project = Place((code, trace.tb_lasti))
        elif kind == "library":
            library = Place((code, trace.tb_lasti))
        trace = trace.tb_next
    return frames, project or library


def of_concurrent_use(error: ConcurrentUseError) -> Explanation:
    """Return what a ConcurrentUseError says, as an explanation."""
    return Explanation(
        code=_codes.CONCURRENT_USE,
        title=f"{error.first_task} and {error.second_task} used one session at the same time",
        instead="await one call after the other, or open `async with scoped_services(...)` inside "
        "each task and pass ids to it",
        read=error.second_at,
        opened=error.opened_at,
        cause=f"{error.first_task} was using it at {error.first_at}",
    )
