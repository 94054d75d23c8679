"""Scopes that are cancelled at random moments tell the truth and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from sqla_safe import prepare_sqlite, scoped_services
from tests.faults.conftest import SEED, Figures, size
from tests.faults.storm import CANCELLERS, SHAPES, TABLES, Weather, calm, independent, storm

if TYPE_CHECKING:
    from tests.databases import Database

OPERATIONS = size(160, 3_400)
"""How many scopes each canceller cancels: in a soak all of them 20,000 together."""
ON_SQLITE = size(160, 700)
DRIVERS = ("asyncpg", "psycopg-async", "aiosqlite", "asyncmy")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("canceller", CANCELLERS)
@pytest.mark.parametrize("async_database", DRIVERS, indirect=True)
async def test_storm(
    async_database: Database,
    make_async_engine: Any,
    canceller: str,
    caplog: pytest.LogCaptureFixture,
    figures: Figures,
) -> None:
    """What is stored is what `outcome` says, whole or not at all, and the pool is as new."""
    async_engine = make_async_engine(async_database, pool_timeout=60)
    operations = OPERATIONS
    if async_database.dialect == "sqlite":
        prepare_sqlite(async_engine)
        operations = ON_SQLITE
    for statement in TABLES:
        async_database.probe.execute(statement)
    maker = async_sessionmaker(async_engine)
    one_writer = async_database.dialect == "sqlite"
    shapes = tuple(shape for shape in SHAPES if not (one_writer and shape is independent))
    usual = await calm(maker, 40, shapes)
    async_database.probe.execute("DELETE FROM storm_row")
    async_database.probe.execute("UPDATE storm_counter SET n = 0")
    weather = Weather(SEED, operations, 40, usual, canceller, shapes)

    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        before = pending_tasks()
        report = await storm(maker, weather)
        left = await left_besides(before)
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


def pending_tasks() -> set[asyncio.Task[Any]]:
    """Return all tasks that have not ended, also those that asyncio does not list."""
    found = (each for each in gc.get_objects() if isinstance(each, asyncio.Task))
    return {task for task in found if not task.done()}


async def left_besides(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Return the tasks that do not end by themselves in a while."""
    due = time.monotonic() + 10
    while (left := pending_tasks() - before) and time.monotonic() < due:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return left


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
