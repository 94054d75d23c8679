"""A storm: many scopes at once, each cancelled at a random moment, one to three times.

Every scope writes two rows and changes a counter. Afterwards a second connection is asked what is
stored, and that is compared with what each scope said of itself.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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


@dataclass
class Weather:
    """How a storm goes; the seed alone repeats it.

    Attributes:
        seed: draws the moments of cancellation.
        operations: how many scopes are opened.
        at_once: how many at a time.
        usual: seconds that a scope takes when nobody cancels any.
        canceller: who cancels: ``"asyncio"`` or ``"anyio"``.
    """

    seed: int
    operations: int
    at_once: int
    usual: float
    canceller: str


@dataclass
class Report:
    """What the scopes said of themselves."""

    outcomes: dict[int, str | None] = field(default_factory=dict)
    called_back: Counter[int] = field(default_factory=Counter)
    cancelled: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def said(self, outcome: str) -> set[int]:
        """Return the operations with this outcome."""
        return {op for op, said in self.outcomes.items() if said == outcome}


async def storm(maker: async_sessionmaker[AsyncSession], weather: Weather) -> Report:
    """Let the storm rage and return what the scopes said."""
    report = Report()
    limiter = asyncio.Semaphore(weather.at_once)
    chance = random.Random(weather.seed)
    plans = [(op, chance.random(), chance.randint(1, 3)) for op in range(weather.operations)]

    async def one(op: int, moment: float, times: int) -> None:
        async with limiter:
            late = op % 2  # half of them are cut off early, and most of the others get through
            await _cancelled(op, moment * weather.usual * (5 if late else 0.4), times)

    async def _cancelled(op: int, delay: float, times: int) -> None:
        try:
            if weather.canceller == "anyio":
                with anyio.move_on_after(delay) as scope:
                    await _operation(maker, op, report)
                report.cancelled += scope.cancelled_caught
            else:
                await _cancel_from_outside(op, delay, times)
        except Exception as error:
            report.errors.append(error)

    async def _cancel_from_outside(op: int, delay: float, times: int) -> None:
        task = asyncio.create_task(_operation(maker, op, report))
        await asyncio.sleep(delay)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(chance.random() * 0.003)
        try:
            await task
        except asyncio.CancelledError:
            report.cancelled += 1

    await asyncio.gather(*(one(*plan) for plan in plans))
    return report


async def calm(maker: async_sessionmaker[AsyncSession], at_once: int) -> float:
    """Let so many scopes go undisturbed, twice; return the seconds that the second lot took."""
    began = 0.0
    for lot in (1, 2):
        began = time.perf_counter()
        ops = range(lot * at_once, (lot + 1) * at_once)
        await asyncio.gather(*(_operation(maker, -op, Report()) for op in ops))
    return time.perf_counter() - began


async def _operation(maker: Any, op: int, report: Report) -> None:
    scope: AsyncScope[Any] | None = None
    try:
        async with scoped_services(maker) as scope:
            scope.on_commit(lambda: report.called_back.update([op]))
            await scope.session.execute(INSERT, {"op": op, "part": 1})
            await scope.session.execute(COUNT, {"id": op % 8 + 1})
            await asyncio.sleep(0.001)
            await scope.session.execute(INSERT, {"op": op, "part": 2})
    finally:
        report.outcomes[op] = "never opened" if scope is None else scope.outcome
