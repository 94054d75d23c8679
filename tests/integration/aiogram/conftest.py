"""Fixtures: a sessionmaker on a fresh database, and a bot with a middleware for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from tests.databases import Database
from tests.engines import async_tables_on
from tests.integration.aiogram.support import Base, Chat, Sessions


@pytest.fixture
async def engine(one_of_two: Database) -> AsyncIterator[AsyncEngine]:
    """Give an engine with the tables, and see that no connection is missing afterwards."""
    async with async_tables_on(one_of_two.url, Base) as engine:
        yield engine


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    """Give a sessionmaker as most people make it."""
    return async_sessionmaker(engine)


@pytest.fixture
def chat(sessions: Sessions) -> Chat:
    """Give a bot whose dispatcher has the middleware, and nothing else yet."""
    return Chat(sessions)
