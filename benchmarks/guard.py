"""What the guard costs, in each of its modes.

Run ``python benchmarks/guard.py [rounds]``. Each round times a block with the guard between two
blocks without it and divides; printed are the median ratio and its quartiles over all rounds, the
ratio of the fastest blocks, which a busy machine disturbs least, and the same for no guard against
no guard, which is the noise of the machine.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool

from sqla_safe import configure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 300
ENTITIES = 10_000
SELECTS = 10
LOADS = 20
"""The rounds for loads, which take long enough."""
MODES = ("none", "off", "report", "raise")


class Base(DeclarativeBase):
    """The base of the models."""


class User(Base):
    """A small entity."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    balance: Mapped[int]


ALL = select(User)


def rows() -> list[User]:
    """Return what is stored."""
    return [User(id=n, name=f"user {n}", balance=n) for n in range(1, ENTITIES + 1)]


def report(name: str, times: list[tuple[float, float, float]], units: int) -> None:
    """Print the median of the paired ratios, their quartiles, and the ratio of the fastest."""
    ratios = [own / ((before + after) / 2) for before, own, after in times]
    low, middle, high = statistics.quantiles(ratios, n=4)
    bare = min(before for before, _, _ in times)
    fastest = min(own for _, own, _ in times) / bare
    each = f"bare {bare / units * 1e6:.0f} us"
    print(f"{name:<52} x{middle:.3f}  ({low:.3f}..{high:.3f})  fastest x{fastest:.3f}  {each}")


def timed(block: Callable[[], object]) -> float:
    """Return the seconds that a block takes."""
    gc.collect(0)
    start = perf_counter()
    block()
    return perf_counter() - start


async def timed_async(block: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that a block takes."""
    gc.collect(0)
    start = perf_counter()
    await block()
    return perf_counter() - start


def load_all(maker: sessionmaker[Session]) -> Callable[[], None]:
    """Load all entities in one session."""

    def block() -> None:
        with maker() as session:
            assert len(session.scalars(ALL).all()) == ENTITIES

    return block


def select_one(maker: sessionmaker[Session]) -> Callable[[], None]:
    """Select one row, in a session of its own, many times."""

    def block() -> None:
        for n in range(1, SELECTS + 1):
            with maker() as session:
                assert session.scalars(select(User).where(User.id == n)).one().id == n

    return block


def select_again(maker: sessionmaker[Session]) -> Callable[[], None]:
    """Execute the same statement, in a session of its own, many times."""
    statement = select(User).where(User.id == 1)

    def block() -> None:
        for _ in range(SELECTS):
            with maker() as session:
                assert session.scalars(statement).one().id == 1

    return block


def select_async(maker: async_sessionmaker[AsyncSession]) -> Callable[[], Awaitable[None]]:
    """Select one row, in a session of its own, many times."""

    async def block() -> None:
        for n in range(1, SELECTS + 1):
            async with maker() as session:
                assert (await session.scalars(select(User).where(User.id == n))).one().id == n

    return block


def measure_sync() -> None:
    """Sync SQLite in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with sessionmaker(engine).begin() as session:
        session.add_all(rows())
    makers = {mode: sessionmaker(engine) for mode in MODES}
    for mode in ("off", "report", "raise"):
        configure(makers[mode], guard=mode)  # type: ignore[arg-type]
    for name, make, units in (
        ("load 10,000 entities", load_all, 1),
        ("one-row select", select_one, SELECTS),
        ("the same one-row select again", select_again, SELECTS),
    ):
        blocks = {mode: make(maker) for mode, maker in makers.items()}
        times: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in MODES}
        for _ in range(ROUNDS if units > 1 else min(ROUNDS, LOADS)):
            for mode, block in blocks.items():
                times[mode].append((timed(blocks["none"]), timed(block), timed(blocks["none"])))
        for mode, values in times.items():
            report(f"sqlite3: {name}, guard {mode}", values, units)


async def measure_async() -> None:
    """SQLite in memory through aiosqlite."""
    engine: AsyncEngine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with async_sessionmaker(engine).begin() as session:
        session.add_all(rows()[:SELECTS])
    makers = {mode: async_sessionmaker(engine) for mode in MODES}
    for mode in ("off", "report", "raise"):
        configure(makers[mode], guard=mode)  # type: ignore[arg-type]
    blocks = {mode: select_async(maker) for mode, maker in makers.items()}
    times: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in MODES}
    for _ in range(ROUNDS):
        for mode, block in blocks.items():
            before = await timed_async(blocks["none"])
            own = await timed_async(block)
            times[mode].append((before, own, await timed_async(blocks["none"])))
    for mode, values in times.items():
        report(f"aiosqlite: one-row select, guard {mode}", values, SELECTS)
    await engine.dispose()


if __name__ == "__main__":
    gc.freeze()
    measure_sync()
    asyncio.run(measure_async())
