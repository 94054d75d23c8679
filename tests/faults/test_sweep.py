"""A cancellation at every await of a scope, and at every pair of them.

SQLAlchemy's own sweep counts the awaits and looks after connections and pool slots; here every
scope also writes two rows, so that what is stored can be compared with what the scope said.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.testing import cancellation

from sqla_safe import AsyncScope, prepare_sqlite, scoped_services, transactional
from tests.faults.conftest import IS_SOAK

INSERT = text("INSERT INTO part (op, n) VALUES (:op, :n)")
Maker = async_sessionmaker[Any]


class Log:
    """What each scope said of itself."""

    def __init__(self) -> None:
        self.scopes: list[AsyncScope[Any]] = []
        self.stores_early = False

    async def write(self, scope: AsyncScope[Any]) -> None:
        """Write two rows under the scope's number."""
        self.scopes.append(scope)
        op = len(self.scopes)
        for part in (1, 2):
            await scope.session.execute(INSERT, {"op": op, "n": part})

    def wrong(self, rows: list[tuple[Any, ...]]) -> list[str]:
        """Say which scopes were half stored, or did not know what became of them."""
        parts = dict(rows)
        found = []
        for op, scope in enumerate(self.scopes, 1):
            stored = parts.get(op, 0)
            said = scope.outcome == "committed" or (self.stores_early and stored)
            if stored not in (0, 2) or bool(said) != (stored == 2):
                found.append(f"scope {op}: {scope.outcome}, {stored} rows stored")
        return found


async def one_scope(maker: Maker, log: Log) -> None:
    """Write."""
    async with scoped_services(maker) as scope:
        await log.write(scope)


async def inside_savepoint(maker: Maker, log: Log) -> None:
    """Write beside a savepoint."""
    async with scoped_services(maker) as scope:
        async with scoped_services(maker, propagation="nested") as inner:
            await inner.session.execute(text("SELECT 1"))
        await log.write(scope)


async def beside_another(maker: Maker, log: Log) -> None:
    """Write in an independent scope."""
    async with scoped_services(maker) as scope:
        await scope.session.execute(text("SELECT 1"))
        async with scoped_services(maker, propagation="requires_new") as other:
            await log.write(other)


async def stored_early(maker: Maker, log: Log) -> None:
    """Store early and go on."""
    async with scoped_services(maker) as scope:
        log.stores_early = True  # the outcome is that of the rest
        await log.write(scope)
        await scope.commit()
        await scope.session.execute(text("SELECT 1"))


async def failing(maker: Maker, log: Log) -> None:
    """Write, and fail."""
    with pytest.raises(KeyError):
        async with scoped_services(maker) as scope:
            await log.write(scope)
            raise KeyError


async def run_again(maker: Maker, log: Log) -> None:
    """Write in a function that may be run again."""

    @transactional(maker, attempts=3)
    async def work(scope: AsyncScope[Any]) -> None:
        await log.write(scope)

    await work()


SCENARIOS = (one_scope, inside_savepoint, stored_early, failing, run_again)
TWO_CONNECTIONS = (beside_another,)  # SQLite has one writer
DRIVERS = ("asyncpg", "psycopg-async", "aiosqlite")


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("scenario", [*SCENARIOS, *TWO_CONNECTIONS])
@pytest.mark.parametrize("async_database", DRIVERS, indirect=True)
async def test_cancelled_at_every_await(async_database, scenario, warm, figures):
    """Whatever the await, the scope knows its outcome and the pool is whole."""
    if async_database.dialect == "sqlite" and scenario in TWO_CONNECTIONS:
        pytest.skip("SQLite has one writer")
    if not warm and scenario is not one_scope and not IS_SOAK:
        pytest.skip("connecting is swept with one scenario; with all of them in a soak")
    in_pairs = scenario is one_scope and warm
    cancels = 2 if in_pairs or IS_SOAK else 1
    runs, failures, wrong = await swept(async_database, scenario, warm=warm, cancels=cancels)
    figures(f"{runs} runs", failures=len(failures), wrong_outcomes=len(wrong))
    assert failures == []
    assert wrong == []


async def swept(
    database: Any, scenario: Callable[[Maker, Log], Awaitable[None]], *, warm: bool, cancels: int
) -> tuple[int, list[str], list[str]]:
    """Run the sweep; return how many scopes there were, and what went wrong."""
    database.probe.execute("CREATE TABLE part (op integer NOT NULL, n integer NOT NULL)")
    log, engines = Log(), 0

    def make_engine() -> AsyncEngine:
        nonlocal engines
        engines += 1
        engine = create_async_engine(database.url, pool_size=3, max_overflow=0, pool_timeout=2)
        return prepare_sqlite(engine) if database.dialect == "sqlite" else engine

    async def run(engine: AsyncEngine) -> None:
        await scenario(async_sessionmaker(engine), log)

    gc.freeze()  # the sweep collects garbage after each run; what the other tests left is not ours
    try:
        failures = await cancellation.sweep(make_engine, run, warm=warm, cancels=cancels)
    finally:
        gc.unfreeze()
    rows = database.probe.rows("SELECT op, count(*) FROM part GROUP BY op")
    return engines, failures, log.wrong(rows)
