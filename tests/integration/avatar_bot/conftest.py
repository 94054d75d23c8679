"""Fixtures: the bot's engine on a fresh database, and a chat with the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from avatar_bot.engine import Sessions, create_engine, create_sessionmaker, create_tables
from tests import databases
from tests.integration.avatar_bot.chat import Chat


@pytest.fixture(params=["aiosqlite", "asyncpg"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give a fresh database, once per database that the bot supports."""
    if request.param == "aiosqlite":
        opened = databases.sqlite_database(request.param, tmp_path)
    else:
        server = request.getfixturevalue("postgres")
        opened = databases.postgres_database(request.param, server)
    with opened as database:
        yield database.url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """Give the bot's engine on a database with its tables."""
    engine = create_engine(url)
    await create_tables(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    """Give the bot's own sessionmaker."""
    return create_sessionmaker(engine)


@pytest.fixture
def chat(sessions: Sessions) -> Chat:
    """Give a chat in which nothing was said yet."""
    return Chat(sessions)
