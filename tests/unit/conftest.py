"""Sessionmakers whose engine fails the test as soon as somebody takes a connection."""

from __future__ import annotations

from typing import NoReturn

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker


def refuse_to_connect() -> NoReturn:
    """Stand where an engine would connect."""
    pytest.fail("a connection was taken")


async def refuse_to_connect_async() -> NoReturn:
    """Stand where an async engine would connect."""
    pytest.fail("a connection was taken")


@pytest.fixture
def maker() -> sessionmaker[Session]:
    """Give a sessionmaker that must not need a connection."""
    return sessionmaker(create_engine("sqlite://", creator=refuse_to_connect))


@pytest.fixture
def async_maker() -> async_sessionmaker[AsyncSession]:
    """Give an async sessionmaker that must not need a connection."""
    engine = create_async_engine("sqlite+aiosqlite://", async_creator=refuse_to_connect_async)
    return async_sessionmaker(engine)
