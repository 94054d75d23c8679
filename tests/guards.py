"""SQLAlchemy's error classes, which a guard watches for the rest of the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sqla_safe.guard import _errors, _internals


@pytest.fixture(autouse=True)
def watching_as_before() -> Iterator[None]:
    """Begin with SQLAlchemy's own classes; whoever had them watched before has it again after."""
    was_watching = _internals.is_watching()
    _internals.stop_watching()
    yield
    _internals.stop_watching()
    if was_watching:
        _errors.watch()
