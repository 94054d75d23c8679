"""Fixtures: an async and a sync sessionmaker on SQLite, with a table of notes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from tests.engines import async_tables_on, tables_on
from tests.integration.scopes.models import Base


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Give an `async_sessionmaker`, and see that its connections went back."""
    async with async_tables_on(f"sqlite+aiosqlite:///{tmp_path}/async.db", Base) as engine:
        yield async_sessionmaker(engine)


@pytest.fixture
def sync_sessions(tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    """Give a `sessionmaker`, and see that its connections went back."""
    with tables_on(f"sqlite:///{tmp_path}/sync.db", Base) as engine:
        yield sessionmaker(engine)
