"""How long tests wait for what should be over: a loaded machine may take seconds over nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 5.0
"""Seconds that may be added to what is promised."""
SLOW = 12.0
"""Seconds that something takes which must be cut off: so many that patience is not the reason."""


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Assert that a block ends in so many seconds, and what a loaded machine may add."""
    began = time.monotonic()
    yield
    in_time(began, seconds)


def in_time(began: float, seconds: float) -> None:
    """Assert that so many seconds, and what a loaded machine may add, have not yet passed."""
    assert time.monotonic() - began < seconds + PATIENCE
