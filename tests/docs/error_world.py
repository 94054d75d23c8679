"""What the examples of the pages of errors share; the index of errors shows the same lines."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, raiseload, selectinload, sessionmaker

from sqla_safe import (
    asnapshot,
    configure,
    current_scope,
    dumps,
    inject,
    loads,
    prepare_sqlite,
    replace,
    scoped_services,
    snapshot,
    write_back,
)
from tests.docs.guard_world import Customer, fill_async
from tests.docs.world import TELEGRAM_ID, Avatar, AvatarService, User, UserService, fill

__all__ = [
    "URL",
    "AsyncSession",
    "Avatar",
    "AvatarService",
    "Customer",
    "IntegrityError",
    "User",
    "UserService",
    "asnapshot",
    "async_sessionmaker",
    "asyncio",
    "begin",
    "begin_guarded",
    "begin_guarded_sync",
    "configure",
    "create_async_engine",
    "current_scope",
    "dumps",
    "inject",
    "loads",
    "logged_by_the_guard",
    "prepare_sqlite",
    "raiseload",
    "replace",
    "scoped_services",
    "select",
    "selectinload",
    "snapshot",
    "text",
    "tg_id",
    "write_back",
]

URL = "sqlite+aiosqlite:///app.db"
tg_id = TELEGRAM_ID


async def begin() -> tuple[AsyncEngine, async_sessionmaker[AsyncSession]]:
    """Make an engine, its tables and rows, and a sessionmaker."""
    engine = prepare_sqlite(create_async_engine(URL))
    await fill(engine)
    return engine, async_sessionmaker(engine)


async def begin_guarded() -> tuple[
    AsyncEngine, async_sessionmaker[AsyncSession], async_sessionmaker[AsyncSession]
]:
    """Make an engine with customers, and two guarded sessionmakers: keeping and expiring."""
    engine = prepare_sqlite(create_async_engine(URL))
    await fill_async(engine)
    keeping = async_sessionmaker(engine, expire_on_commit=False)
    expiring = async_sessionmaker(engine)
    for maker in (keeping, expiring):
        configure(maker, guard="raise")
    return engine, keeping, expiring


def begin_guarded_sync() -> tuple[Engine, sessionmaker[Session]]:
    """Make a guarded sync sessionmaker on the same customers."""
    engine = create_engine("sqlite:///app.db")
    maker = sessionmaker(engine)
    configure(maker, guard="raise")
    return engine, maker


def logged_by_the_guard() -> list[str]:
    """Return a list that what the guard logs is appended to."""
    lines: list[str] = []
    logger = logging.getLogger("sqla_safe.guard")
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    return lines
