"""Fixtures: sessionmakers on fresh tables, SQLite unprepared, and a project to run pytest on."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import prepare_sqlite
from tests.databases import Database
from tests.integration.pytest_plugin.support import Project
from tests.integration.scopes.models import create_tables


@pytest.fixture
def sync_sessions(sync_database: Database, sync_engine: Engine) -> sessionmaker[Session]:
    """Give a `sessionmaker`, once per sync driver."""
    create_tables(sync_database)
    return sessionmaker(sync_engine)


@pytest.fixture
def sessions(
    async_database: Database, async_engine: AsyncEngine
) -> async_sessionmaker[AsyncSession]:
    """Give an `async_sessionmaker`, once per async driver."""
    create_tables(async_database)
    return async_sessionmaker(async_engine)


@pytest.fixture(params=["prepared", "unprepared"])
def sqlite_sessions(
    request: pytest.FixtureRequest, tmp_path: Path, make_engine
) -> tuple[Database, sessionmaker[Session]]:
    """Give a `sessionmaker` for SQLite, once with and once without `prepare_sqlite`."""
    from tests import databases

    with databases.sqlite_database("sqlite3", tmp_path) as database:
        create_tables(database)
        engine = make_engine(database)
        if request.param == "prepared":
            prepare_sqlite(engine)
        yield database, sessionmaker(engine)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give an empty project with a SQLite database and a table of notes."""
    return Project(tmp_path)
