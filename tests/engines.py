"""Engines with the tables of a declarative base, for tests that bring tables of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import StaticPool

from sqla_safe import prepare_sqlite


@contextmanager
def in_memory(base: type[DeclarativeBase]) -> Iterator[Engine]:
    """Give a SQLite database in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    base.metadata.create_all(engine)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def tables_on(url: str, base: type[DeclarativeBase]) -> Iterator[Engine]:
    """Give an engine as an application has it, and see that its connections went back."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    base.metadata.create_all(engine)
    try:
        yield engine
        assert engine.pool.checkedout() == 0
    finally:
        engine.dispose()


@asynccontextmanager
async def async_tables_on(url: str, base: type[DeclarativeBase]) -> AsyncIterator[AsyncEngine]:
    """Give the same for an async driver."""
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    async with engine.begin() as connection:
        await connection.run_sync(base.metadata.create_all)
    try:
        yield engine
        assert engine.sync_engine.pool.checkedout() == 0
    finally:
        await engine.dispose()
