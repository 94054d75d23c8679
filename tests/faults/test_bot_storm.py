"""Many people in the avatar bot at once: cancellations, a crash of the database, right books.

Short by default; in a soak two hundred people use the bot for a minute:

    make soak PYTEST_ARGS="-k bot_storm"
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from asyncpg import PostgresError
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from avatar_bot.engine import create_engine, create_sessionmaker, create_tables
from avatar_bot.models import (
    Avatar,
    AvatarStatus,
    BalanceTransaction,
    Training,
    TrainingStatus,
    TransactionKind,
    User,
    UserBalance,
)
from tests import databases, servers
from tests.databases import Database
from tests.faults.bot_storm import Report, Storm
from tests.faults.conftest import IS_SOAK, SEED, Figures, size
from tests.servers import Server

SECONDS = size(3, 60)
PEOPLE = 200 if IS_SOAK else 40
STANDSTILL = 45


@dataclass
class Fragile:
    """A PostgreSQL that can crash, and what it runs as afterwards."""

    server: Server
    lives: ExitStack

    def crash(self) -> None:
        """Lose the server in the middle of what it does, and start it again."""
        self.lives.enter_context(servers.crashed(self.server))


@pytest.fixture
def fragile() -> Iterator[Fragile]:
    """Start a PostgreSQL for this test alone."""
    with servers.postgres_server() as server, ExitStack() as lives:
        yield Fragile(server, lives)


@pytest.fixture
def database(fragile: Fragile) -> Iterator[Database]:
    """Give a database on that server."""
    with databases.postgres_database("asyncpg", fragile.server) as database:
        yield database


async def wait_until_idle(engine: AsyncEngine) -> None:
    """Wait until the worker has announced every training; it must not stand still."""
    left, since = -1, time.monotonic()
    while left:
        with contextlib.suppress(DBAPIError, OSError, PostgresError):
            now = await still_open(engine)
            if now != left:
                left, since = now, time.monotonic()
        assert time.monotonic() - since < STANDSTILL, f"{left} trainings stand still"
        await asyncio.sleep(0.2)


async def still_open(engine: AsyncEngine) -> int:
    """Return how many trainings have not been announced."""
    async with AsyncSession(engine) as session:
        open_ones = select(func.count(Training.id)).where(Training.announced.is_(False))
        return await session.scalar(open_ones) or 0


async def rows(engine: AsyncEngine, statement: Any) -> list[Any]:
    """Run a query and return its rows."""
    async with AsyncSession(engine) as session:
        return list(await session.execute(statement))


@pytest.mark.timeout(270)
async def test_bot_storm(
    fragile: Fragile, database: Database, caplog: pytest.LogCaptureFixture, figures: Figures
) -> None:
    """Each update is answered, each balance is the sum of its changes, each training ends once."""
    caplog.set_level(logging.CRITICAL)
    engine = create_engine(database.url, pool_size=5, max_overflow=0, pool_timeout=20)
    await create_tables(engine)
    storm = Storm(create_sessionmaker(engine), SEED)
    running = asyncio.create_task(storm.run(PEOPLE, SECONDS))
    await asyncio.sleep(SECONDS / 2)
    await asyncio.to_thread(fragile.crash)
    report = await running
    await wait_until_idle(engine)
    await storm.trainer.stop()
    trainings = await check(engine, database, storm, report)
    figures(
        f"{PEOPLE} people, {SECONDS} s",
        unanswered=len(report.unanswered),
        handled=report.handled,
        cut_off=report.cut_off,
        failed=report.failed,
        trainings=trainings,
    )
    await engine.dispose()


async def check(engine: AsyncEngine, database: Database, storm: Storm, report: Report) -> int:
    """Look for what is missing, twice there or left open; return the number of trainings."""
    counts = f"{report.handled} handled, {report.cut_off} cut off, {report.failed} failed"
    seed = f"seed {SEED}, {PEOPLE} people, {SECONDS} s: {counts}"
    assert report.unanswered == [], seed
    assert storm.telegram.open_queries == {}, seed
    assert report.cut_off, seed
    await check_books(engine, seed)
    await check_trainings(engine, seed)
    assert engine.sync_engine.pool.checkedout() == 0, seed  # type: ignore[attr-defined]
    assert database.probe.idle_in_transaction() == 0, seed
    return int((await rows(engine, select(func.count(Training.id))))[0][0])


async def check_books(engine: AsyncEngine, seed: str) -> None:
    """The sum of a user's changes is the balance, and everybody was welcomed once."""
    total = func.sum(BalanceTransaction.amount)
    by_user = (
        select(User.id, UserBalance.coins, total)
        .join(UserBalance, UserBalance.user_id == User.id)
        .join(BalanceTransaction, BalanceTransaction.user_id == User.id)
        .group_by(User.id, UserBalance.coins)
    )
    found = await rows(engine, by_user)
    assert len(found) == PEOPLE, seed
    assert [row for row in found if row[1] != row[2]] == [], seed
    welcomes = select(func.count()).where(BalanceTransaction.kind == TransactionKind.WELCOME)
    assert (await rows(engine, welcomes))[0][0] == PEOPLE, seed


async def check_trainings(engine: AsyncEngine, seed: str) -> None:
    """Each training has ended once, was charged once, and was refunded if and only if it failed."""
    kinds = dict.fromkeys(TransactionKind, 0)
    trainings = await rows(engine, select(Training.id, Training.status))
    again = select(Training.avatar_id).where(Training.status == TrainingStatus.DONE)
    twice = again.group_by(Training.avatar_id).having(func.count() > 1)
    assert await rows(engine, twice) == [], seed
    changes = select(BalanceTransaction.training_id, BalanceTransaction.kind)
    booked = await rows(engine, changes.where(BalanceTransaction.training_id.is_not(None)))
    assert trainings, seed
    for number, status in trainings:
        assert status is not TrainingStatus.RUNNING, seed
        mine = [kind for training, kind in booked if training == number]
        counts = kinds | {kind: mine.count(kind) for kind in mine}
        refunds = int(status is TrainingStatus.FAILED)
        expected = (1, refunds)
        assert (counts[TransactionKind.CHARGE], counts[TransactionKind.REFUND]) == expected, seed
    stuck = select(func.count(Avatar.id)).where(Avatar.status == AvatarStatus.TRAINING)
    assert (await rows(engine, stuck))[0][0] == 0, seed
    mains = select(Avatar.user_id).where(Avatar.is_main).group_by(Avatar.user_id)
    assert await rows(engine, mains.having(func.count() > 1)) == [], seed
