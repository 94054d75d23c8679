"""Streaming: the root's rows in batches, each with the levels below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.views._run import Run, has_listeners

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.orm import Session

    from sqla_safe.views._plan import Plan


def stream(session: Session, plan: Plan, statement: Any, size: int) -> Generator[list[Any]]:
    """Give the views of so many rows at a time."""
    prepared = plan.prepared(statement, has_listeners=has_listeners(session))
    run = Run(session, prepared)
    yield from run.batches(size)
