"""Streaming: the root's rows in batches, each with the levels below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.errors import ViewStatementError
from sqla_safe.views._run import Run, is_direct, prepare

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.orm import Session

    from sqla_safe.views._run import Request


def check_size(size: object) -> None:
    """Refuse a batch size that would give nothing, or everything at once."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ViewStatementError(
            problem="batch_size is not a positive whole number", instead="batch_size=1_000"
        )


def stream(session: Session, request: Request, size: int) -> Generator[list[Any]]:
    """Give the views of so many rows at a time; what is wrong with them is said at once."""
    request.check()
    prepare(session, request)
    if request.params is not None:
        request = request._replace(params={**request.params})
    return _batches(session, request, size)


def _batches(session: Session, request: Request, size: int) -> Generator[list[Any]]:
    prepared = prepare(session, request)
    run = Run(session, prepared, request.params, is_direct=is_direct(session, prepared))
    yield from run.batches(size)
