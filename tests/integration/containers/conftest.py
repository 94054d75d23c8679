"""Fixtures: an async and a sync sessionmaker on SQLite, with a table of notes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import prepare_sqlite
from tests.integration.scopes.models import Base


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Give an `async_sessionmaker`, and see that its connections went back."""
    engine = prepare_sqlite(create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/async.db"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield async_sessionmaker(engine)
    assert engine.sync_engine.pool.checkedout() == 0
    await engine.dispose()


@pytest.fixture
def sync_sessions(tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    """Give a `sessionmaker`, and see that its connections went back."""
    engine = prepare_sqlite(create_engine(f"sqlite:///{tmp_path}/sync.db"))
    Base.metadata.create_all(engine)
    yield sessionmaker(engine)
    assert engine.pool.checkedout() == 0
    engine.dispose()
