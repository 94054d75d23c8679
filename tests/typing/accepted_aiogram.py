"""What mypy --strict and pyright must infer of the aiogram integration; not to be run."""

from __future__ import annotations

from typing import assert_type

from aiogram import Dispatcher
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from sqla_safe import inject
from sqla_safe.ext.aiogram import ScopeMiddleware


class Users:
    """A service."""

    def __init__(self, session: AsyncSession) -> None: ...


class Needy:
    """A service that needs more than the session."""

    def __init__(self, session: AsyncSession, zone: str) -> None: ...


class SpecialSession(AsyncSession):
    """A user's own session class."""


class Special:
    """A service that wants it."""

    def __init__(self, session: SpecialSession) -> None: ...


engine = create_async_engine("sqlite+aiosqlite://")
maker = async_sessionmaker(engine)
special = async_sessionmaker(engine, class_=SpecialSession)

middleware = ScopeMiddleware(maker, Users, inject(Needy, zone="UTC"), users=Users)
assert_type(middleware, ScopeMiddleware)
Dispatcher().update.outer_middleware(middleware)
ScopeMiddleware(maker)
ScopeMiddleware(maker, scope_name="db", read_only=True, isolation_level="SERIALIZABLE", timeout=5)
ScopeMiddleware(special, Special, Users)
