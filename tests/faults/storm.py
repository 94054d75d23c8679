"""A storm: many scopes at once, each cancelled at a random moment, in one way or another.

Every operation writes two rows and changes a counter: in one scope, in a scope and one that joins
it, in a scope and a savepoint, or in a scope that is independent of the one around it. Afterwards a
second connection is asked what is stored, and that is compared with what the scopes said.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import anyio
from sqlalchemy import text

from sqla_safe import AsyncScope, scoped_services

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

TABLES = (
    "CREATE TABLE storm_row (op integer NOT NULL, part integer NOT NULL, PRIMARY KEY (op, part))",
    "CREATE TABLE storm_counter (id integer PRIMARY KEY, n integer NOT NULL)",
    "INSERT INTO storm_counter VALUES (1,0), (2,0), (3,0), (4,0), (5,0), (6,0), (7,0), (8,0)",
)
INSERT = text("INSERT INTO storm_row VALUES (:op, :part)")
COUNT = text("UPDATE storm_counter SET n = n + 1 WHERE id = :id")
Tell = Callable[[], object]
Shape = Callable[[Any, int, Tell, list[AsyncScope[Any]]], Awaitable[None]]


@dataclass
class Weather:
    """How a storm goes; the seed alone repeats it.

    Attributes:
        seed: draws the moments of cancellation.
        operations: how many there are.
        at_once: how many at a time.
        usual: seconds that an operation takes, to begin with; those that nobody cancels are timed.
        canceller: who cancels, one of `CANCELLERS`.
        shapes: what the operations are made of, by turns.
    """

    seed: int
    operations: int
    at_once: int
    usual: float
    canceller: str
    shapes: tuple[Shape, ...]


@dataclass
class Report:
    """What the scopes said of themselves."""

    outcomes: dict[int, str | None] = field(default_factory=dict)
    called_back: Counter[int] = field(default_factory=Counter)
    cancelled: int = 0
    errors: list[BaseException] = field(default_factory=list)
    usual: float = 0.0

    def time(self, seconds: float) -> None:
        """Note how long an operation took that came to its end: a machine's load comes and goes."""
        self.usual += (seconds - self.usual) / 10

    def said(self, outcome: str) -> set[int]:
        """Return the operations with this outcome."""
        return {op for op, said in self.outcomes.items() if said == outcome}


class Plan(NamedTuple):
    """An operation, and when it is cancelled.

    Attributes:
        moment: when the first cancellation comes, in usual times of an operation.
        pauses: seconds after each cancellation, before the next one.
    """

    op: int
    shape: Shape
    moment: float
    pauses: tuple[float, ...]


async def storm(maker: async_sessionmaker[AsyncSession], weather: Weather) -> Report:
    """Let the storm rage and return what the scopes said."""
    report = Report(usual=weather.usual)
    limiter = asyncio.Semaphore(weather.at_once)
    cancelled = CANCELLERS[weather.canceller]

    async def one(plan: Plan) -> None:
        async with limiter:
            try:
                work = _operation(maker, plan.op, plan.shape, report)
                delay = plan.moment * report.usual
                was_cancelled = await cancelled(delay, plan.pauses, work)
            except Exception as error:
                report.errors.append(error)
            else:
                report.cancelled += was_cancelled

    await asyncio.gather(*map(one, _plans(weather)))
    return report


