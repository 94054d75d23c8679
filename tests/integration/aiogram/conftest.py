"""Fixtures: a sessionmaker on a fresh database, and a bot with a middleware for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from sqla_safe import prepare_sqlite
from tests import databases
from tests.databases import Database
from tests.integration.aiogram.support import Base, Chat, Sessions


@pytest.fixture(params=["aiosqlite", "asyncpg"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give a fresh database: SQLite, then PostgreSQL."""
    if request.param == "aiosqlite":
        opened = databases.sqlite_database(request.param, tmp_path)
    else:
        opened = databases.postgres_database(request.param, request.getfixturevalue("postgres"))
    with opened as database:
        yield database


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """Give an engine with the tables."""
    engine = create_async_engine(database.url)
    if database.dialect == "sqlite":
        prepare_sqlite(engine)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    """Give a sessionmaker as most people make it."""
    return async_sessionmaker(engine)


@pytest.fixture
def chat(sessions: Sessions) -> Chat:
    """Give a bot whose dispatcher has the middleware, and nothing else yet."""
    return Chat(sessions)
