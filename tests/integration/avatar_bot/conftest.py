"""Fixtures: the bot's engine on a fresh database, and a chat with the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from avatar_bot.engine import Sessions, create_engine, create_sessionmaker, create_tables
from tests.databases import Database
from tests.integration.avatar_bot.chat import Chat


@pytest.fixture
def url(one_of_two: Database) -> str:
    """Give the address of a fresh database."""
    return one_of_two.url


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