def _plans(weather: Weather) -> Iterator[Plan]:
    chance = random.Random(weather.seed)
    for op in range(weather.operations):
        late = op % 2  # half of them are cut off early, and most of the others get through
        moment = chance.random() * (5 if late else 0.8)
        pauses = tuple(chance.random() * 0.003 for _ in range(chance.randint(1, 3)))
        yield Plan(op, weather.shapes[op // 2 % len(weather.shapes)], moment, pauses)


Work = Coroutine[Any, Any, None]
Pauses = tuple[float, ...]


async def by_cancel(delay: float, pauses: Pauses, work: Work) -> bool:
    """Cancel the task, up to three times."""
    task = asyncio.create_task(work)
    await asyncio.sleep(delay)
    for pause in pauses:
        task.cancel()
        await asyncio.sleep(pause)
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def by_timeout(delay: float, _pauses: Pauses, work: Work) -> bool:
    """Let asyncio.timeout run out."""
    try:
        async with asyncio.timeout(delay):
            await work
    except TimeoutError:
        return True
    return False


async def by_wait_for(delay: float, _pauses: Pauses, work: Work) -> bool:
    """Let asyncio.wait_for run out."""
    try:
        await asyncio.wait_for(work, delay)
    except TimeoutError:
        return True
    return False


class SiblingError(Exception):
    """What the other task of a group fails with."""


async def by_sibling(delay: float, _pauses: Pauses, work: Work) -> bool:
    """Let another task of a TaskGroup fail."""

    async def fail() -> None:
        await asyncio.sleep(delay)
        raise SiblingError

    async def end(sibling: asyncio.Task[None]) -> None:
        try:
            await work
        finally:
            sibling.cancel()

    task: asyncio.Task[None] | None = None
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(end(group.create_task(fail())))
    if task is None or task.cancelled():
        return True
    await task  # it raises what it has raised
    return False


async def by_move_on(delay: float, _pauses: Pauses, work: Work) -> bool:
    """Let anyio move on."""
    with anyio.move_on_after(delay) as scope:
        await work
    return scope.cancelled_caught


async def by_fail_after(delay: float, _pauses: Pauses, work: Work) -> bool:
    """Let anyio fail."""
    try:
        with anyio.fail_after(delay):
            await work
    except TimeoutError:
        return True
    return False


CANCELLERS = {
    "cancel": by_cancel,
    "timeout": by_timeout,
    "wait_for": by_wait_for,
    "sibling": by_sibling,
    "move_on_after": by_move_on,
    "fail_after": by_fail_after,
}


async def calm(
    maker: async_sessionmaker[AsyncSession], at_once: int, shapes: tuple[Shape, ...]
) -> float:
    """Let so many operations go undisturbed, twice; return the seconds of the second lot."""
    began = 0.0
    for lot in (1, 2):
        began = time.perf_counter()
        numbers = range(lot * at_once, (lot + 1) * at_once)
        work = (_operation(maker, -n, shapes[n % len(shapes)], Report()) for n in numbers)
        await asyncio.gather(*work)
    return time.perf_counter() - began


async def _operation(maker: Any, op: int, shape: Shape, report: Report) -> None:
    scopes: list[AsyncScope[Any]] = []
    began = time.perf_counter()
    try:
        await shape(maker, op, lambda: report.called_back.update([op]), scopes)
        report.time(time.perf_counter() - began)
    finally:
        report.outcomes[op] = scopes[0].outcome if scopes else "never opened"


async def alone(maker: Any, op: int, tell: Tell, scopes: list[AsyncScope[Any]]) -> None:
    """Write everything in one scope."""
    async with scoped_services(maker) as scope:
        scopes.append(scope)
        scope.on_commit(tell)
        await _first(scope, op)
        await asyncio.sleep(0.001)
        await _second(scope, op)


async def joined(maker: Any, op: int, tell: Tell, scopes: list[AsyncScope[Any]]) -> None:
    """Write one half in a scope and one in a scope that joins it."""
    async with scoped_services(maker) as scope:
        scopes.append(scope)
        await _first(scope, op)
        async with scoped_services(maker) as inner:
            inner.on_commit(tell)
            await _second(inner, op)
        await asyncio.sleep(0.001)


async def with_savepoint(maker: Any, op: int, tell: Tell, scopes: list[AsyncScope[Any]]) -> None:
    """Write one half in a savepoint."""
    async with scoped_services(maker) as scope:
        scopes.append(scope)
        await _first(scope, op)
        async with scoped_services(maker, propagation="nested") as inner:
            inner.on_commit(tell)
            await _second(inner, op)
        await asyncio.sleep(0.001)


async def independent(maker: Any, op: int, tell: Tell, scopes: list[AsyncScope[Any]]) -> None:
    """Write everything in a scope that is independent of the one around it, which reads."""
    few = _few.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(2))
    async with few, scoped_services(maker) as outer:
        await outer.session.execute(text("SELECT 1"))
        async with scoped_services(maker, propagation="requires_new") as scope:
            scopes.append(scope)
            scope.on_commit(tell)
            await _first(scope, op)
            await _second(scope, op)


_few: WeakKeyDictionary[Any, asyncio.Semaphore] = WeakKeyDictionary()
"""Who has a connection and waits for a second one must be fewer than the pool has."""
SHAPES: tuple[Shape, ...] = (alone, joined, with_savepoint, independent)


async def _first(scope: AsyncScope[Any], op: int) -> None:
    await scope.session.execute(INSERT, {"op": op, "part": 1})
    await scope.session.execute(COUNT, {"id": op % 8 + 1})


async def _second(scope: AsyncScope[Any], op: int) -> None:
    await scope.session.execute(INSERT, {"op": op, "part": 2})
