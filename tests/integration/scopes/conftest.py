"""Fixtures: a sessionmaker per driver on a fresh database, left as it was found.

After every test `maker` and `sync_maker` look whether a connection is missing from the pool,
whether the database still has an open transaction, and whether the next scope works.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pymysql
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import prepare_sqlite, scoped_services
from tests.databases import Database
from tests.integration.scopes.models import create_tables


async def others_to_end() -> None:
    """Wait a moment for other tasks of this loop, and complain about those that do not end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, others = await asyncio.wait(others, timeout=1)
    assert not others


def no_transaction_is_open(database: Database) -> bool:
    """Tell whether nobody waits with a transaction open."""
    if database.dialect == "mysql":
        # A transaction keeps the tables it has used; that is much quicker to find than in InnoDB.
        with suppress(pymysql.OperationalError):
            database.probe.execute("LOCK TABLES author WRITE, note WRITE, comment WRITE NOWAIT")
            return True
    return database.probe.idle_in_transaction() == 0


async def no_transaction_stays_open(database: Database) -> None:
    """Wait until nobody has a transaction open; aiosqlite's thread may still be at its rollback."""
    for _ in range(100 if database.dialect == "sqlite" else 0):
        if no_transaction_is_open(database):
            break
        await asyncio.sleep(0.02)
    assert no_transaction_is_open(database)


@pytest.fixture
async def maker(
    async_database: Database, async_engine: AsyncEngine
) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Give an `async_sessionmaker` on fresh tables, once per async driver."""
    create_tables(async_database)
    if async_database.dialect == "sqlite":
        prepare_sqlite(async_engine)
    made = async_sessionmaker(async_engine)
    yield made
    assert async_engine.pool.checkedout() == 0
    await others_to_end()
    await no_transaction_stays_open(async_database)
    async with scoped_services(made) as scope:
        assert await scope.session.scalar(text("SELECT count(*) FROM note")) is not None
    assert async_engine.pool.checkedout() == 0


@pytest.fixture
def sync_maker(sync_database: Database, sync_engine: Engine) -> Iterator[sessionmaker[Session]]:
    """Give a `sessionmaker` on fresh tables, once per sync driver."""
    create_tables(sync_database)
    if sync_database.dialect == "sqlite":
        prepare_sqlite(sync_engine)
    made = sessionmaker(sync_engine)
    yield made
    assert sync_engine.pool.checkedout() == 0
    assert no_transaction_is_open(sync_database)
    with scoped_services(made) as scope:
        assert scope.session.scalar(text("SELECT count(*) FROM note")) is not None
    assert sync_engine.pool.checkedout() == 0
