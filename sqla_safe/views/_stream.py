"""Streaming: the root's rows in batches, each with the levels below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.errors import ViewStatementError
from sqla_safe.views._run import Run, has_listeners

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.orm import Session

    from sqla_safe.views._plan import Plan


def check_size(size: object) -> None:
    """Refuse a batch size that would give nothing, or everything at once."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ViewStatementError(
            problem="batch_size is not a positive whole number", instead="batch_size=1_000"
        )


def stream(session: Session, plan: Plan, statement: Any, size: int) -> Generator[list[Any]]:
    """Give the views of so many rows at a time."""
    prepared = plan.prepared(statement, has_listeners=has_listeners(session))
    run = Run(session, prepared)
    yield from run.batches(size)
