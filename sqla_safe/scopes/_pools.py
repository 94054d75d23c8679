"""Whether a pool can ever give an independent scope its connection.

A task that holds a connection and waits for a second one may wait for itself. With one such task
per connection nobody can go on, and the pool's own answer comes after its timeout (30 s) and names
no culprit. Here the task that would close the circle is refused at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy.pool import Pool, QueuePool, SingletonThreadPool, StaticPool

from sqla_safe.errors import PoolExhaustedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

_blocked: WeakKeyDictionary[Pool, int] = WeakKeyDictionary()
"""For each pool the connections held by tasks that wait for one more."""


class Waiting:
    """A task that waits for one more connection of a pool; `done` ends the waiting."""

    __slots__ = ("held", "pool")

    def __init__(self, pool: Pool, held: int) -> None:
        self.pool = pool
        self.held = held
        _blocked[pool] = _blocked.get(pool, 0) + held

    def done(self) -> None:
        """The connection came, or nobody waits any more."""
        left = _blocked.get(self.pool, 0) - self.held
        if left > 0:
            _blocked[self.pool] = left
        else:
            _blocked.pop(self.pool, None)


def wait_for_second(pool: Pool, held: Iterable[Connection], opened_at: str) -> Waiting | None:
    """Note that a task which holds connections of this pool needs one more.

    Raises:
        PoolExhaustedError: it can never get one.
    """
    count = sum(1 for connection in held if connection.engine.pool is pool)
    if not count:
        return None
    if isinstance(pool, StaticPool | SingletonThreadPool):
        raise PoolExhaustedError(
            opened_at=opened_at, problem=f"{type(pool).__name__} has only one, which is in use"
        )
    capacity = _capacity(pool)
    if capacity is None or not isinstance(pool, QueuePool) or pool.checkedout() < capacity:
        return None
    if _blocked.get(pool, 0) + count >= capacity:
        raise PoolExhaustedError(opened_at=opened_at, problem=_problem(capacity, count))
    return Waiting(pool, count)


def _capacity(pool: Pool) -> int | None:
    """Return how many connections a pool gives out at most; None where there is no limit."""
    if not isinstance(pool, QueuePool):
        return None
    overflow = getattr(pool, "_max_overflow", -1)  # see decisions.md
    return None if overflow < 0 else pool.size() + overflow


def _problem(capacity: int, count: int) -> str:
    if count >= capacity:
        return f"this task itself holds all {capacity} of the pool"
    return f"all {capacity} of the pool are held by tasks that wait for one more, as this one does"
