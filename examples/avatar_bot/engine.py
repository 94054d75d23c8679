"""How an engine and a sessionmaker of the bot are made, whatever the database."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from avatar_bot.models import Base
from sqla_safe import configure, prepare_sqlite

Sessions: TypeAlias = async_sessionmaker[AsyncSession]


def create_engine(url: str, **options: Any) -> AsyncEngine:
    """Return an engine for `url`; on SQLite with real transactions, WAL and foreign keys.

    A connection that the server has closed meanwhile, by a restart, is replaced when it is taken.
    """
    engine = create_async_engine(url, pool_pre_ping=True, **options)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    return engine


def create_sessionmaker(engine: AsyncEngine) -> Sessions:
    """Return the sessionmaker of the bot, with `expire_on_commit=False` as the bot always had it.

    This setting decides how the old handlers fail. Without it the commit at the end of the first
    service block would expire the user, and already `user.id` would raise "attribute refresh
    operation cannot proceed". With it the columns stay readable after the block, and only the
    relationship `user.balance`, which nobody loaded, raises the error of the report.

    The guard explains that error: it names where the user was loaded, which block had ended, and
    what to write instead.
    """
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    configure(sessions, guard="raise")
    return sessions


async def create_tables(engine: AsyncEngine) -> None:
    """Create the tables that do not exist yet."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
