"""What the guard costs, in each of its modes.

Run ``python benchmarks/guard.py [--rounds N]``. Each round times a block with the guard between two
blocks without it and divides; printed are the median ratio and its quartiles over all rounds, and
the same for no guard against no guard, which is the noise of the machine.
"""

from __future__ import annotations

import asyncio
import gc
from time import process_time
from typing import TYPE_CHECKING

from figures import from_turns, parser, run
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool
from timing import turns, turns_async

from sqla_safe import configure

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Iterator

    from figures import Figure
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

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


def measure_sync(rounds: int) -> Iterator[Figure]:
    """Sync SQLite in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with sessionmaker(engine).begin() as session:
        session.add_all(rows())
    makers = {mode: sessionmaker(engine) for mode in MODES}
    for mode in ("off", "report", "raise"):
        configure(makers[mode], guard=mode)  # type: ignore[arg-type]
    for name, make, units in (
        ("load", load_all, 1),
        ("select", select_one, SELECTS),
        ("again", select_again, SELECTS),
    ):
        blocks = {mode: make(maker) for mode, maker in makers.items()}
        taken = turns(
            blocks["none"], blocks, rounds if units > 1 else min(rounds, LOADS), process_time
        )
        for mode, own in taken.items():
            yield from_turns(f"guard.{name}.{mode}", own, units)


async def measure_async(rounds: int) -> list[Figure]:
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
    taken = await turns_async(blocks["none"], blocks, rounds)
    await engine.dispose()
    return [from_turns(f"guard.async.{mode}", own, SELECTS) for mode, own in taken.items()]


def measure(options: Namespace) -> Iterator[Figure]:
    """Measure both drivers."""
    gc.freeze()
    yield from measure_sync(options.rounds)
    yield from asyncio.run(measure_async(options.rounds))


if __name__ == "__main__":
    run(parser(__doc__, rounds=300), measure)
