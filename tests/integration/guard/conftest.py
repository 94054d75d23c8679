"""Fixtures: sessionmakers on filled tables, on every driver, with a guard that raises."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import configure
from tests.databases import Database
from tests.guards import watching_as_before
from tests.integration.guard.models import fill

__all__ = ["watching_as_before"]


@pytest.fixture
def plain_async(
    async_database: Database, async_engine: AsyncEngine
) -> async_sessionmaker[AsyncSession]:
    """Give an `async_sessionmaker` without a guard, once per async driver."""
    fill(async_database)
    return async_sessionmaker(async_engine)


@pytest.fixture
def amaker(plain_async: async_sessionmaker[AsyncSession]) -> async_sessionmaker[AsyncSession]:
    """Give an `async_sessionmaker` whose guard raises."""
    configure(plain_async, guard="raise")
    return plain_async


@pytest.fixture
def plain(sync_database: Database, sync_engine: Engine) -> sessionmaker[Session]:
    """Give a `sessionmaker` without a guard, once per sync driver."""
    fill(sync_database)
    return sessionmaker(sync_engine)


@pytest.fixture
def maker(plain: sessionmaker[Session]) -> sessionmaker[Session]:
    """Give a `sessionmaker` whose guard raises."""
    configure(plain, guard="raise")
    return plain
