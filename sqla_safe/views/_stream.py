"""Streaming: the root's rows in batches, each with the levels below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.errors import ViewStatementError
from sqla_safe.views._run import Run, prepare

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.orm import Session


def check_size(size: object) -> None:
    """Refuse a batch size that would give nothing, or everything at once."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ViewStatementError(
            problem="batch_size is not a positive whole number", instead="batch_size=1_000"
        )


def stream(
    session: Session,
    into: Any,
    statement: Any,
    validate: bool,  # noqa: FBT001
    size: int,
) -> Generator[list[Any]]:
    """Give the views of so many rows at a time; what is wrong with them is said at once."""
    prepare(session, into, statement, validate)
    return _batches(session, into, statement, validate, size)


def _batches(
    session: Session,
    into: Any,
    statement: Any,
    validate: bool,  # noqa: FBT001
    size: int,
) -> Generator[list[Any]]:
    run = Run(session, prepare(session, into, statement, validate))
    yield from run.batches(size)
