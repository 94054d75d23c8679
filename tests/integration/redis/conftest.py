"""Fixtures: a client of a Valkey server, a database with a user, and a cache for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.engines import async_tables_on
from tests.integration.redis.support import Shelf
from tests.integration.tasks.support import Avatar, Base, User
from tests.servers import Server


@pytest.fixture
async def client(valkey: Server) -> AsyncIterator[Redis]:
    """Give a client, and an empty server."""
    async with Redis(port=valkey.port) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Give a sessionmaker on a database with one user."""
    async with async_tables_on(f"sqlite+aiosqlite:///{tmp_path}/app.db", Base) as engine:
        made = async_sessionmaker(engine)
        async with made.begin() as session:
            session.add(User(id=1, name="Anna", avatars=[Avatar(name="Mona")]))
        yield made


@pytest.fixture
def shelf(client: Redis, sessions: async_sessionmaker[AsyncSession]) -> Shelf:
    """Give a cache with a counting loader."""
    return Shelf(client, sessions)
