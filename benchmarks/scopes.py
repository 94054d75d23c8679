"""What a scope costs on top of SQLAlchemy's own ``with Session() as s, s.begin()``.

Run ``python benchmarks/scopes.py [--rounds N] [--block SCOPES]``. Each round times a block of
scopes between two blocks of bare sessions and divides; printed are the median ratio and its
quartiles over all rounds, and the same for bare against bare, which is the noise of the machine.
"""

from __future__ import annotations

import asyncio
import gc
from time import process_time
from typing import TYPE_CHECKING

from figures import from_turns, parser, run
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool
from timing import turns, turns_async

from sqla_safe import scoped_services

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from figures import Figure

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


def measure_sync(rounds: int, block: int) -> Iterator[Figure]:
    """Sync SQLite in memory."""
    maker = sessionmaker(create_engine("sqlite://", poolclass=StaticPool))

    def bare() -> None:
        for _ in range(block):
            with maker() as session, session.begin():
                session.execute(ONE)

    def no_service() -> None:
        for _ in range(block):
            with scoped_services(maker) as scope:
                scope.session.execute(ONE)

    def two_services() -> None:
        for _ in range(block):
            with scoped_services(maker, UserService, AvatarService) as (users, _avatars):
                users.session.execute(ONE)

    kinds = {"bare": bare, "scope": no_service, "two": two_services}
    for name, taken in turns(bare, kinds, rounds, process_time).items():
        yield from_turns(f"scopes.sqlite3.{name}", taken, block)


async def measure_async(rounds: int, block: int) -> list[Figure]:
    """SQLite in memory through aiosqlite."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    maker = async_sessionmaker(engine)

    async def bare() -> None:
        for _ in range(block):
            async with maker() as session, session.begin():
                await session.execute(ONE)

    async def no_service() -> None:
        for _ in range(block):
            async with scoped_services(maker) as scope:
                await scope.session.execute(ONE)

    async def two_services() -> None:
        for _ in range(block):
            async with scoped_services(maker, AsyncUserService, AsyncAvatarService) as (users, _a):
                await users.session.execute(ONE)

    kinds = {"bare": bare, "scope": no_service, "two": two_services}
    taken = await turns_async(bare, kinds, rounds)
    await engine.dispose()
    return [from_turns(f"scopes.aiosqlite.{name}", own, block) for name, own in taken.items()]


def measure(options: Namespace) -> Iterator[Figure]:
    """Measure both drivers."""
    gc.collect()
    yield from measure_sync(options.rounds, options.block)
    yield from asyncio.run(measure_async(options.rounds, options.block))


if __name__ == "__main__":
    options = parser(__doc__, rounds=150)
    options.add_argument("--block", type=int, default=24, help="scopes in a block")
    run(options, measure)
