"""What a scope costs on top of SQLAlchemy's own ``with Session() as s, s.begin()``.

Run ``python benchmarks/scopes.py [rounds] [scopes per block]``. Each round times a block of scopes
between two blocks of bare sessions and divides; printed are the median ratio and its quartiles over
all rounds, and the same for bare against bare, which is the noise of the machine.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from sqla_safe import scoped_services

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 150
BLOCK = int(sys.argv[2]) if len(sys.argv) > 2 else 24
ONE = select(1)


class UserService:
    """A service as users write it."""

    def __init__(self, session: Session) -> None:
        self.session = session


class AvatarService(UserService):
    """Another one."""


class AsyncUserService:
    """A service as users write it."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session


class AsyncAvatarService(AsyncUserService):
    """Another one."""


def report(name: str, ratios: list[float], bare: list[float]) -> None:
    """Print the median of the paired ratios and their quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    per_scope = statistics.median(bare) / BLOCK * 1e6
    print(f"{name:<34} x{middle:.3f}  ({low:.3f}..{high:.3f})  bare {per_scope:.0f} us")


def timed(block: Callable[[], object]) -> float:
    """Return the seconds that a block takes."""
    start = perf_counter()
    block()
    return perf_counter() - start


async def timed_async(block: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that a block takes."""
    start = perf_counter()
    await block()
    return perf_counter() - start


def measure_sync() -> None:
    """Sync SQLite in memory."""
    maker = sessionmaker(create_engine("sqlite://", poolclass=StaticPool))

    def bare() -> None:
        for _ in range(BLOCK):
            with maker() as session, session.begin():
                session.execute(ONE)

    def no_service() -> None:
        for _ in range(BLOCK):
            with scoped_services(maker) as scope:
                scope.session.execute(ONE)

    def two_services() -> None:
        for _ in range(BLOCK):
            with scoped_services(maker, UserService, AvatarService) as (users, _avatars):
                users.session.execute(ONE)

    kinds = {"bare": bare, "scope": no_service, "scope with two services": two_services}
    ratios: dict[str, list[float]] = {name: [] for name in kinds}
    base: list[float] = []
    for _ in range(ROUNDS):
        for name, block in kinds.items():
            before, own, after = timed(bare), timed(block), timed(bare)
            ratios[name].append(own / ((before + after) / 2))
            base.append(before)
    for name, values in ratios.items():
        report(f"sync sqlite3: {name}", values, base)


async def measure_async() -> None:
    """SQLite in memory through aiosqlite."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    maker = async_sessionmaker(engine)

    async def bare() -> None:
        for _ in range(BLOCK):
            async with maker() as session, session.begin():
                await session.execute(ONE)

    async def no_service() -> None:
        for _ in range(BLOCK):
            async with scoped_services(maker) as scope:
                await scope.session.execute(ONE)

    async def two_services() -> None:
        for _ in range(BLOCK):
            async with scoped_services(maker, AsyncUserService, AsyncAvatarService) as (users, _a):
                await users.session.execute(ONE)

    kinds = {"bare": bare, "scope": no_service, "scope with two services": two_services}
    ratios: dict[str, list[float]] = {name: [] for name in kinds}
    base: list[float] = []
    for _ in range(ROUNDS):
        for name, block in kinds.items():
            before = await timed_async(bare)
            own = await timed_async(block)
            after = await timed_async(bare)
            ratios[name].append(own / ((before + after) / 2))
            base.append(before)
    for name, values in ratios.items():
        report(f"aiosqlite: {name}", values, base)
    await engine.dispose()


if __name__ == "__main__":
    gc.collect()
    measure_sync()
    asyncio.run(measure_async())
