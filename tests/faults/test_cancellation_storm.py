"""Scopes that are cancelled at random moments tell the truth and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from sqla_safe import prepare_sqlite, scoped_services
from tests.faults.conftest import SEED, Figures, size
from tests.faults.storm import TABLES, Weather, calm, storm

if TYPE_CHECKING:
    from tests.databases import Database

OPERATIONS = size(500, 20_000)
ON_SQLITE = size(500, 4_000)
DRIVERS = ("asyncpg", "psycopg-async", "aiosqlite")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("canceller", ["asyncio", "anyio"])
@pytest.mark.parametrize("async_database", DRIVERS, indirect=True)
async def test_storm(
    async_database: Database,
    async_engine: AsyncEngine,
    canceller: str,
    caplog: pytest.LogCaptureFixture,
    figures: Figures,
) -> None:
    """What is stored is what `outcome` says, whole or not at all, and the pool is as new."""
    operations = OPERATIONS
    if async_database.dialect == "sqlite":
        prepare_sqlite(async_engine)
        operations = ON_SQLITE
    for statement in TABLES:
        async_database.probe.execute(statement)
    maker = async_sessionmaker(async_engine)
    usual = await calm(maker, 40)
    async_database.probe.execute("DELETE FROM storm_row")
    async_database.probe.execute("UPDATE storm_counter SET n = 0")
    weather = Weather(SEED, operations, at_once=40, usual=usual, canceller=canceller)

    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        before = asyncio.all_tasks()
        report = await storm(maker, weather)
        await asyncio.sleep(0.05)
        left = asyncio.all_tasks() - before
        gc.collect()
        await asyncio.sleep(0)

    figures(
        f"{operations} scopes",
        cancelled=report.cancelled,
        stored=len(report.said("committed")),
        unknown=len(report.said("unknown")),
        tasks_left=len(left),
        slots_out=async_engine.pool.checkedout(),  # type: ignore[attr-defined]  # a QueuePool
    )
    seed = f"seed {SEED}, {canceller}"
    rows = async_database.probe.rows("SELECT op, count(*) FROM storm_row GROUP BY op")
    stored = {op for op, parts in rows if parts == 2}
    assert [op for op, parts in rows if parts != 2] == [], f"half stored ({seed})"
    assert stored == report.said("committed"), seed
    assert set(report.called_back) == stored, seed
    assert set(report.called_back.values()) <= {1}, seed
    assert report.said("unknown") == set(), seed
    assert async_database.probe.scalar("SELECT sum(n) FROM storm_counter") == len(stored), seed
    assert report.errors == [], seed
    assert report.cancelled > operations / 20, seed
    assert stored, seed
    assert async_engine.pool.checkedout() == 0, seed  # type: ignore[attr-defined]  # a QueuePool
    assert async_database.probe.idle_in_transaction() == 0, seed
    assert left == set(), seed
    assert [str(w.message) for w in caught if UNCLOSED not in str(w.message)] == [], seed
    assert _errors_logged(caplog) == [], seed
    await _the_whole_pool_works(maker, async_engine)


UNCLOSED = "unclosed database in <sqlite3.Connection"
"""Python 3.13 and newer say this of what aiosqlite leaves when its connect() is cancelled."""
ASYNCPG_ON_CANCEL = "unexpected connection_lost() call"
"""asyncpg leaves this on a future of its own whenever a query is cancelled, with or without us."""


def _errors_logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    return [message for message in messages if ASYNCPG_ON_CANCEL not in message]


async def _the_whole_pool_works(maker: Any, engine: AsyncEngine) -> None:
    async def use() -> None:
        async with scoped_services(maker, read_only=True) as scope:
            await scope.session.connection()
            await asyncio.sleep(0.01)

    await asyncio.gather(*(use() for _ in range(engine.pool.size())))  # type: ignore[attr-defined]  # a QueuePool
