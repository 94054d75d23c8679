"""What mypy --strict and pyright must infer of what tests call; not to be run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from sqlalchemy import Connection, create_engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker
from sqlalchemy.orm import sessionmaker

from sqla_safe.ext.pytest import (
    AsyncRolledBack,
    RolledBack,
    Statements,
    assert_statements,
    rolled_back,
)


class SpecialSession(AsyncSession):
    """A user's own session class."""


engine = create_engine("sqlite://")

with rolled_back(sessionmaker(engine), on_commit="capture") as test:
    assert_type(test, RolledBack)
    assert_type(test.connection, Connection)
    assert_type(test.callbacks, list[Callable[[], Any]])
    test.run_callbacks()


async def asynchronously() -> None:
    """See the types of async tests."""
    async with rolled_back(async_sessionmaker(class_=SpecialSession)) as test:
        assert_type(test, AsyncRolledBack)
        assert_type(test.connection, AsyncConnection)
        await test.run_callbacks()


with assert_statements(2, on=engine) as statements, assert_statements(at_most=3):
    assert_type(statements, Statements)
