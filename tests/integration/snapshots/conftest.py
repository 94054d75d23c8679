"""Fixtures: sessionmakers on a database with one user in it, per driver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import prepare_sqlite
from tests.databases import Database
from tests.integration.snapshots.models import create_tables, lisa


@pytest.fixture
async def maker(
    async_database: Database, async_engine: AsyncEngine
) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Give an `async_sessionmaker` on a database with Lisa, once per async driver."""
    create_tables(async_database)
    if async_database.dialect == "sqlite":
        prepare_sqlite(async_engine)
    made = async_sessionmaker(async_engine)
    async with made() as session, session.begin():
        session.add(lisa())
    yield made
    assert async_engine.pool.checkedout() == 0


@pytest.fixture
def sync_maker(sync_database: Database, sync_engine: Engine) -> sessionmaker[Session]:
    """Give a `sessionmaker` on a database with Lisa, once per sync driver."""
    create_tables(sync_database)
    if sync_database.dialect == "sqlite":
        prepare_sqlite(sync_engine)
    made = sessionmaker(sync_engine)
    with made() as session, session.begin():
        session.add(lisa())
    return made
