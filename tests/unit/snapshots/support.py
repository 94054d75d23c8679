"""What the tests of snapshots share: statements that are counted, and round trips."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Engine, event

T = TypeVar("T")


@contextmanager
def sent() -> Iterator[list[str]]:
    """Collect the statements that any engine sends."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def pickled(value: T) -> T:
    """Give what comes back from `pickle`."""
    back: T = pickle.loads(pickle.dumps(value))  # noqa: S301 - written a moment ago
    return back
