"""Fixtures: an application, and sessionmakers on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe.ext.fastapi import setup_scopes
from tests.databases import Database
from tests.engines import async_tables_on, tables_on
from tests.integration.scopes.models import Base


@pytest.fixture
async def engine(one_of_two: Database) -> AsyncIterator[AsyncEngine]:
    """Give an engine with the tables, and see that no connection is missing afterwards."""
    async with async_tables_on(one_of_two.url, Base) as engine:
        yield engine


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Give a sessionmaker as most people make it."""
    return async_sessionmaker(engine)


@pytest.fixture
def app(sessions: async_sessionmaker[AsyncSession]) -> FastAPI:
    """Give an application that knows its sessionmaker, and has no endpoint yet."""
    app = FastAPI()
    setup_scopes(app, sessions)
    return app


@pytest.fixture
def sync_engine_here(tmp_path: Path) -> Iterator[Engine]:
    """Give a sync engine with the tables."""
    with tables_on(f"sqlite:///{tmp_path}/sync.db", Base) as engine:
        yield engine


@pytest.fixture
def sync_sessions(sync_engine_here: Engine) -> sessionmaker[Session]:
    """Give a sync sessionmaker."""
    return sessionmaker(sync_engine_here)
