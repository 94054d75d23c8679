"""When a transaction may be tried again, and how: `is_retryable` says which errors end that way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe import _dbapi
from sqla_safe.errors import CommitCallbackError, CommitOutcomeUnknownError, RollbackOnlyError

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, Retrying

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 2.0
"""Seconds: pauses grow from the first to the longest, each drawn at random below its bound."""


def is_retryable(error: BaseException) -> bool:
    """Say whether the same work, done again in a new transaction, may well succeed.

    That is so when the database gave this transaction up for the sake of another one (SQLSTATE
    40001 and 40P01, MySQL 1213 and 1205, SQLite busy), and when the connection was lost before
    COMMIT was sent. It is never so when the answer to COMMIT was lost or anything was stored.

    Args:
        error: what left the scope; SQLAlchemy's wrapper or the driver's own exception.

    Example:
        >>> is_retryable(ValueError())
        False
    """
    if isinstance(error, (CommitOutcomeUnknownError, CommitCallbackError)):
        return False
    if _dbapi.is_marked_stored(error):  # scope.commit() had stored a part of the work
        return False
    if isinstance(error, RollbackOnlyError):
        return error.__cause__ is not None and is_retryable(error.__cause__)
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_retryable, error.exceptions))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return _dbapi.is_conflict(error) or _dbapi.is_lost_connection(error)


def retrying(attempts: int, *, is_async: bool) -> Any:
    """Return what runs a function so often at the most; it is made anew for each call."""
    import tenacity  # noqa: PLC0415  (only who retries pays for the import)

    kind: type[AsyncRetrying | Retrying]
    kind = tenacity.AsyncRetrying if is_async else tenacity.Retrying
    return kind(
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
        retry=tenacity.retry_if_exception(is_retryable),
        after=_count,
        reraise=True,
    )


def _count(state: Any) -> None:
    error = state.outcome.exception()
    if error is not None and state.attempt_number > 1:
        error.add_note(f"sqla_safe: this was attempt {state.attempt_number}")
