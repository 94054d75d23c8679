"""Fixtures: an application, and sessionmakers on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import prepare_sqlite
from sqla_safe.ext.fastapi import setup_scopes
from tests import databases
from tests.databases import Database
from tests.integration.fastapi.support import Base


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
    """Give an engine with the tables, and see that no connection is missing afterwards."""
    engine = create_async_engine(database.url)
    if database.dialect == "sqlite":
        prepare_sqlite(engine)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    assert engine.sync_engine.pool.checkedout() == 0
    await engine.dispose()


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
    engine = prepare_sqlite(create_engine(f"sqlite:///{tmp_path}/sync.db"))
    Base.metadata.create_all(engine)
    yield engine
    assert engine.pool.checkedout() == 0
    engine.dispose()


@pytest.fixture
def sync_sessions(sync_engine_here: Engine) -> sessionmaker[Session]:
    """Give a sync sessionmaker."""
    return sessionmaker(sync_engine_here)
